//! One association, from its request to its end.

use super::command::{Operation, Status};
use super::message::{Assembly, Data, Message};
use super::negotiation::{self, Agreement, Context};
use super::{IntakeFault, Room, Shared};
use crate::dicom_net::elements::padded;
use crate::dicom_net::wire::{Wire, WireFault};
use crate::limits::DICOM_RECEIVING_BYTES_MAX;
use dicom_ul::pdu::{AbortRQServiceProviderReason, AbortRQSource, PDataValue, PDataValueType, Pdu};
use std::net::{IpAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// Why an association ended before it was released.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Wire(#[from] WireFault),
    #[error("{0}")]
    Protocol(&'static str),
}

/// Serves a connection to its end.
pub(super) fn serve(shared: &Shared, stream: TcpStream, address: IpAddr, room: Room) {
    let deadline = Instant::now() + shared.config.times.request;
    let mut wire = match Wire::new(stream, shared.config.tls.as_ref(), deadline) {
        Ok(wire) => wire,
        Err(fault) => return log::info!("dicom: the connection of {address} failed: {fault}"),
    };
    if let Err(fault) = converse(shared, &mut wire, address, room) {
        shared.counters.aborted();
        log::info!("dicom: the association of {address} was aborted: {fault}");
        let reason = match fault {
            Fault::Wire(WireFault::Connection(_)) => AbortRQServiceProviderReason::ReasonNotSpecified,
            Fault::Wire(_) => AbortRQServiceProviderReason::InvalidPduParameter,
            Fault::Protocol(_) => AbortRQServiceProviderReason::UnexpectedPdu,
        };
        // The peer may be gone already.
        let _ = wire.send(&Pdu::AbortRQ { source: AbortRQSource::ServiceProvider(reason) });
    }
    wire.close();
}

fn converse(shared: &Shared, wire: &mut Wire, address: IpAddr, room: Room) -> Result<(), Fault> {
    let Pdu::AssociationRQ(request) = wire.receive()? else {
        return Err(Fault::Protocol("the first PDU is no association request"));
    };
    let (answer, agreement) = negotiation::answer(request, address, room, &shared.config);
    wire.send(&answer)?;
    let agreement = match agreement {
        Ok(agreement) => agreement,
        Err(why) => {
            shared.counters.rejected(why);
            log::info!("dicom: an association of {address} was rejected: {}", answer.short_description());
            return Ok(());
        }
    };
    shared.counters.accepted();
    messages(shared, wire, &agreement)
}

/// Answers messages until the association is released.
fn messages(shared: &Shared, wire: &mut Wire, agreement: &Agreement) -> Result<(), Fault> {
    let mut assembly = Assembly::new(&shared.held, DICOM_RECEIVING_BYTES_MAX);
    wire.until(Instant::now() + shared.config.times.idle);
    loop {
        let pieces = match wire.receive()? {
            Pdu::PData { data } => data,
            Pdu::ReleaseRQ => return Ok(wire.send(&Pdu::ReleaseRP)?),
            Pdu::AbortRQ { .. } => return Ok(()),
            _ => return Err(Fault::Protocol("a PDU that has no place in an association")),
        };
        for piece in pieces {
            let begun = assembly.is_begun();
            if let Some(message) = assembly.take(piece).map_err(Fault::Protocol)? {
                respond(shared, wire, agreement, message)?;
                assembly.give_back();
                wire.until(Instant::now() + shared.config.times.idle);
            } else if !begun && assembly.is_begun() {
                wire.until(Instant::now() + shared.config.times.message);
            }
        }
    }
}

/// Answers a message.
fn respond(shared: &Shared, wire: &mut Wire, agreement: &Agreement, message: Message) -> Result<(), Fault> {
    let Some(context) = agreement.contexts.iter().find(|context| context.id == message.context) else {
        return Err(Fault::Protocol("a message in a presentation context that was not accepted"));
    };
    let Message { command, data, .. } = message;
    let status = match (command.operation, data) {
        (Operation::Cancel, _) => return Ok(()),
        (Operation::Echo, Data::None) => Status::Success,
        (Operation::Store, _) if command.sop_class != context.abstract_syntax => Status::SopClassDoesNotMatch,
        (Operation::Store, _) if command.sop_instance.is_empty() => Status::InvalidInstance,
        (Operation::Store, Data::Whole(data)) => store(shared, agreement, context, &command.sop_instance, data),
        (Operation::Store, Data::Dropped) => Status::Fault(IntakeFault::OutOfResources),
        _ => Status::UnrecognizedOperation,
    };
    if command.operation == Operation::Store {
        shared.counters.answered(status);
    }
    let value = PDataValue {
        presentation_context_id: context.id,
        value_type: PDataValueType::Command,
        is_last: true,
        data: command.response(status),
    };
    Ok(wire.send(&Pdu::PData { data: vec![value] })?)
}

/// Hands a film to the intake; success only on its word.
fn store(shared: &Shared, agreement: &Agreement, context: &Context, instance: &str, data: Vec<u8>) -> Status {
    let mut file = file_meta(context, instance);
    file.extend(data);
    // A panic in reading the film costs this film its answer.
    match catch_unwind(AssertUnwindSafe(|| shared.intake.film(file, &agreement.peer))) {
        Ok(Ok(())) => Status::Success,
        Ok(Err(fault)) => Status::Fault(fault),
        Err(_) => Status::Fault(IntakeFault::Failed),
    }
}

/// Preamble and file meta information in front of a data set (PS3.10 7.1). Who sent it is left out: a film sent by two is
/// the same bytes, and so one reading.
fn file_meta(context: &Context, instance: &str) -> Vec<u8> {
    let mut meta = vec![0x02, 0, 0x01, 0, b'O', b'B', 0, 0, 2, 0, 0, 0, 0, 1];
    let mut text = |element: u8, vr: &[u8; 2], value: &[u8]| {
        // UIDs of 64 characters at most.
        let length = u16::try_from(value.len()).unwrap_or_default().to_le_bytes();
        meta.extend([0x02, 0, element, 0]);
        meta.extend(vr);
        meta.extend(length);
        meta.extend(value);
    };
    text(0x02, b"UI", &padded(&context.abstract_syntax));
    text(0x03, b"UI", &padded(instance));
    text(0x10, b"UI", &padded(&context.transfer_syntax));
    text(0x12, b"UI", &padded(dicom_ul::IMPLEMENTATION_CLASS_UID));
    let length = u32::try_from(meta.len()).unwrap_or_default().to_le_bytes();
    let mut file = vec![0; 128];
    file.extend(b"DICM");
    file.extend([0x02, 0, 0, 0, b'U', b'L', 4, 0]);
    file.extend(length);
    file.extend(meta);
    file
}
