//! A storage user (PS3.4 Annex B, PS3.7 9.1.1): one object over one association.

use super::elements::{APPLICATION_CONTEXT, command_set, element, elements, padded, word};
use super::send::{Kept, Meaning, Object, SendFault, meaning};
use super::socket::Channel;
use super::wire::{Wire, WireFault};
use crate::limits::{DICOM_COMMAND_BYTES_MAX, DICOM_PDU_BYTES_MAX, DICOM_PIECE_BYTES};
use crate::radiograph::uid;
use dicom_dictionary_std::uids;
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::entries::{EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN};
use dicom_ul::pdu::{
    AssociationAC, AssociationRQ, PDataValue, PDataValueType, Pdu, PresentationContextProposed, PresentationContextResultReason,
    UserVariableItem,
};
use std::borrow::Cow;
use std::io;
use std::time::{Duration, Instant};

/// Command Field (0000,0100).
const C_STORE_RQ: u16 = 0x0001;
const C_STORE_RSP: u16 = 0x8001;
/// Command Data Set Type (0000,0800) where a data set follows.
const DATA_SET: u16 = 0x0000;
/// Message ID (0000,0110) of the one message.
const MESSAGE_ID: u16 = 1;
/// What a piece of a data set costs in a PDU beside itself (PS3.8 9.3.5): length, context, flags.
const PIECE_HEADER_BYTES: usize = 6;
/// Longest wait for the answer to our release; the object is kept by then.
const RELEASE: Duration = Duration::from_secs(2);
/// Presentation contexts: as the object is stored, and as every archive must take it (PS3.5 10.1).
const AS_STORED: u8 = 1;
const IMPLICIT: u8 = 3;

/// Stores the object; the deadline of `channel` holds for the association.
pub(super) fn store(
    channel: Channel,
    object: &Object<'_>,
    called: &str,
    calling: &str,
    answer: Duration,
) -> Result<Kept, SendFault> {
    let mut wire = Wire::over(channel);
    let kept = associate(&mut wire, object, called, calling).and_then(|agreed| {
        wire.until(Instant::now() + answer);
        let data_set = agreed.data_set(object)?;
        transfer(&mut wire, &agreed, object, &data_set)
    });
    if kept.is_ok() || matches!(kept, Err(SendFault::Status(..) | SendFault::Class(_))) {
        wire.until(Instant::now() + RELEASE);
        // The archive has said what it did; how it says farewell changes nothing.
        let _ = wire.send_in_time(&Pdu::ReleaseRQ).and_then(|()| wire.receive());
    }
    wire.close();
    kept
}

/// What was agreed on.
struct Agreed {
    context: u8,
    /// Longest piece of a data set in one PDU.
    piece: usize,
}

/// Asks for an association for the object's own class.
fn associate(wire: &mut Wire, object: &Object<'_>, called: &str, calling: &str) -> Result<Agreed, SendFault> {
    let failed = |fault: WireFault| SendFault::Association(fault.to_string());
    wire.send_in_time(&request(object, called, calling)).map_err(failed)?;
    match wire.receive().map_err(failed)? {
        Pdu::AssociationAC(accepted) => agreed(&accepted, object),
        Pdu::AssociationRJ(rejected) => {
            Err(SendFault::Association(format!("rejected ({:?}), {}", rejected.result, rejected.source)))
        }
        other => Err(SendFault::Association(format!("answered with {}", name(&other)))),
    }
}

