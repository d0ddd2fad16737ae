//! Grey films that were stored with colour channels, and pictures that really have colours.
//!
//! A pixel is coloured where its channels differ by more than [`CHROMA_TOLERANCE`]; a picture is
//! coloured where more than [`COLOURED_SHARE_MAX`] of its pixels are. What is left is turned grey with
//! the weights of ITU-R BT.601, which give equal channels back exactly.

use super::refusal::{Code, Refusal};

/// Largest difference of two channels of a grey pixel, of 255. JPEG's rounding and chroma
/// subsampling leave up to 8 in grey pictures; sepia starts at about 30.
const CHROMA_TOLERANCE: u32 = 16;
/// Largest share of coloured pixels, one in so many: a coloured marker of 30 x 30 pixels on a film of a million passes.
const COLOURED_SHARE_MAX: usize = 1_000;

/// A sample of 8 or 16 bits.
pub(super) trait Sample: Copy + Ord + Default {
    /// The highest value.
    const TOP: u32;
    /// The value in 32 bits.
    fn wide(self) -> u32;
    /// A value of at most [`Self::TOP`]; more is cut to it.
    fn narrow(value: u32) -> Self;
}

impl Sample for u8 {
    const TOP: u32 = 255;
    fn wide(self) -> u32 {
        u32::from(self)
    }
    fn narrow(value: u32) -> Self {
        Self::try_from(value).unwrap_or(Self::MAX)
    }
}

impl Sample for u16 {
    const TOP: u32 = 65_535;
    fn wide(self) -> u32 {
        u32::from(self)
    }
    fn narrow(value: u32) -> Self {
        Self::try_from(value).unwrap_or(Self::MAX)
    }
}

/// Grey of interleaved red, green, blue.
///
/// # Errors
/// `ColourPicture` where too many pixels have colours.
pub(super) fn grey_of_rgb<T: Sample>(pixels: &[T]) -> Result<Vec<T>, Refusal> {
    grey(pixels.as_chunks::<3>().0, |[r, g, b]| [*r, *g, *b])
}

/// Grey of interleaved red, green, blue, alpha; transparency is laid over black unless there is none.
///
/// # Errors
/// `ColourPicture` where too many pixels have colours.
pub(super) fn grey_of_rgba<T: Sample>(pixels: &[T]) -> Result<Vec<T>, Refusal> {
    let pixels = pixels.as_chunks::<4>().0;
    if pixels.iter().all(|[.., a]| a.wide() == T::TOP) {
        return grey(pixels, |[r, g, b, _]| [*r, *g, *b]);
    }
    grey(pixels, |[r, g, b, a]| [over_black(*r, *a), over_black(*g, *a), over_black(*b, *a)])
}

/// Grey of interleaved grey and alpha.
pub(super) fn grey_of_grey_alpha<T: Sample>(pixels: &[T]) -> Vec<T> {
    pixels.as_chunks::<2>().0.iter().map(|[v, a]| over_black(*v, *a)).collect()
}

fn grey<T: Sample, const N: usize>(pixels: &[[T; N]], rgb: impl Fn(&[T; N]) -> [T; 3]) -> Result<Vec<T>, Refusal> {
    let tolerance = CHROMA_TOLERANCE * (T::TOP / 255);
    let mut coloured = 0_usize;
    let greys = pixels
        .iter()
        .map(|pixel| {
            let [r, g, b] = rgb(pixel);
            let spread = r.max(g).max(b).wide() - r.min(g).min(b).wide();
            coloured += usize::from(spread > tolerance);
            luma(r, g, b)
        })
        .collect();
    check(coloured, pixels.len())?;
    Ok(greys)
}

/// 0.299 R + 0.587 G + 0.114 B in 16-bit fixed point; the weights sum to one, so that equal channels stay.
fn luma<T: Sample>(r: T, g: T, b: T) -> T {
    let sum = u64::from(r.wide()) * 19_595 + u64::from(g.wide()) * 38_470 + u64::from(b.wide()) * 7_471 + 0x8000;
    T::narrow(u32::try_from(sum >> 16).unwrap_or(T::TOP))
}

fn over_black<T: Sample>(value: T, alpha: T) -> T {
    // At most 65,535 squared, plus half: within 32 bits.
    T::narrow((value.wide() * alpha.wide() + T::TOP / 2) / T::TOP)
}

/// Refuses a picture where `coloured` of `pixels` have colours.
///
/// # Errors
/// `ColourPicture`.
pub(super) fn check(coloured: usize, pixels: usize) -> Result<(), Refusal> {
    if coloured > pixels / COLOURED_SHARE_MAX {
        let detail = format!("{coloured} of {pixels} pixels have colours, the most allowed is one in {COLOURED_SHARE_MAX}");
        return Err(Refusal::new(Code::ColourPicture, detail));
    }
    Ok(())
}

/// Whether a chroma pair (128 is none) is a colour.
pub(super) fn is_chroma(cb: u8, cr: u8) -> bool {
    u32::from(cb.abs_diff(128).max(cr.abs_diff(128))) > CHROMA_TOLERANCE / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_channels_come_back_exactly() {
        let rgb: Vec<u8> = (0..=255).flat_map(|v| [v; 3]).collect();
        assert_eq!(grey_of_rgb(&rgb).unwrap(), (0..=255).collect::<Vec<u8>>());
        let rgba: Vec<u16> = (0..=65_535).flat_map(|v| [v, v, v, 65_535]).collect();
        assert_eq!(grey_of_rgba(&rgba).unwrap(), (0..=65_535).collect::<Vec<u16>>());
    }

    #[test]
    fn transparency_is_laid_over_black() {
        assert_eq!(grey_of_rgba(&[200_u8, 200, 200, 0, 200, 200, 200, 255]).unwrap(), [0, 200]);
        assert_eq!(grey_of_grey_alpha(&[200_u8, 128, 65, 255]), [100, 65]);
        assert_eq!(grey_of_grey_alpha(&[65_535_u16, 65_535]), [65_535]);
    }

    #[test]
    fn one_coloured_pixel_in_a_thousand_passes_and_two_do_not() {
        let mut rgb = vec![100_u8; 3000];
        rgb[0] = 117;
        assert!(grey_of_rgb(&rgb).is_ok());
        rgb[3] = 117;
        assert_eq!(grey_of_rgb(&rgb).unwrap_err().code(), Code::ColourPicture);
        rgb[3] = 116;
        assert!(grey_of_rgb(&rgb).is_ok());
    }
}
