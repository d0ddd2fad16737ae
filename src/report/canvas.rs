//! A picture that is drawn on: rectangles, text, and out comes a PNG file. Drawing outside the picture
//! is cut off, never a panic.

use super::colour::Rgb;
use super::lettering::{self, Mark};
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// A heat map of a finding that the model has not learnt.
    #[error("finding {finding} is untrained: there is no heat map of it")]
    Untrained {
        /// Id of the finding.
        finding: String,
    },
    /// The PNG encoder failed.
    #[error("the picture could not be encoded as PNG: {0}")]
    Encode(#[from] image::ImageError),
}

/// A colour picture of fixed size, row by row from the top left.
pub struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<Rgb>,
}

/// A rectangle in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// Left edge.
    pub x: usize,
    /// Upper edge.
    pub y: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// How a text looks.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Size, pixels an em.
    pub em_px: f32,
    /// Colour.
    pub colour: Rgb,
    /// Weight.
    pub weight: Weight,
}

/// Weight of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// As the font is.
    Regular,
    /// Emboldened: drawn twice, a little apart.
    Strong,
}

impl Style {
    /// Regular text.
    pub fn regular(em_px: f32, colour: Rgb) -> Self {
        Self { em_px, colour, weight: Weight::Regular }
    }

    /// Emboldened text.
    pub fn strong(em_px: f32, colour: Rgb) -> Self {
        Self { em_px, colour, weight: Weight::Strong }
    }

    /// The same, smaller where `text` is wider than `room` pixels; never below `least_px` an em.
    pub fn fitting(self, text: &str, room: f32, least_px: f32) -> Self {
        let width = lettering::width(text, self.em_px);
        if width <= room { self } else { Self { em_px: (self.em_px * room / width).max(least_px), ..self } }
    }
}

impl Canvas {
    /// A picture of one colour.
    pub fn new(width: usize, height: usize, colour: Rgb) -> Self {
        Self { width, height, pixels: vec![colour; width * height] }
    }

    /// Fills a rectangle.
    pub fn fill(&mut self, area: Area, colour: Rgb) {
        self.paint(area, |_, _| colour);
    }

    /// Draws the border of a rectangle, one pixel wide, inside it.
    pub fn frame(&mut self, area: Area, colour: Rgb) {
        let Area { x, y, width, height } = area;
        for (y, height) in [(y, 1), (y + height.saturating_sub(1), 1)] {
            self.fill(Area { x, y, width, height }, colour);
        }
        for (x, width) in [(x, 1), (x + width.saturating_sub(1), 1)] {
            self.fill(Area { x, y, width, height }, colour);
        }
    }

    /// Paints a rectangle with the colour of each column and row in it.
    pub fn paint(&mut self, area: Area, colour: impl Fn(usize, usize) -> Rgb) {
        let end = area.x.saturating_add(area.width).min(self.width);
        for y in area.y..area.y.saturating_add(area.height).min(self.height) {
            let Some(row) = self.pixels.get_mut(y * self.width + area.x.min(end)..y * self.width + end) else { continue };
            for (x, pixel) in row.iter_mut().enumerate() {
                *pixel = colour(x, y - area.y);
            }
        }
    }

    /// Paints a rectangle from two lists of values, a row of the rectangle after the other.
    pub fn paint_from<A: Copy, B: Copy>(&mut self, area: Area, first: &[A], second: &[B], colour: impl Fn(A, B) -> Rgb) {
        let end = area.x.saturating_add(area.width).min(self.width);
        let below = self.pixels.chunks_exact_mut(self.width.max(1)).skip(area.y).take(area.height);
        let width = area.width.max(1);
        for ((row, first), second) in below.zip(first.chunks_exact(width)).zip(second.chunks_exact(width)) {
            let Some(row) = row.get_mut(area.x.min(end)..end) else { continue };
            for ((pixel, a), b) in row.iter_mut().zip(first).zip(second) {
                *pixel = colour(*a, *b);
            }
        }
    }

    /// Writes a text that starts at `x` on the `baseline`.
    pub fn text(&mut self, text: &str, x: f32, baseline: f32, style: Style) {
        self.write(text, x, baseline, style);
        if style.weight == Weight::Strong {
            self.write(text, x + style.em_px / 40.0, baseline, style);
        }
    }

