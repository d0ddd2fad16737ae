//! Command sets of C-ECHO and C-STORE (PS3.7 9.3, E.1): always implicit VR little endian.

use super::IntakeFault;
use crate::dicom_net::elements::{command_set, element, elements, padded, uid, word};

/// Command Field (0000,0100) of the requests that are understood.
const C_STORE_RQ: u16 = 0x0001;
const C_ECHO_RQ: u16 = 0x0030;
const C_CANCEL_RQ: u16 = 0x0FFF;
/// What a response adds to it.
const RESPONSE: u16 = 0x8000;
/// Command Data Set Type (0000,0800) where no data set follows.
const NO_DATA_SET: u16 = 0x0101;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) operation: Operation,
    field: u16,
    message_id: u16,
    /// Affected SOP Class UID (0000,0002).
    pub(super) sop_class: String,
    /// Affected SOP Instance UID (0000,1000); empty where there is none.
    pub(super) sop_instance: String,
    pub(super) data_set_follows: bool,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Echo,
    Store,
    /// Not answered (PS3.7 9.3.2.3).
    Cancel,
    Other,
}

/// How a request ended, Status (0000,0900) (PS3.4 B.2.3, PS3.7 Annex C).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Success,
    UnrecognizedOperation,
    InvalidInstance,
    SopClassDoesNotMatch,
    Fault(IntakeFault),
}

impl Status {
    fn code(self) -> u16 {
        match self {
            Self::Success => 0x0000,
            Self::UnrecognizedOperation => 0x0211,
            Self::InvalidInstance => 0x0117,
            Self::SopClassDoesNotMatch => 0xA900,
            Self::Fault(IntakeFault::OutOfResources) => 0xA700,
            Self::Fault(IntakeFault::NotUnderstood) => 0xC000,
            Self::Fault(IntakeFault::Failed) => 0x0110,
        }
    }
}

impl Command {
    /// Reads a command set; `None` where it is not one.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let (mut field, mut message_id, mut data_set) = (None, None, None);
        let (mut sop_class, mut sop_instance) = (String::new(), String::new());
        for (number, value) in elements(bytes)? {
            match number {
                0x0002 => sop_class = uid(value)?,
                0x0100 => field = Some(word(value)?),
                0x0110 => message_id = Some(word(value)?),
                0x0800 => data_set = Some(word(value)?),
                0x1000 => sop_instance = uid(value)?,
                _ => {}
            }
        }
        let field = field?;
        let operation = match field {
            C_STORE_RQ => Operation::Store,
            C_ECHO_RQ => Operation::Echo,
            C_CANCEL_RQ => Operation::Cancel,
            // A response answers nothing that was asked.
            _ if field & RESPONSE != 0 => return None,
            _ => Operation::Other,
        };
        let message_id = if operation == Operation::Cancel { message_id.unwrap_or_default() } else { message_id? };
        Some(Self { operation, field, message_id, sop_class, sop_instance, data_set_follows: data_set? != NO_DATA_SET })
    }

    /// The command set that answers the request.
    pub(super) fn response(&self, status: Status) -> Vec<u8> {
        let mut body = Vec::new();
        if !self.sop_class.is_empty() {
            element(&mut body, 0x0002, &padded(&self.sop_class));
        }
        element(&mut body, 0x0100, &(self.field | RESPONSE).to_le_bytes());
        element(&mut body, 0x0120, &self.message_id.to_le_bytes());
        element(&mut body, 0x0800, &NO_DATA_SET.to_le_bytes());
        element(&mut body, 0x0900, &status.code().to_le_bytes());
        if !self.sop_instance.is_empty() {
            element(&mut body, 0x1000, &padded(&self.sop_instance));
        }
        command_set(&body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(field: u16) -> Vec<u8> {
        let mut bytes = Vec::new();
        element(&mut bytes, 0x0000, &[0; 4]);
        element(&mut bytes, 0x0002, &padded("1.2.3"));
        element(&mut bytes, 0x0100, &field.to_le_bytes());
        element(&mut bytes, 0x0110, &7_u16.to_le_bytes());
        element(&mut bytes, 0x0800, &1_u16.to_le_bytes());
        element(&mut bytes, 0x1000, &padded("1.2.3.4"));
        bytes
    }

    #[test]
    fn a_request_is_read_and_its_answer_repeats_its_numbers() {
        let command = Command::of(&request(C_STORE_RQ)).unwrap();
        assert_eq!((command.operation, command.sop_class.as_str(), command.data_set_follows), (Operation::Store, "1.2.3", true));
        let response = command.response(Status::Fault(IntakeFault::OutOfResources));
        for part in [[0x00, 0x01, 2, 0, 0, 0, 0x01, 0x80], [0x20, 0x01, 2, 0, 0, 0, 7, 0], [0x00, 0x09, 2, 0, 0, 0, 0x00, 0xA7]] {
            assert!(response.windows(8).any(|bytes| bytes == part), "{part:02X?} in {response:02X?}");
        }
        let told = u32::from_le_bytes(*response[8..].first_chunk().unwrap());
        assert_eq!(usize::try_from(told).unwrap() + 12, response.len());
        assert_eq!(Command::of(&response), None, "a response is no request");
    }

    #[test]
    fn what_is_no_command_set_is_none() {
        let whole = request(C_ECHO_RQ);
        for cut in 0..whole.len() {
            let read = Command::of(&whole[..cut]);
            // Behind a whole element a shorter command set may end.
            assert!(read.is_none() || cut == whole.len() - 16, "cut at {cut}: {read:?}");
        }
        let mut lying = whole.clone();
        lying[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(Command::of(&lying), None);
        assert_eq!(Command::of(&[whole, vec![8, 0, 0, 0, 0, 0, 0, 0]].concat()), None, "another group");
        assert_eq!(Command::of(&[]), None);
    }
}
