//! The drawn film as a file, so that it takes the same way as any film: decoding, gate, preprocessing.

use super::DrawnFilm;
use crate::radiograph::Samples;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

impl DrawnFilm {
    /// The film as a PNG file of 16 bit grey.
    pub fn png(&self) -> Vec<u8> {
        let film = self.draw_u16();
        let samples: Vec<u8> = match film.samples() {
            Samples::U8(v) => v.iter().flat_map(|s| u16::from(*s).to_ne_bytes()).collect(),
            Samples::U16(v) => v.iter().flat_map(|s| s.to_ne_bytes()).collect(),
        };
        // Sides are held to the limits of a film, which fit 32 bits.
        let side = |s: usize| u32::try_from(s).expect("a film's side is at most SIDE_MAX_PX");
        let mut png = Vec::new();
        PngEncoder::new_with_quality(&mut png, CompressionType::Fast, FilterType::Up)
            .write_image(&samples, side(film.width()), side(film.height()), ExtendedColorType::L16)
            .expect("writing to memory does not fail");
        png
    }
}
