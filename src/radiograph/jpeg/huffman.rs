//! The Huffman codes of JPEG (T.81 Annexes C and F.2.2) and the bits of a scan.

/// Codes up to this length are found in one step.
const SHORT: u32 = 9;

/// A table of codes.
#[derive(Clone)]
pub(super) struct Codes {
    /// Symbol and length by the next [`SHORT`] bits; length 0 for longer codes.
    short: Vec<(u8, u8)>,
    /// For each length 1 to 16: the code behind its last one, and what is added to a code for its symbol's index.
    behind: [u32; 17],
    offset: [i32; 17],
    symbols: Vec<u8>,
}

impl Codes {
    /// The codes of a DHT segment: how many of each length, and their symbols. `None` where they do not fit.
    pub(super) fn of(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let (mut behind, mut offset) = ([0; 17], [0; 17]);
        let mut short = vec![(0, 0); 1 << SHORT];
        let (mut code, mut index) = (0_u32, 0_usize);
        for (length, count) in (1_u32..).zip(counts) {
            code <<= 1;
            let at = usize::try_from(length).ok()?;
            offset[at] = i32::try_from(index).ok()? - i32::try_from(code).ok()?;
            for _ in 0..*count {
                let symbol = *symbols.get(index)?;
                if code >> length != 0 {
                    return None;
                }
                if length <= SHORT {
                    let first = usize::try_from(code << (SHORT - length)).ok()?;
                    short.get_mut(first..first + (1 << (SHORT - length)))?.fill((symbol, u8::try_from(length).ok()?));
                }
                code += 1;
                index += 1;
            }
            behind[at] = code;
        }
        (index == symbols.len()).then(|| Self { short, behind, offset, symbols: symbols.to_vec() })
    }
}

/// The bits of a scan, most significant first, without the zeros stuffed behind FF.
pub(super) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    held: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, held: 0, count: 0 }
    }

    /// Takes bytes in, up to the next marker or the end.
    fn fill(&mut self) {
        while self.count <= 56 {
            let byte = match self.data.get(self.at..) {
                Some([0xFF, 0x00, ..]) => {
                    self.at += 1;
                    0xFF
                }
                Some([0xFF, ..]) | Some([]) | None => return,
                Some([byte, ..]) => *byte,
            };
            self.at += 1;
            self.held |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    /// The next symbol; `None` where the data end or no code begins so.
    pub(super) fn symbol(&mut self, codes: &Codes) -> Option<u8> {
        if self.count < 16 {
            self.fill();
        }
        let next = usize::try_from(self.held >> (64 - SHORT)).ok()?;
        let (symbol, length) = *codes.short.get(next)?;
        if length > 0 {
            return self.take(u32::from(length)).map(|()| symbol);
        }
        for length in SHORT + 1..=16 {
            let code = u32::try_from(self.held >> (64 - length)).ok()?;
            let at = usize::try_from(length).ok()?;
            if code < *codes.behind.get(at)? {
                self.take(length)?;
                let index = i32::try_from(code).ok()? + codes.offset.get(at)?;
                return codes.symbols.get(usize::try_from(index).ok()?).copied();
            }
        }
        None
    }

    /// The next `n` bits, at most 16, as the difference or coefficient they mean (T.81 F.12, EXTEND).
    pub(super) fn signed(&mut self, n: u32) -> Option<i32> {
        if n == 0 {
            return Some(0);
        }
        if n > 16 {
            return None;
        }
        if self.count < n {
            self.fill();
        }
        let value = i32::try_from(self.held >> (64 - n)).ok()?;
        self.take(n)?;
        Some(if value < 1 << (n - 1) { value - (1 << n) + 1 } else { value })
    }

    fn take(&mut self, n: u32) -> Option<()> {
        self.count = self.count.checked_sub(n)?;
        self.held <<= n;
        Some(())
    }

    /// Steps over a restart marker; `None` where none stands here.
    pub(super) fn restart(&mut self) -> Option<()> {
        if self.count >= 8 {
            return None;
        }
        (self.held, self.count) = (0, 0);
        while let Some([0xFF, 0xFF, ..]) = self.data.get(self.at..) {
            self.at += 1;
        }
        match self.data.get(self.at..) {
            Some([0xFF, 0xD0..=0xD7, ..]) => {
                self.at += 2;
                Some(())
            }
            _ => None,
        }
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
    fn codes_are_counted_up_length_by_length() {
        // 0, 10, 110, and one of 16 bits: 1110 0000 0000 0000.
        let mut counts = [0; 16];
        (counts[0], counts[1], counts[2], counts[15]) = (1, 1, 1, 1);
        let codes = Codes::of(&counts, b"abcd").unwrap();
        let mut bits = Bits::new(&[0b0101_1011, 0b1000_0000, 0]);
        let read: Vec<u8> = std::iter::from_fn(|| bits.symbol(&codes)).collect();
        assert_eq!(read, b"abcdaa");
    }

    #[test]
    fn codes_that_do_not_fit_are_none() {
        let mut counts = [0; 16];
        counts[0] = 3;
        assert!(Codes::of(&counts, b"abc").is_none());
        counts[0] = 1;
        assert!(Codes::of(&counts, b"").is_none());
        assert!(Codes::of(&counts, b"ab").is_none());
    }

    #[test]
    fn a_restart_marker_is_found_behind_the_last_byte_alone() {
        let mut bits = Bits::new(&[0xA5, 0xFF, 0xD3, 0xFF, 0x00]);
        assert_eq!(bits.signed(4), Some(0xA));
        assert_eq!(bits.signed(4), Some(5 - 15));
        assert_eq!(bits.signed(1), None);
        assert!(bits.restart().is_some());
        assert_eq!(bits.signed(8), Some(0xFF));
        assert!(bits.restart().is_none());
    }
}
