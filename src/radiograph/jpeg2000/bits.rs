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
    /// A tree over `width` x `height` leaves.
    pub(super) fn new(width: usize, height: usize) -> Self {
        let (mut levels, mut nodes, mut side) = (Vec::new(), 0, (width, height));
        loop {
            levels.push((nodes, side.0));
            nodes += side.0 * side.1;
            if side.0 <= 1 && side.1 <= 1 {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_is_stuffed_behind_a_byte_of_ones() {
        let mut bits = Bits::new(&[0b1010_0000, 0xFF, 0b0110_0000, 7], 0);
        assert_eq!(bits.number(3), Some(0b101));
        assert_eq!(bits.number(5 + 8), Some(0xFF));
        assert_eq!(bits.number(2), Some(0b11));
        assert_eq!(bits.end(), 3);
        let mut bits = Bits::new(&[0xFF, 0x7F, 9], 0);
        assert_eq!(bits.number(8), Some(0xFF));
        assert_eq!(bits.end(), 2);
        assert_eq!(Bits::new(&[], 0).bit(), None);
    }

    #[test]
    fn a_tag_tree_tells_of_each_leaf_what_the_standard_s_example_says() {
        // T.800 B.10.2, figure B.13: six by three leaves, those of the upper left are 1, 3 and 2; their bits are 01111, 001 and 101.
        let mut bits = Bits::new(&[0b0111_1001, 0b1010_0000], 0);
        let mut tree = TagTree::new(6, 3);
        for (x, value) in [(0, 1), (1, 3), (2, 2)] {
            assert_eq!(tree.is_below(x, 0, value + 1, &mut bits), Some(true), "leaf {x}");
            assert_eq!(tree.is_below(x, 0, value, &mut bits), Some(false), "leaf {x}");
        }
        assert_eq!(bits.number(5), Some(0));
    }
}
