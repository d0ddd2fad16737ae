//! Deterministic mutations of corpus files: the same seed gives the same bytes on every machine.

/// Numbers that parsers stumble over.
const EDGES: [u32; 16] =
    [0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFE, 0xFFFF_FFFF];
/// A mutated file grows to at most this.
const LONGEST: usize = 1 << 20;

/// xorshift64* (Vigna 2016).
pub struct Dice(u64);

impl Dice {
    /// Dice that roll the same for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `n`; 0 for none.
    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 { 0 } else { usize::try_from(self.roll() >> 33).unwrap_or_default() % n }
    }

    fn byte(&mut self) -> u8 {
        self.roll().to_le_bytes()[7]
    }

    /// A position; half of the time among the first bytes, where headers are.
    fn position(&mut self, length: usize) -> usize {
        let reach = if self.below(2) == 0 { length.min(900) } else { length };
        self.below(reach)
    }
}

/// A mutation of `file`, now and then crossed with `other`.
pub fn mutated(file: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    // Half of the compressed films keep their header, or few would reach their decoder.
    let kept = if dice.below(2) == 0 { codestream(file) } else { 0 };
    let mut bytes = file[kept..].to_vec();
    for _ in 0..=dice.below(4) {
        step(&mut bytes, other, dice);
    }
    bytes.splice(0..0, file[..kept].iter().copied());
    bytes.truncate(LONGEST);
    // Half of the PNGs get right check sums, or the decoder would see nothing but wrong ones.
    if bytes.starts_with(b"\x89PNG") && dice.below(2) == 0 {
        sum_chunks(&mut bytes);
    }
    bytes
}

/// Where JPEG, JPEG-LS or JPEG 2000 data begin; 0 where there are none.
fn codestream(file: &[u8]) -> usize {
    file.windows(3).position(|three| matches!(three, [0xFF, 0xD8 | 0x4F, 0xFF])).unwrap_or_default()
}

/// Writes the right check sum behind every chunk of a PNG.
fn sum_chunks(bytes: &mut [u8]) {
    let mut at = 8;
    while let Some([a, b, c, d]) = bytes.get(at..).and_then(<[u8]>::first_chunk::<4>).copied() {
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        let Some(end) = at.checked_add(8).and_then(|start| start.checked_add(length)) else { return };
        let Some(chunk) = bytes.get(at + 4..end) else { return };
        let sum = crc32(chunk).to_be_bytes();
        let Some(place) = bytes.get_mut(end..end + 4) else { return };
        place.copy_from_slice(&sum);
        at = end + 4;
    }
}

/// CRC-32 of PNG (ISO 3309), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let bit = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), bit))
}

fn step(bytes: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    let at = dice.position(bytes.len());
    let span = (1 + dice.below(64)).min(bytes.len() - at.min(bytes.len()));
    match dice.below(10) {
        0 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << dice.below(8);
            }
        }
        1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = dice.byte();
            }
        }
        2..=4 => {
            let edge = EDGES[dice.below(EDGES.len())];
            let number = match dice.below(5) {
                0 => edge.to_le_bytes().to_vec(),
                1 => edge.to_be_bytes().to_vec(),
                2 => edge.to_le_bytes()[..2].to_vec(),
                3 => edge.to_be_bytes()[2..].to_vec(),
                _ => edge.to_le_bytes()[..1].to_vec(),
            };
            for (to, from) in bytes.iter_mut().skip(at).zip(number) {
                *to = from;
            }
        }
        5 => drop(bytes.drain(at..at + span)),
        6 => {
            let copy = bytes[at..at + span].to_vec();
            let to = dice.position(bytes.len());
            bytes.splice(to..to, copy);
        }
        7 => {
            let fill = vec![dice.byte(); span];
            bytes.splice(at..at + span, fill);
        }
        8 => bytes.truncate(dice.below(bytes.len() + 1)),
        _ => {
            let from = dice.below(other.len());
            let piece = &other[from..(from + 1 + dice.below(256)).min(other.len())];
            bytes.splice(at..(at + piece.len()).min(bytes.len()), piece.iter().copied());
        }
    }
}
