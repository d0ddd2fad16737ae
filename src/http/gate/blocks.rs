//! Bytes on their way: a queue in blocks, so that nothing is copied when it grows and memory goes back while it empties.

use std::collections::VecDeque;

/// First block of a queue: a head, or the first drips of a slow body.
const SMALL: usize = 4 << 10;
/// Later blocks.
const LARGE: usize = 64 << 10;

/// A queue of bytes.
#[derive(Debug, Default)]
pub struct Blocks {
    blocks: VecDeque<Vec<u8>>,
    /// Bytes of the first block that are gone.
    gone: usize,
    length: usize,
    held: usize,
}

impl Blocks {
    /// Adds bytes at the end.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = self.blocks.back().map_or(0, |b| b.capacity() - b.len());
            if room == 0 {
                let block = Vec::with_capacity(if self.length < LARGE { SMALL } else { LARGE });
                self.held += block.capacity();
                self.blocks.push_back(block);
                continue;
            }
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            if let Some(block) = self.blocks.back_mut() {
                block.extend_from_slice(now);
            }
            self.length += now.len();
            bytes = later;
        }
    }

    /// The first bytes; empty only where the queue is.
    pub fn front(&self) -> &[u8] {
        self.blocks.front().and_then(|b| b.get(self.gone..)).unwrap_or_default()
    }

    /// Takes `count` of the bytes of [`Self::front`] away.
    pub fn consume(&mut self, count: usize) {
        let count = count.min(self.front().len());
        self.gone += count;
        self.length -= count;
        if self.front().is_empty() {
            self.held -= self.blocks.pop_front().map_or(0, |b| b.capacity());
            self.gone = 0;
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Bytes in the queue.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether no byte is left.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Memory taken.
    pub fn held(&self) -> usize {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in_and_memory_goes_back() {
        let bytes: Vec<u8> = (0..200_000_u32).map(|i| i.to_le_bytes()[0]).collect();
        let mut queue = Blocks::default();
        for piece in bytes.chunks(777) {
            queue.push(piece);
        }
        assert_eq!(queue.len(), bytes.len());
        assert!(queue.held() >= bytes.len() && queue.held() < bytes.len() + 2 * LARGE);
        let mut out = Vec::new();
        while !queue.is_empty() {
            let count = queue.front().len().min(1_001);
            out.extend_from_slice(&queue.front()[..count]);
            queue.consume(count);
        }
        assert_eq!(out, bytes);
        assert_eq!(queue.held(), 0);
    }

    #[test]
    fn a_drip_takes_a_small_block() {
        let mut queue = Blocks::default();
        queue.push(b"x");
        assert_eq!(queue.held(), SMALL);
        queue.consume(5);
        assert_eq!((queue.len(), queue.held(), queue.front()), (0, 0, &b""[..]));
    }
}
