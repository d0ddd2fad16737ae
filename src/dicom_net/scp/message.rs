//! Messages out of the values that PDUs carry (PS3.8 Annex E, PS3.7 6.3): first a command set, then,
//! where it says so, a data set, both in pieces.

use super::command::Command;
use crate::limits::{DICOM_COMMAND_BYTES_MAX, FILE_BYTES};
use dicom_ul::pdu::{PDataValue, PDataValueType};
use std::sync::atomic::{AtomicU64, Ordering};

/// A whole message.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) context: u8,
    pub(super) command: Command,
    pub(super) data: Data,
}

/// The data set of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Data {
    None,
    Whole(Vec<u8>),
    /// There was no room for it; its bytes were read and dropped.
    Dropped,
}

/// A message that is being put together. Its bytes count against what all associations may hold.
pub(super) struct Assembly<'a> {
    held: &'a AtomicU64,
    most_held: u64,
    ours: u64,
    context: u8,
    command: Vec<u8>,
    waiting: Option<Command>,
    data: Data,
}

impl<'a> Assembly<'a> {
    /// Nothing yet; `held` counts the bytes of all associations, `most_held` of them at most.
    pub(super) fn new(held: &'a AtomicU64, most_held: u64) -> Self {
        Self { held, most_held, ours: 0, context: 0, command: Vec::new(), waiting: None, data: Data::None }
    }

    /// Whether a message was begun.
    pub(super) fn is_begun(&self) -> bool {
        self.waiting.is_some() || !self.command.is_empty()
    }

    /// Takes the next piece; the message where it is the last.
    ///
    /// # Errors
    /// Where a piece is not what must come next.
    pub(super) fn take(&mut self, piece: PDataValue) -> Result<Option<Message>, &'static str> {
        if self.is_begun() && piece.presentation_context_id != self.context {
            return Err("a message changes its presentation context");
        }
        self.context = piece.presentation_context_id;
        match (&piece.value_type, self.waiting.is_some()) {
            (PDataValueType::Command, false) => self.take_command(&piece),
            (PDataValueType::Data, true) => Ok(self.take_data(&piece)),
            (PDataValueType::Command, true) => Err("a command stands inside a data set"),
            (PDataValueType::Data, false) => Err("a data set stands without its command"),
        }
    }

    fn take_command(&mut self, piece: &PDataValue) -> Result<Option<Message>, &'static str> {
        if self.command.len() + piece.data.len() > DICOM_COMMAND_BYTES_MAX {
            return Err("a command set is longer than any");
        }
        self.command.extend_from_slice(&piece.data);
        if !piece.is_last {
            return Ok(None);
        }
        let command = Command::of(&std::mem::take(&mut self.command)).ok_or("a command set cannot be read")?;
        if command.data_set_follows {
            (self.waiting, self.data) = (Some(command), Data::Whole(Vec::new()));
            return Ok(None);
        }
        Ok(Some(Message { context: self.context, command, data: Data::None }))
    }

    fn take_data(&mut self, piece: &PDataValue) -> Option<Message> {
        let more = u64::try_from(piece.data.len()).unwrap_or(u64::MAX);
        if let Data::Whole(bytes) = &mut self.data {
            let before = self.held.fetch_add(more, Ordering::SeqCst);
            self.ours += more;
            if self.ours > FILE_BYTES || before.saturating_add(more) > self.most_held {
                self.data = Data::Dropped;
                self.give_back();
            } else {
                bytes.extend_from_slice(&piece.data);
            }
        }
        if !piece.is_last {
            return None;
        }
        let command = self.waiting.take()?;
        Some(Message { context: self.context, command, data: std::mem::replace(&mut self.data, Data::None) })
    }

    /// The bytes of the last message are no longer held.
    pub(super) fn give_back(&mut self) {
        self.held.fetch_sub(std::mem::take(&mut self.ours), Ordering::SeqCst);
    }
}

impl Drop for Assembly<'_> {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The command set of a C-STORE of nothing in particular, or of a C-ECHO.
    fn command(field: u8, data_set: u16) -> Vec<u8> {
        let word = |number: [u8; 2], value: [u8; 2]| [&[0, 0][..], &number, &[2, 0, 0, 0], &value].concat();
        [word([0, 1], [field, 0]), word([0x10, 1], [1, 0]), word([0, 8], data_set.to_le_bytes())].concat()
    }

    fn piece(value_type: PDataValueType, data: &[u8], is_last: bool) -> PDataValue {
        PDataValue { presentation_context_id: 1, value_type, is_last, data: data.to_vec() }
    }

    #[test]
    fn a_message_comes_together_from_any_pieces() {
        let held = AtomicU64::new(0);
        let mut assembly = Assembly::new(&held, 100);
        let whole = command(1, 0);
        for byte in &whole[..whole.len() - 1] {
            assert!(assembly.take(piece(PDataValueType::Command, &[*byte], false)).unwrap().is_none());
        }
        assert!(assembly.take(piece(PDataValueType::Command, &whole[whole.len() - 1..], true)).unwrap().is_none());
        assert!(assembly.take(piece(PDataValueType::Data, b"ab", false)).unwrap().is_none());
        let message = assembly.take(piece(PDataValueType::Data, b"c", true)).unwrap().unwrap();
        assert_eq!(message.data, Data::Whole(b"abc".to_vec()));
        assert_eq!(held.load(Ordering::SeqCst), 3);
        assembly.give_back();
        assert_eq!(held.load(Ordering::SeqCst), 0);
        let echo = assembly.take(piece(PDataValueType::Command, &command(0x30, 0x0101), true)).unwrap().unwrap();
        assert_eq!(echo.data, Data::None);
    }

    #[test]
    fn a_data_set_beyond_what_all_may_hold_is_dropped_and_the_next_is_taken() {
        let held = AtomicU64::new(90);
        let mut assembly = Assembly::new(&held, 100);
        for (size, kept) in [(11, false), (10, true)] {
            assembly.take(piece(PDataValueType::Command, &command(1, 0), true)).unwrap();
            assert!(assembly.take(piece(PDataValueType::Data, &vec![0; size], false)).unwrap().is_none());
            let message = assembly.take(piece(PDataValueType::Data, &[], true)).unwrap().unwrap();
            assert_eq!(message.data != Data::Dropped, kept);
            assembly.give_back();
            assert_eq!(held.load(Ordering::SeqCst), 90);
        }
    }

    #[test]
    fn pieces_out_of_order_are_errors() {
        let held = AtomicU64::new(0);
        let fresh = || Assembly::new(&held, 100);
        assert!(fresh().take(piece(PDataValueType::Data, b"a", true)).is_err());
        assert!(fresh().take(piece(PDataValueType::Command, b"junk", true)).is_err());
        assert!(fresh().take(piece(PDataValueType::Command, &[0; DICOM_COMMAND_BYTES_MAX + 1], false)).is_err());
        let mut begun = fresh();
        begun.take(piece(PDataValueType::Command, &command(1, 0), true)).unwrap();
        assert!(begun.take(piece(PDataValueType::Command, &command(1, 0), true)).is_err());
        let other = PDataValue { presentation_context_id: 3, ..piece(PDataValueType::Data, b"a", true) };
        assert!(begun.take(other).is_err());
    }
}
