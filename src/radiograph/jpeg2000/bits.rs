//! Bits of packet headers, and tag trees (ITU-T T.800 B.10.1 and B.10.2).

/// Bits of a packet header: behind a byte FF one bit is stuffed.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    byte: u8,
    left: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, byte: 0, left: 0 }
    }

    /// `None` at the end of the data.
    pub(super) fn bit(&mut self) -> Option<u32> {
        if self.left == 0 {
            self.left = if self.byte == 0xFF { 7 } else { 8 };
            self.byte = *self.bytes.get(self.at)?;
            self.at += 1;
        }
        self.left -= 1;
        Some(u32::from(self.byte >> self.left) & 1)
    }

    /// At most 32 bits.
    pub(super) fn number(&mut self, bits: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..bits {
            value = value << 1 | self.bit()?;
        }
        Some(value)
    }

    /// Where the bytes go on behind the header.
    pub(super) fn end(self) -> usize {
        // A header does not end with FF: a byte of stuffing follows.
        if self.byte == 0xFF { self.at + 1 } else { self.at }
    }
}

/// A tree over a grid of numbers, each node the least of the four below it.
pub(super) struct TagTree {
    /// First node and columns of each level, leaves first.
    levels: Vec<(usize, usize)>,
    /// What is known of each node: its number is not below this ...
    low: Vec<u32>,
    /// ... and is this.
    found: Vec<bool>,
}

impl TagTree {
    /// A tree over `width` x `height` leaves; none where there are none.
    pub(super) fn new(width: usize, height: usize) -> Self {
        let (mut levels, mut nodes, mut side) = (Vec::new(), 0, (width, height));
        while width * height > 0 {
            levels.push((nodes, side.0));
            nodes += side.0 * side.1;
            if side == (1, 1) {
                break;
            }
            side = (side.0.div_ceil(2), side.1.div_ceil(2));
        }
        Self { levels, low: vec![0; nodes], found: vec![false; nodes] }
    }

    /// Whether the number of the leaf at (`x`, `y`) is below `bound`; reads as many bits as that takes.
    pub(super) fn is_below(&mut self, x: usize, y: usize, bound: u32, bits: &mut Bits<'_>) -> Option<bool> {
        let (mut low, mut below) = (0, false);
        for (level, (first, columns)) in self.levels.iter().enumerate().rev() {
            let node = first + (y >> level) * columns + (x >> level);
            let (known, found) = (self.low.get_mut(node)?, self.found.get_mut(node)?);
            low = low.max(*known);
            while low < bound && !*found {
                if bits.bit()? == 1 { *found = true } else { low += 1 }
            }
            *known = low;
            below = *found && low < bound;
        }
        Some(below)
    }
}
