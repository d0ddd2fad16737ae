//! Pictures for whoever lays them over each other: the film alone in grey, and the heat alone in colour on nothing.

use super::canvas::PictureError;
use super::colour;
use super::display::{Display, scaled};
use crate::grad_cam::HeatMap;
use crate::limits::LAYER_SIDE_PX;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

/// Longest side of the film on a printed report, pixels: a third of a page at 200 dots an inch.
pub(super) const REPORT_SIDE_PX: usize = 512;

/// The heat map alone, stretched to the shape of a film of `columns` x `rows`: colour whose opacity is 0 where there is no
/// heat and 255 at the peak. A PNG file whose longer side has [`LAYER_SIDE_PX`] pixels.
///
/// # Errors
/// [`PictureError::Encode`].
pub fn layer(heat: &HeatMap, columns: usize, rows: usize) -> Result<Vec<u8>, PictureError> {
    let (width, height) = scaled(columns.max(1), rows.max(1), LAYER_SIDE_PX);
    let pixels: Vec<u8> = heat.at_film_size(width, height).into_iter().flat_map(colour::over_nothing).collect();
    png(&pixels, width, height, ExtendedColorType::Rgba8)
}

/// The film alone in 8-bit grey: a PNG file.
///
/// # Errors
/// [`PictureError::Encode`].
pub fn film_png(film: &Display) -> Result<Vec<u8>, PictureError> {
    png(film.greys(), film.width(), film.height(), ExtendedColorType::L8)
}

/// The film in a PNG file that [`film_png`] wrote.
pub fn film_of_png(png: &[u8]) -> Option<Display> {
    let picture = image::load_from_memory_with_format(png, image::ImageFormat::Png).ok()?.into_luma8();
    let (width, height) = (usize::try_from(picture.width()).ok()?, usize::try_from(picture.height()).ok()?);
    Some(Display::kept(width, height, picture.into_raw()))
}

fn png(pixels: &[u8], width: usize, height: usize, colour: ExtendedColorType) -> Result<Vec<u8>, PictureError> {
    let mut out = Vec::new();
    let side = |s: usize| u32::try_from(s).unwrap_or(u32::MAX);
    PngEncoder::new_with_quality(&mut out, CompressionType::Fast, FilterType::Paeth).write_image(
        pixels,
        side(width),
        side(height),
        colour,
    )?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grad_cam::heat_map;
    use crate::radiograph::{Grey, Samples, linear_tone};

    #[test]
    fn a_layer_has_the_film_s_shape_and_is_clear_where_there_is_no_heat() {
        let heat = heat_map(&[0.0, 0.0, 0.0, 4.0], 2, &[1.0]).unwrap();
        let picture = image::load_from_memory(&layer(&heat, 2048, 2560).unwrap()).unwrap().into_rgba8();
        assert_eq!(picture.dimensions(), (410, 512));
        assert_eq!((picture.get_pixel(0, 0).0[3], picture.get_pixel(409, 511).0[3]), (0, 255));
    }

    #[test]
    fn a_film_comes_back_grey_by_grey() {
        let greys: Vec<u8> = (0..640 * 700).map(|i| (i % 251) as u8).collect();
        let film = Display::of(&Grey::new(640, 700, Samples::U8(greys.clone()), linear_tone(256)).unwrap());
        let png = film_png(&film).unwrap();
        assert_eq!(film_of_png(&png).as_ref(), Some(&film));
        assert_eq!(image::load_from_memory(&png).unwrap().into_luma8().into_raw(), greys);
    }
}