    /// Writes a text that ends at `x`.
    pub fn text_to(&mut self, text: &str, x: f32, baseline: f32, style: Style) {
        self.text(text, x - lettering::width(text, style.em_px), baseline, style);
    }

    /// Writes a text around the middle `x`.
    pub fn text_around(&mut self, text: &str, x: f32, baseline: f32, style: Style) {
        self.text(text, x - lettering::width(text, style.em_px) / 2.0, baseline, style);
    }

    fn write(&mut self, text: &str, x: f32, baseline: f32, style: Style) {
        for mark in lettering::marks(text, style.em_px, x, baseline) {
            match mark {
                Mark::Outline(glyph) => {
                    let bounds = glyph.px_bounds();
                    let (left, top) = (bounds.min.x.floor() as i64, bounds.min.y.floor() as i64);
                    glyph.draw(|x, y, share| self.blend(left + i64::from(x), top + i64::from(y), style.colour, share));
                }
                Mark::Missing(x, width) => self.frame(missing_box(x, width, baseline, style.em_px), style.colour),
            }
        }
    }

    fn blend(&mut self, x: i64, y: i64, colour: Rgb, share: f32) {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return };
        if x >= self.width {
            return;
        }
        let Some(pixel) = self.pixels.get_mut(y * self.width + x) else { return };
        let share = share.clamp(0.0, 1.0);
        for (p, c) in pixel.iter_mut().zip(colour) {
            *p = (f32::from(*p) * (1.0 - share) + f32::from(c) * share).round() as u8;
        }
    }

    /// Columns, rows, and the pixels row by row, three bytes each.
    pub fn into_rgb(self) -> (usize, usize, Vec<u8>) {
        (self.width, self.height, self.pixels.into_flattened())
    }

    /// The picture as a PNG file.
    ///
    /// # Errors
    /// [`PictureError::Encode`].
    pub fn png(&self) -> Result<Vec<u8>, PictureError> {
        let mut file = Vec::new();
        // On films this filter alone gives files as small as a choice row by row, in four fifths of the time.
        let encoder = PngEncoder::new_with_quality(&mut file, CompressionType::Fast, FilterType::Paeth);
        let (Ok(width), Ok(height)) = (u32::try_from(self.width), u32::try_from(self.height)) else {
            let kind = image::error::LimitErrorKind::DimensionError;
            return Err(image::ImageError::Limits(image::error::LimitError::from_kind(kind)).into());
        };
        encoder.write_image(self.pixels.as_flattened(), width, height, ExtendedColorType::Rgb8)?;
        Ok(file)
    }
}

/// The box drawn for a missing character; what lies left of the picture is cut off.
fn missing_box(x: f32, width: f32, baseline: f32, em_px: f32) -> Area {
    let pixels = |v: f32| v.max(0.0).round() as usize;
    Area {
        x: pixels(x + 0.1 * em_px),
        y: pixels(baseline - 0.75 * em_px),
        width: pixels(width - 0.2 * em_px),
        height: pixels(0.8 * em_px),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawing_outside_the_picture_is_cut_off() {
        let mut canvas = Canvas::new(10, 5, [0; 3]);
        canvas.fill(Area { x: 8, y: 3, width: usize::MAX, height: usize::MAX }, [9; 3]);
        canvas.fill(Area { x: 50, y: 50, width: 1, height: 1 }, [7; 3]);
        canvas.frame(Area { x: 9, y: 0, width: 30, height: 0 }, [1; 3]);
        assert_eq!(canvas.pixels.iter().filter(|p| **p == [9; 3]).count(), 4);
        for (x, baseline) in [(-100.0, -100.0), (5.0, 2.0), (1e9, 1e9), (-5.0, 4.0)] {
            canvas.text("胸片 龘 x", x, baseline, Style::strong(12.0, [255; 3]));
        }
    }

    #[test]
    fn a_picture_survives_its_png_file() {
        let mut canvas = Canvas::new(3, 2, [1, 2, 3]);
        canvas.fill(Area { x: 1, y: 0, width: 1, height: 2 }, [200, 100, 50]);
        let back = image::load_from_memory(&canvas.png().unwrap()).unwrap().into_rgb8();
        assert_eq!(back.dimensions(), (3, 2));
        assert_eq!(back.as_raw().as_slice(), canvas.pixels.as_flattened());
    }
}
