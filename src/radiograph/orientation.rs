//! Turning a stored picture upright as its EXIF orientation says (EXIF 2.3, tag 0x0112).

use super::grey::Samples;
use image::metadata::Orientation;

/// The samples upright, and their (width, height) then. `size` is (width, height) as stored.
pub(super) fn upright(samples: Samples, size: (usize, usize), orientation: Orientation) -> (Samples, (usize, usize)) {
    if orientation == Orientation::NoTransforms {
        return (samples, size);
    }
    let (width, height) = size;
    let turned = match orientation {
        Orientation::NoTransforms | Orientation::Rotate180 | Orientation::FlipHorizontal | Orientation::FlipVertical => size,
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH => {
            (height, width)
        }
    };
    let samples = match samples {
        Samples::U8(v) => Samples::U8(moved(&v, size, turned, orientation)),
        Samples::U16(v) => Samples::U16(moved(&v, size, turned, orientation)),
    };
    (samples, turned)
}

fn moved<T: Copy>(from: &[T], (width, height): (usize, usize), to: (usize, usize), orientation: Orientation) -> Vec<T> {
    let source = |x: usize, y: usize| match orientation {
        Orientation::NoTransforms => (x, y),
        Orientation::FlipHorizontal => (width - 1 - x, y),
        Orientation::FlipVertical => (x, height - 1 - y),
        Orientation::Rotate180 => (width - 1 - x, height - 1 - y),
        Orientation::Rotate90 => (y, height - 1 - x),
        Orientation::Rotate270 => (width - 1 - y, x),
        Orientation::Rotate90FlipH => (y, x),
        Orientation::Rotate270FlipH => (width - 1 - y, height - 1 - x),
    };
    (0..to.1)
        .flat_map(|y| (0..to.0).map(move |x| (x, y)))
        .filter_map(|(x, y)| {
            let (x, y) = source(x, y);
            from.get(y * width + x).copied()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{DynamicImage, GrayImage};

    #[test]
    fn every_orientation_moves_pixels_as_the_image_crate_does() {
        let pixels: Vec<u8> = (0..12).collect();
        for exif in 1..=8 {
            let orientation = Orientation::from_exif(exif).unwrap();
            let mut reference = DynamicImage::ImageLuma8(GrayImage::from_raw(4, 3, pixels.clone()).unwrap());
            reference.apply_orientation(orientation);
            let (samples, (width, height)) = upright(Samples::U8(pixels.clone()), (4, 3), orientation);
            assert_eq!((width, height), (reference.width() as usize, reference.height() as usize), "EXIF {exif}");
            assert!(samples == Samples::U8(reference.into_bytes()), "EXIF {exif}");
        }
    }
}
