//! What the main header of a grey codestream says of its coding (ITU-T T.800 Annex A), as far as this decoder goes.
//!
//! In: a codestream whose markers were walked and bounded. Out: a [`Coding`], or nothing where the
//! stream uses what grey films hardly ever use (several components, code-block styles, regions of
//! interest, coding styles or quantization of single components and tiles, packed packet headers).

use super::block::PLANES_MAX;
use super::segment;

/// Most decomposition levels (Table A.15).
const LEVELS_MAX: u32 = 32;

/// Order of packets (Table A.16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progression {
    LayerResolution,
    ResolutionLayer,
    ResolutionPosition,
    /// By position, and by component and position: of one component both are the same.
    Position,
}

/// How sub-bands become a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wavelet {
    /// 5/3 in whole numbers.
    Reversible,
    /// 9/7.
    Irreversible,
}

/// A rectangle [x0, x1) x [y0, y1) of the reference grid or one of its reductions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rect {
    pub(super) x0: u32,
    pub(super) y0: u32,
    pub(super) x1: u32,
    pub(super) y1: u32,
}

impl Rect {
    pub(super) fn width(&self) -> usize {
        self.x1.saturating_sub(self.x0) as usize
    }

    pub(super) fn height(&self) -> usize {
        self.y1.saturating_sub(self.y0) as usize
    }
}

/// All that is needed to decode one component.
#[derive(Clone, Debug)]
pub(super) struct Coding {
    pub(super) image: Rect,
    /// Origin and size of the tiles.
    pub(super) tile_origin: (u32, u32),
    pub(super) tile_size: (u32, u32),
    pub(super) precision: u32,
    pub(super) layers: u32,
    pub(super) progression: Progression,
    pub(super) levels: u32,
    /// Exponents of a code-block's width and height.
    pub(super) block: (u32, u32),
    pub(super) wavelet: Wavelet,
    /// Exponents of a precinct's width and height, by resolution; the last one stands for those above.
    precincts: Vec<(u32, u32)>,
    pub(super) end_of_header: bool,
    /// Exponent and mantissa of each sub-band, LL first.
    steps: Vec<(u32, u32)>,
    guard_bits: u32,
    /// Where the first tile-part begins.
    pub(super) tiles_at: usize,
}

impl Coding {
    /// `None` where another decoder must be asked.
    pub(super) fn of(stream: &[u8]) -> Option<Self> {
        let siz = segment(stream.get(4..)?)?.0;
        let mut at = 4 + 2 + siz.len();
        let (mut style, mut quantization) = (None, None);
        loop {
            let marker = *stream.get(at..)?.first_chunk::<2>()?;
            if marker == [0xFF, 0x90] {
                break;
            }
            let payload = segment(stream.get(at + 2..)?)?.0;
            match marker {
                [0xFF, 0x52] if style.is_none() => style = Some(payload),
                [0xFF, 0x5C] if quantization.is_none() => quantization = Some(payload),
                // Lengths of tile-parts and packets, registration, comments.
                [0xFF, 0x55 | 0x57 | 0x63 | 0x64] => {}
                _ => return None,
            }
            at += 2 + 2 + payload.len();
        }
        Self::assembled(siz, style?, quantization?, at)
    }