fn request(object: &Object<'_>, called: &str, calling: &str) -> Pdu {
    let proposed = |id: u8, transfer_syntax: &str| PresentationContextProposed {
        id,
        abstract_syntax: object.sop_class.clone(),
        transfer_syntaxes: vec![transfer_syntax.to_owned()],
    };
    let mut presentation_contexts = vec![proposed(AS_STORED, &object.transfer_syntax)];
    if object.transfer_syntax == uids::EXPLICIT_VR_LITTLE_ENDIAN {
        presentation_contexts.push(proposed(IMPLICIT, uids::IMPLICIT_VR_LITTLE_ENDIAN));
    }
    Pdu::AssociationRQ(AssociationRQ {
        protocol_version: 1,
        calling_ae_title: calling.to_owned(),
        called_ae_title: called.to_owned(),
        application_context_name: APPLICATION_CONTEXT.to_owned(),
        presentation_contexts,
        user_variables: vec![
            UserVariableItem::MaxLength(DICOM_PDU_BYTES_MAX),
            UserVariableItem::ImplementationClassUID(uid::implementation_class()),
            UserVariableItem::ImplementationVersionName(uid::IMPLEMENTATION_VERSION_NAME.to_owned()),
        ],
    })
}

fn agreed(accepted: &AssociationAC, object: &Object<'_>) -> Result<Agreed, SendFault> {
    let taken = |id: u8| {
        accepted.presentation_contexts.iter().any(|c| c.id == id && c.reason == PresentationContextResultReason::Acceptance)
    };
    let context = [AS_STORED, IMPLICIT].into_iter().find(|id| taken(*id));
    let context = context.ok_or_else(|| SendFault::Class(object.sop_class.clone()))?;
    let most = accepted.user_variables.iter().find_map(|v| match v {
        // Zero says that there is no bound.
        UserVariableItem::MaxLength(most) if *most > 0 => usize::try_from(*most).ok(),
        _ => None,
    });
    let piece = most.map_or(DICOM_PIECE_BYTES, |most| most.saturating_sub(PIECE_HEADER_BYTES).min(DICOM_PIECE_BYTES));
    if piece == 0 {
        return Err(SendFault::Association("its longest PDU is shorter than any".to_owned()));
    }
    // Pieces have an even length (PS3.8 annex E.2).
    Ok(Agreed { context, piece: (piece & !1).max(1) })
}

impl Agreed {
    /// The data set in the transfer syntax that was agreed on.
    fn data_set<'a>(&self, object: &Object<'a>) -> Result<Cow<'a, [u8]>, SendFault> {
        if self.context == AS_STORED {
            return Ok(Cow::Borrowed(object.data_set));
        }
        let elements = InMemDicomObject::read_dataset_with_ts(object.data_set, &EXPLICIT_VR_LITTLE_ENDIAN.erased());
        let mut bytes = Vec::with_capacity(object.data_set.len());
        let elements = elements.map_err(|_| SendFault::Object)?;
        elements.write_dataset_with_ts(&mut bytes, &IMPLICIT_VR_LITTLE_ENDIAN.erased()).map_err(|_| SendFault::Object)?;
        Ok(Cow::Owned(bytes))
    }
}

/// Sends command and data set, and waits for the status.
fn transfer(wire: &mut Wire, agreed: &Agreed, object: &Object<'_>, data_set: &[u8]) -> Result<Kept, SendFault> {
    let pieces = |value_type: PDataValueType, bytes: &[u8]| -> Vec<PDataValue> {
        let count = bytes.len().div_ceil(agreed.piece);
        let value = |(i, part): (usize, &[u8])| PDataValue {
            presentation_context_id: agreed.context,
            value_type: value_type.clone(),
            is_last: i + 1 == count,
            data: part.to_vec(),
        };
        bytes.chunks(agreed.piece).enumerate().map(value).collect()
    };
    for value in pieces(PDataValueType::Command, &command(object)) {
        wire.send_in_time(&Pdu::PData { data: vec![value] })?;
    }
    for value in pieces(PDataValueType::Data, data_set) {
        if let Err(fault) = wire.send_in_time(&Pdu::PData { data: vec![value] }) {
            // An archive that has heard enough may have said why.
            return status(wire).unwrap_or(Err(fault.into()));
        }
    }
    status(wire)?
}

