//! What an association request is answered with (PS3.8 9.3.2 to 9.3.4): decided here, sent elsewhere.

use super::counters::Rejection;
use super::{Peer, Peers, Room, ScpConfig, SecondaryCapture};
use crate::dicom_net::elements::APPLICATION_CONTEXT;
use crate::limits::DICOM_PDU_BYTES_MAX;
use crate::radiograph::TRANSFER_SYNTAXES;
use dicom_dictionary_std::uids;
use dicom_ul::pdu::{
    AssociationAC, AssociationRJ, AssociationRJResult, AssociationRJServiceProviderASCEReason,
    AssociationRJServiceProviderPresentationReason, AssociationRJServiceUserReason, AssociationRJSource, AssociationRQ, Pdu,
    PresentationContextProposed, PresentationContextResult, PresentationContextResultReason, UserVariableItem,
};
use dicom_ul::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME};
use std::net::IpAddr;

/// A presentation context that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Context {
    pub(super) id: u8,
    pub(super) abstract_syntax: String,
    pub(super) transfer_syntax: String,
}

/// What was agreed on.
#[derive(Debug)]
pub(super) struct Agreement {
    pub(super) peer: Peer,
    pub(super) contexts: Vec<Context>,
}

/// The answer to a request, and what it agrees on, or why it is rejected.
pub(super) fn answer(
    request: AssociationRQ,
    address: IpAddr,
    room: Room,
    config: &ScpConfig,
) -> (Pdu, Result<Agreement, Rejection>) {
    let full = (room != Room::Here).then_some(Rejection::TooMany);
    if let Some(why) = objection(&request, address, config).or(full) {
        return (rejected(why), Err(why));
    }
    let answers: Vec<_> = request.presentation_contexts.into_iter().map(|proposed| context(proposed, config)).collect();
    let results = answers.iter().map(|(result, _)| result.clone()).collect();
    let contexts = answers.into_iter().filter_map(|(_, context)| context).collect();
    let accepted = Pdu::AssociationAC(AssociationAC {
        protocol_version: 1,
        calling_ae_title: request.calling_ae_title.clone(),
        called_ae_title: request.called_ae_title,
        application_context_name: APPLICATION_CONTEXT.to_owned(),
        presentation_contexts: results,
        user_variables: vec![
            UserVariableItem::MaxLength(DICOM_PDU_BYTES_MAX),
            UserVariableItem::ImplementationClassUID(IMPLEMENTATION_CLASS_UID.to_owned()),
            UserVariableItem::ImplementationVersionName(IMPLEMENTATION_VERSION_NAME.to_owned()),
        ],
    });
    (accepted, Ok(Agreement { peer: Peer { ae_title: request.calling_ae_title, address }, contexts }))
}

/// Why the request is rejected for good.
fn objection(request: &AssociationRQ, address: IpAddr, config: &ScpConfig) -> Option<Rejection> {
    if request.protocol_version & 1 == 0 {
        return Some(Rejection::Protocol);
    }
    if request.application_context_name != APPLICATION_CONTEXT {
        return Some(Rejection::ApplicationContext);
    }
    if request.called_ae_title != config.ae_title {
        return Some(Rejection::CalledTitle);
    }
    let known = match &config.peers {
        Peers::Any => super::is_ae_title(&request.calling_ae_title),
        Peers::Only(peers) => peers.iter().any(|peer| {
            peer.ae_title == request.calling_ae_title && peer.address.is_none_or(|allowed| allowed.to_canonical() == address)
        }),
    };
    (!known).then_some(Rejection::CallingTitle)
}

/// A rejection as PS3.8 table 9-21 writes it.
fn rejected(why: Rejection) -> Pdu {
    let user = AssociationRJSource::ServiceUser;
    let source = match why {
        Rejection::Protocol => {
            AssociationRJSource::ServiceProviderASCE(AssociationRJServiceProviderASCEReason::ProtocolVersionNotSupported)
        }
        Rejection::ApplicationContext => user(AssociationRJServiceUserReason::ApplicationContextNameNotSupported),
        Rejection::CalledTitle => user(AssociationRJServiceUserReason::CalledAETitleNotRecognized),
        Rejection::CallingTitle => user(AssociationRJServiceUserReason::CallingAETitleNotRecognized),
        Rejection::TooMany => {
            let reason = AssociationRJServiceProviderPresentationReason::LocalLimitExceeded;
            AssociationRJSource::ServiceProviderPresentation(reason)
        }
    };
    let result = if why == Rejection::TooMany { AssociationRJResult::Transient } else { AssociationRJResult::Permanent };
    Pdu::AssociationRJ(AssociationRJ { result, source })
}

/// Decides on a presentation context.
fn context(proposed: PresentationContextProposed, config: &ScpConfig) -> (PresentationContextResult, Option<Context>) {
    let PresentationContextProposed { id, abstract_syntax, transfer_syntaxes } = proposed;
    let refused = |reason| {
        let transfer_syntax = uids::IMPLICIT_VR_LITTLE_ENDIAN.to_owned();
        (PresentationContextResult { id, reason, transfer_syntax }, None)
    };
    let Some(ours) = transfer_syntaxes_for(&abstract_syntax, config) else {
        return refused(PresentationContextResultReason::AbstractSyntaxNotSupported);
    };
    let Some(chosen) = ours.iter().find(|ours| transfer_syntaxes.iter().any(|theirs| theirs == *ours)) else {
        return refused(PresentationContextResultReason::TransferSyntaxesNotSupported);
    };
    let transfer_syntax = (*chosen).to_owned();
    let result = PresentationContextResult {
        id,
        reason: PresentationContextResultReason::Acceptance,
        transfer_syntax: transfer_syntax.clone(),
    };
    (result, Some(Context { id, abstract_syntax, transfer_syntax }))
}

/// The transfer syntaxes that a service is offered in, best first; `None` for a service that is not offered.
/// Digital X-ray for processing is not: its films have not been rendered yet.
fn transfer_syntaxes_for(abstract_syntax: &str, config: &ScpConfig) -> Option<&'static [&'static str]> {
    match abstract_syntax {
        uids::VERIFICATION => Some(&[uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN]),
        uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE | uids::DIGITAL_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION => Some(&TRANSFER_SYNTAXES),
        uids::SECONDARY_CAPTURE_IMAGE_STORAGE if config.secondary_capture == SecondaryCapture::Taken => Some(&TRANSFER_SYNTAXES),
        _ => None,
    }
}
