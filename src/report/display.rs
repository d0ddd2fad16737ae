//! The film as pictures show it: upright, in its own aspect ratio, reduced once for all pictures of it.

use crate::input::resample;
use crate::limits::{DISPLAY_SIDE_MAX_PX, DISPLAY_SIDE_MIN_PX};
use crate::radiograph::Grey;

/// A film at the size of a picture: greys [height, width], 0 black to 255 white.
#[derive(Clone, Debug, PartialEq)]
pub struct Display {
    width: usize,
    height: usize,
    greys: Vec<u8>,
}

impl Display {
    /// Reduces a film by area averaging so that its longer side is at most [`DISPLAY_SIDE_MAX_PX`]; a film
    /// whose longer side is below [`DISPLAY_SIDE_MIN_PX`] is enlarged to that, so that captions can be read.
    pub fn of(film: &Grey) -> Self {
        let longer = film.width().max(film.height());
        let (width, height) = scaled(film.width(), film.height(), longer.clamp(DISPLAY_SIDE_MIN_PX, DISPLAY_SIDE_MAX_PX));
        Self::at(film, width, height)
    }

    /// A display as it was kept.
    pub(super) fn kept(width: usize, height: usize, greys: Vec<u8>) -> Self {
        Self { width, height, greys }
    }

    /// The film at exactly `width` x `height`.
    fn at(film: &Grey, width: usize, height: usize) -> Self {
        let greys = resample(film, width, height).into_iter().map(|v| (v * 255.0).round() as u8).collect();
        Self { width, height, greys }
    }

    /// The same film at another width, in the same aspect ratio.
    pub(crate) fn with_longer_side(&self, longer: usize) -> Self {
        let (width, height) = scaled(self.width, self.height, longer);
        if width == self.width && height == self.height {
            return self.clone();
        }
        let tone = crate::radiograph::linear_tone(1 << 8);
        let samples = crate::radiograph::Samples::U8(self.greys.clone());
        Grey::new(self.width, self.height, samples, tone).map_or_else(|| self.clone(), |film| Self::at(&film, width, height))
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Greys, row by row.
    pub fn greys(&self) -> &[u8] {
        &self.greys
    }
}

/// `width` x `height` scaled so that the longer of them is `longer`; none below 1.
pub(crate) fn scaled(width: usize, height: usize, longer: usize) -> (usize, usize) {
    let factor = longer as f64 / width.max(height).max(1) as f64;
    let side = |s: usize| ((s as f64 * factor).round() as usize).max(1);
    (side(width), side(height))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::radiograph::{Samples, linear_tone};

    fn film(width: usize, height: usize) -> Grey {
        Grey::new(width, height, Samples::U8(vec![100; width * height]), linear_tone(256)).unwrap()
    }

    #[test]
    fn a_display_keeps_the_film_s_aspect_ratio_within_its_bounds() {
        for (width, height, want) in [
            (2048, 2500, (839, 1024)),
            (2500, 2048, (1024, 839)),
            (1024, 1024, (1024, 1024)),
            (800, 700, (800, 700)),
            (128, 64, (640, 320)),
            (3000, 48, (1024, 16)),
            (48, 9000, (5, 1024)),
        ] {
            let display = Display::of(&film(width, height));
            assert_eq!((display.width(), display.height()), want, "{width} x {height}");
            assert!(display.greys().iter().all(|g| *g == 100));
        }
    }

    #[test]
    fn a_display_can_be_shown_smaller() {
        let small = Display::of(&film(2500, 2048)).with_longer_side(300);
        assert_eq!((small.width(), small.height(), small.greys().len()), (300, 246, 300 * 246));
    }
}