    fn assembled(siz: &[u8], style: &[u8], quantization: &[u8], tiles_at: usize) -> Option<Self> {
        let long = |at: usize| Some(u32::from_be_bytes(*siz.get(at..)?.first_chunk()?));
        let image = Rect { x1: long(2)?, y1: long(6)?, x0: long(10)?, y0: long(14)? };
        let (&[flags, order, high, low, transform, levels, width, height, block_style, wavelet], precincts) =
            style.split_first_chunk::<10>()?;
        // Components: one, without subsampling.
        if siz.get(34..36)? != [0, 1] || siz.get(37..39)? != [1, 1] || transform != 0 || block_style != 0 {
            return None;
        }
        let coding = Self {
            image,
            tile_size: (long(18)?, long(22)?),
            tile_origin: (long(26)?, long(30)?),
            precision: u32::from(siz.get(36)? & 0x7F) + 1,
            layers: u32::from(u16::from_be_bytes([high, low])),
            progression: match order {
                0 => Progression::LayerResolution,
                1 => Progression::ResolutionLayer,
                2 => Progression::ResolutionPosition,
                3 | 4 => Progression::Position,
                _ => return None,
            },
            levels: u32::from(levels),
            block: (u32::from(width) + 2, u32::from(height) + 2),
            wavelet: match wavelet {
                0 => Wavelet::Irreversible,
                1 => Wavelet::Reversible,
                _ => return None,
            },
            precincts: match flags & 1 {
                0 => vec![(15, 15)],
                _ => precincts.iter().map(|p| (u32::from(p & 15), u32::from(p >> 4))).collect(),
            },
            end_of_header: flags & 4 != 0,
            guard_bits: u32::from(quantization.first()? >> 5),
            steps: steps(quantization, levels)?,
            tiles_at,
        };
        // Whole numbers are not quantized, and nothing else is left unquantized.
        let whole = quantization.first()? & 31 == 0;
        (coding.is_usual() && whole == (coding.wavelet == Wavelet::Reversible)).then_some(coding)
    }

    /// What the decoder relies on beyond the bounds that were checked.
    fn is_usual(&self) -> bool {
        let bands = 1 + 3 * self.levels.min(LEVELS_MAX);
        let planes = (0..bands).all(|band| (1..=PLANES_MAX).contains(&self.planes(band)));
        // Above the lowest resolution a precinct of side 1 would cover no whole coefficient of a sub-band.
        let precincts = (1..=self.levels).all(|r| self.precinct(r).0 > 0 && self.precinct(r).1 > 0);
        let single = self.precincts.len() == 1 || self.precincts.len() == self.levels as usize + 1;
        let sides = self.image.width() > 0 && self.image.height() > 0 && self.tile_size.0 > 0 && self.tile_size.1 > 0;
        let blocks = self.block.0 <= 10 && self.block.1 <= 10 && self.block.0 + self.block.1 <= 12;
        self.levels <= LEVELS_MAX && planes && precincts && single && sides && blocks && self.layers > 0
    }

    /// Exponents of the precincts of a resolution.
    pub(super) fn precinct(&self, resolution: u32) -> (u32, u32) {
        self.precincts.get(resolution as usize).or(self.precincts.last()).copied().unwrap_or((15, 15))
    }

    /// Bit-planes of a sub-band, counted from LL (equation E-2); 0 where the file does not say.
    pub(super) fn planes(&self, band: u32) -> u32 {
        self.steps.get(band as usize).map_or(0, |(exponent, _)| (self.guard_bits + exponent).saturating_sub(1))
    }

    /// Size of a quantization step (equation E-3); `gain` is the exponent of the sub-band's gain.
    pub(super) fn step(&self, band: u32, gain: u32) -> f32 {
        let (exponent, mantissa) = self.steps.get(band as usize).copied().unwrap_or_default();
        2.0_f32.powi((self.precision + gain) as i32 - exponent as i32) * (1.0 + mantissa as f32 / 2048.0)
    }
}

/// Exponents and mantissas of the QCD marker (A.6.4).
fn steps(quantization: &[u8], levels: u8) -> Option<Vec<(u32, u32)>> {
    let (style, values) = quantization.split_first()?;
    let word = |two: &[u8; 2]| {
        let value = u32::from(u16::from_be_bytes(*two));
        (value >> 11, value & 0x7FF)
    };
    match style & 31 {
        0 => Some(values.iter().map(|v| (u32::from(v >> 3), 0)).collect()),
        // One step for LL; the others follow from it (equation E-5).
        1 => {
            let (exponent, mantissa) = word(values.first_chunk()?);
            let below = |level: u32| (exponent.saturating_sub(level), mantissa);
            let others = (0..u32::from(levels)).flat_map(|level| [below(level); 3]);
            Some(std::iter::once(below(0)).chain(others).collect())
        }
        2 => Some(values.as_chunks::<2>().0.iter().map(word).collect()),
        _ => None,
    }
}
