//! Bytes of an unknown file to a film: the format by its first bytes, the way of that format, and
//! what all formats share at the end.

use super::grey::{Grey, Samples};
use super::layout::Sign;
use super::picture::{self, Format};
use super::refusal::{Code, Refusal};
use super::tone::{self, Modality, Polarity, Voi};
use super::{Facts, Radiograph, Step, dicom, precheck};
use crate::limits::FILE_BYTES;

/// Share of a film's pixels left out at either end when its contrast is taken: labels and markers
/// cover less, and the body of any film covers far more.
const BLANK_TAIL: f64 = 0.01;
/// A film whose remaining greys span less than this is blank: four steps of eight bits, the noise of an unexposed detector.
const BLANK_SPREAD: f32 = 4.0 / 255.0;

/// Decodes a file of unknown origin.
///
/// # Errors
/// A [`Refusal`] for everything that is not a film as far as the file's format and header say; see
/// [`Code`]. Whether the pixels show a chest is decided later.
pub fn decode(bytes: &[u8]) -> Result<Radiograph, Refusal> {
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if size == 0 {
        return Err(Refusal::new(Code::DamagedFile, "the file is empty"));
    }
    if size > FILE_BYTES {
        return Err(Refusal::new(Code::TooLarge, format!("the file has {size} bytes, the most allowed is {FILE_BYTES}")));
    }
    match Format::of(bytes) {
        Some(format) => picture::decode(bytes, format),
        None if precheck::is_dicom(bytes) => dicom::decode(bytes),
        None => Err(Refusal::new(Code::UnknownFormat, format!("the first of {size} bytes are of no known format"))),
    }
}

/// Decoded samples and all that gives them their greys.
pub(super) struct Decoded {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) samples: Samples,
    pub(super) sign: Sign,
    pub(super) modality: Modality,
    pub(super) voi: Voi,
    pub(super) polarity: Polarity,
}

impl Decoded {
    /// Builds the film.
    ///
    /// # Errors
    /// `BlankFilm` where nothing is to be seen, `DamagedFile` where samples and sides disagree.
    pub(super) fn film(self, facts: Facts, steps: Vec<Step>) -> Result<Radiograph, Refusal> {
        let tone = tone::table(&self.samples, self.sign, &self.modality, &self.voi, self.polarity);
        let spread = contrast(&tone::histogram(&self.samples), &tone);
        if spread < BLANK_SPREAD {
            let detail = format!(
                "the greys between the darkest and the brightest hundredth span {spread:.4}, needed are {BLANK_SPREAD:.4}"
            );
            return Err(Refusal::new(Code::BlankFilm, detail));
        }
        let grey = Grey::new(self.width, self.height, self.samples, tone)
            .ok_or_else(|| Refusal::new(Code::DamagedFile, "the samples do not fill the picture's rows and columns"))?;
        Ok(Radiograph { grey, facts, steps })
    }
}

/// Difference of the greys that leave [`BLANK_TAIL`] of the pixels below and above them.
fn contrast(counts: &[u32], tone: &[f32]) -> f32 {
    let mut greys: Vec<(f32, u64)> = counts.iter().zip(tone).filter(|(n, _)| **n > 0).map(|(n, t)| (*t, u64::from(*n))).collect();
    greys.sort_by(|a, b| a.0.total_cmp(&b.0));
    let all: u64 = greys.iter().map(|(_, n)| n).sum();
    // At most 40 million pixels: exact in f64.
    let tail = (all as f64 * BLANK_TAIL) as u64;
    quantile(greys.iter().rev(), tail) - quantile(greys.iter(), tail)
}

/// The first grey behind `tail` pixels.
fn quantile<'a>(mut greys: impl Iterator<Item = &'a (f32, u64)>, tail: u64) -> f32 {
    let mut seen = 0;
    let behind = greys.find(|(_, n)| {
        seen += n;
        seen > tail
    });
    behind.map_or(0.0, |(grey, _)| *grey)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_no_known_format_is_refused_as_that() {
        for bytes in [b"hello, this is a text".as_slice(), b"%PDF-1.7", &[0], &[0; 200], b"GIF89a", b"\x89PNX\r\n\x1a\n"] {
            assert_eq!(decode(bytes).unwrap_err().code(), Code::UnknownFormat);
        }
        assert_eq!(decode(&[]).unwrap_err().code(), Code::DamagedFile);
    }

    #[test]
    fn contrast_leaves_the_outer_hundredths_out() {
        let tone: Vec<f32> = (0..256_u16).map(|v| f32::from(v) / 255.0).collect();
        let mut counts = vec![0_u32; 256];
        counts[100] = 9_800;
        counts[0] = 100;
        counts[255] = 100;
        assert_eq!(contrast(&counts, &tone), 0.0);
        counts[255] = 101;
        assert!(contrast(&counts, &tone) > 0.6);
        assert_eq!(contrast(&[0; 256], &tone), 0.0);
    }
}
