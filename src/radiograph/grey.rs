//! The pixels of a film: stored samples and the tone curve that gives them their grey.
//!
//! Samples stay as the file stores them (one or two bytes each) and the whole chain modality LUT,
//! VOI LUT, polarity is one table over stored values, so that a film of 40 million pixels costs
//! 80 MB and not 160, and no step rounds in between.

/// Stored samples, row by row from the top left.
#[derive(Clone, PartialEq)]
pub enum Samples {
    /// One byte a pixel.
    U8(Vec<u8>),
    /// Two bytes a pixel; signed values are stored with 32,768 added.
    U16(Vec<u16>),
}

impl Samples {
    /// Number of pixels.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(v) => v.len(),
            Self::U16(v) => v.len(),
        }
    }

    /// Whether there is no pixel.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of values a sample can take: the length of its tone table.
    pub fn levels(&self) -> usize {
        match self {
            Self::U8(_) => 1 << 8,
            Self::U16(_) => 1 << 16,
        }
    }
}

/// A grey picture: [height, width] samples and a table that maps each stored value to its grey,
/// 0 (black: air, the film exposed) to 1 (white: bone, metal).
#[derive(Clone, PartialEq)]
pub struct Grey {
    width: usize,
    height: usize,
    samples: Samples,
    tone: Vec<f32>,
}

impl std::fmt::Debug for Grey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Grey({} x {})", self.width, self.height)
    }
}

impl Grey {
    /// Builds a picture. `None` unless there are width x height samples, at least one, and one
    /// finite tone in [0, 1] for each level of a sample.
    pub fn new(width: usize, height: usize, samples: Samples, tone: Vec<f32>) -> Option<Self> {
        let pixels = width.checked_mul(height)?;
        let fits = pixels > 0
            && pixels == samples.len()
            && tone.len() == samples.levels()
            && tone.iter().all(|t| (0.0..=1.0).contains(t));
        fits.then_some(Self { width, height, samples, tone })
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The stored samples.
    pub fn samples(&self) -> &Samples {
        &self.samples
    }

    /// Grey of each stored value, in [0, 1].
    pub fn tone(&self) -> &[f32] {
        &self.tone
    }

    /// Grey of the pixel at column `x`, row `y`; `None` outside the picture.
    pub fn at(&self, x: usize, y: usize) -> Option<f32> {
        if x >= self.width || y >= self.height {
            return None;
        }
        let i = y * self.width + x;
        let level = match &self.samples {
            Samples::U8(v) => usize::from(*v.get(i)?),
            Samples::U16(v) => usize::from(*v.get(i)?),
        };
        self.tone.get(level).copied()
    }

    /// The same film with black and white exchanged.
    pub fn inverted(mut self) -> Self {
        for t in &mut self.tone {
            *t = 1.0 - *t;
        }
        self
    }

    /// Writes the greys of row `y` into `row` (both of one width).
    pub fn row(&self, y: usize, row: &mut [f32]) {
        let start = y * self.width;
        match &self.samples {
            Samples::U8(v) => {
                for (grey, s) in row.iter_mut().zip(&v[start..start + self.width]) {
                    *grey = self.tone[usize::from(*s)];
                }
            }
            Samples::U16(v) => {
                for (grey, s) in row.iter_mut().zip(&v[start..start + self.width]) {
                    *grey = self.tone[usize::from(*s)];
                }
            }
        }
    }
}

/// The tone table of `levels` evenly spaced greys: 0 is black, the highest value white.
pub fn linear_tone(levels: usize) -> Vec<f32> {
    let top = levels.saturating_sub(1).max(1) as f32;
    (0..levels).map(|v| v as f32 / top).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_needs_as_many_samples_as_pixels_and_a_tone_for_each_level() {
        let tone = linear_tone(256);
        assert!(Grey::new(2, 2, Samples::U8(vec![0; 4]), tone.clone()).is_some());
        assert!(Grey::new(2, 2, Samples::U8(vec![0; 3]), tone.clone()).is_none());
        assert!(Grey::new(0, 2, Samples::U8(vec![]), tone.clone()).is_none());
        assert!(Grey::new(usize::MAX, 2, Samples::U8(vec![0; 4]), tone.clone()).is_none());
        assert!(Grey::new(2, 2, Samples::U16(vec![0; 4]), tone).is_none());
        assert!(Grey::new(2, 2, Samples::U8(vec![0; 4]), vec![f32::NAN; 256]).is_none());
    }

    #[test]
    fn inverting_twice_gives_the_film_back() {
        let film = Grey::new(2, 1, Samples::U8(vec![0, 255]), linear_tone(256)).unwrap();
        let inverted = film.clone().inverted();
        assert_eq!(inverted.at(0, 0), Some(1.0));
        assert_eq!(inverted.at(1, 0), Some(0.0));
        assert_eq!(inverted.inverted().at(1, 0), Some(1.0));
    }
}