/// The archive's answer; the outer error where there is none.
fn status(wire: &mut Wire) -> Result<Result<Kept, SendFault>, SendFault> {
    let mut bytes = Vec::new();
    loop {
        let values = match wire.receive()? {
            Pdu::PData { data } => data,
            other => return Err(SendFault::Broken(format!("answered with {}", name(&other)))),
        };
        for value in values {
            if value.value_type != PDataValueType::Command || bytes.len() + value.data.len() > DICOM_COMMAND_BYTES_MAX {
                return Err(SendFault::Broken("the answer is no command set".to_owned()));
            }
            bytes.extend(value.data);
            if value.is_last {
                let (status, about) =
                    response(&bytes).ok_or_else(|| SendFault::Broken("the answer is of something else".to_owned()))?;
                return Ok(match meaning(status) {
                    Meaning::Kept(kept) => Ok(kept),
                    Meaning::Later | Meaning::Refused => Err(SendFault::Status(status, about)),
                });
            }
        }
    }
}

/// The command set of the request (PS3.7 9.3.1.1).
fn command(object: &Object<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    element(&mut body, 0x0002, &padded(&object.sop_class));
    element(&mut body, 0x0100, &C_STORE_RQ.to_le_bytes());
    element(&mut body, 0x0110, &MESSAGE_ID.to_le_bytes());
    // Priority: medium.
    element(&mut body, 0x0700, &[0, 0]);
    element(&mut body, 0x0800, &DATA_SET.to_le_bytes());
    element(&mut body, 0x1000, &padded(&object.sop_instance));
    command_set(&body)
}

/// Status and Offending Element of a response to our message (PS3.7 9.3.1.2); `None` where it is none.
fn response(bytes: &[u8]) -> Option<(u16, Option<(u16, u16)>)> {
    let (mut field, mut answers, mut status, mut about) = (None, None, None, None);
    for (number, value) in elements(bytes)? {
        match number {
            0x0100 => field = Some(word(value)?),
            0x0120 => answers = Some(word(value)?),
            0x0900 => status = Some(word(value)?),
            0x0901 => {
                about = value.first_chunk::<4>().map(|[a, b, c, d]| (u16::from_le_bytes([*a, *b]), u16::from_le_bytes([*c, *d])))
            }
            _ => {}
        }
    }
    let ours = field? == C_STORE_RSP && answers? == MESSAGE_ID;
    ours.then_some((status?, about))
}

/// What a PDU is, without anything the peer wrote.
fn name(pdu: &Pdu) -> &'static str {
    match pdu {
        Pdu::AbortRQ { .. } => "an abort",
        Pdu::ReleaseRQ | Pdu::ReleaseRP => "a release",
        Pdu::PData { .. } => "data",
        _ => "a PDU that has no place here",
    }
}

impl From<io::Error> for SendFault {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(field: u16, message: u16, status: u16, more: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        element(&mut bytes, 0x0100, &field.to_le_bytes());
        element(&mut bytes, 0x0120, &message.to_le_bytes());
        element(&mut bytes, 0x0800, &0x0101_u16.to_le_bytes());
        element(&mut bytes, 0x0900, &status.to_le_bytes());
        bytes.extend(more);
        bytes
    }

    #[test]
    fn a_response_is_read_with_what_it_is_about_and_nothing_else_is_one() {
        let mut about = Vec::new();
        element(&mut about, 0x0901, &[0x08, 0, 0x18, 0]);
        element(&mut about, 0x0902, b"PLANTED^NAME");
        let whole = answer(C_STORE_RSP, 1, 0xA900, &about);
        assert_eq!(response(&whole), Some((0xA900, Some((0x0008, 0x0018)))));
        assert_eq!(response(&answer(C_STORE_RSP, 1, 0, &[])), Some((0, None)));
        for cut in 1..whole.len() {
            let read = response(&whole[..cut]);
            assert!(read.is_none() || read.is_some_and(|(status, _)| status == 0xA900), "cut at {cut}");
        }
        for wrong in [answer(C_STORE_RQ, 1, 0, &[]), answer(C_STORE_RSP, 2, 0, &[]), answer(C_STORE_RSP, 1, 0, &[1]), Vec::new()]
        {
            assert_eq!(response(&wrong), None);
        }
    }
}
