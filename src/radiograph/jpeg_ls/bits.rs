//! The bits of a JPEG-LS scan, most significant first (T.87 A.1): behind a byte of FF comes a byte of
//! seven bits, so that no marker can stand inside.

/// A reader of bits; `None` from any of its methods where the data end.
pub(super) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    /// The next bits, from the top.
    held: u64,
    count: u32,
    /// Bits that the next byte brings.
    width: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, held: 0, count: 0, width: 8 }
    }

    fn fill(&mut self) {
        while self.count <= 56 {
            let Some(byte) = self.data.get(self.at) else { return };
            self.held |= u64::from(*byte) << (64 - self.count - self.width);
            self.count += self.width;
            self.width = if *byte == 0xFF { 7 } else { 8 };
            self.at += 1;
        }
    }

    /// The next `n` bits, at most 32, as a number.
    pub(super) fn read(&mut self, n: u32) -> Option<u32> {
        if self.count < n {
            self.fill();
        }
        if n == 0 {
            return Some(0);
        }
        if n > 32 || self.count < n {
            return None;
        }
        let value = self.held >> (64 - n);
        self.consume(n);
        u32::try_from(value).ok()
    }

    /// Zeros, at most `most`, and the one behind them; `None` also where there are more.
    pub(super) fn zeros(&mut self, most: u32) -> Option<u32> {
        if self.count <= most {
            self.fill();
        }
        let zeros = self.held.leading_zeros();
        if zeros > most || zeros >= self.count {
            return None;
        }
        self.consume(zeros + 1);
        Some(zeros)
    }

    /// Drops the next `n` bits, fewer than 64.
    fn consume(&mut self, n: u32) {
        self.held <<= n;
        self.count -= n;
    }

    /// Whole bytes that were not needed.
    pub(super) fn bytes_left(&self) -> usize {
        self.data.len() - self.at + (self.count / 8) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_ff_stand_seven_bits() {
        let mut bits = Bits::new(&[0xFF, 0x55, 0x80]);
        assert_eq!(bits.read(8), Some(0xFF));
        assert_eq!(bits.read(7), Some(0x55));
        assert_eq!((bits.zeros(3), bits.zeros(7)), (Some(0), None));
        assert_eq!(bits.read(7), Some(0));
        assert_eq!(bits.read(1), None);
        assert_eq!(bits.read(0), Some(0));
    }

    #[test]
    fn zeros_end_at_their_bound_and_at_the_end_of_the_data() {
        assert_eq!(Bits::new(&[0, 0, 1]).zeros(23), Some(23));
        assert_eq!(Bits::new(&[0, 0, 1]).zeros(22), None);
        assert_eq!(Bits::new(&[0, 0]).zeros(60), None);
        assert_eq!(Bits::new(&[]).zeros(0), None);
    }
}
