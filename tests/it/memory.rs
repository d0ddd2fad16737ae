//! Promise: what a film takes of memory is known from its header before it is decoded.

use crate::allocation::peak_of;
use crate::data;
use crate::dicom_file::{DEFLATED, DicomFile, EXPLICIT_BIG, IMPLICIT_LITTLE, drawn, drawn8};
use chexbox::radiograph::{decode, memory_estimate};
use image::{ExtendedColorType, ImageEncoder, codecs};

const SIDE: u16 = 1_500;

/// Decodes a film; its estimate must hold what that took, and not be more than `times` as much.
pub fn estimated(what: &str, bytes: &[u8], times: u64) {
    let ((outcome, peak), (estimate, scan)) = (peak_of(|| decode(bytes)), peak_of(|| memory_estimate(bytes)));
    outcome.unwrap_or_else(|refusal| panic!("{what}: {refusal}"));
    let taken = bytes.len() as u64 + peak;
    println!("{what}: {taken} bytes taken, {estimate} estimated");
    assert!(estimate >= taken, "{what}: {taken} bytes taken, {estimate} estimated");
    assert!(estimate <= times * taken, "{what}: {taken} bytes taken, {estimate} estimated");
    assert!(scan < 1 << 20, "{what}: the estimate itself took {scan} bytes");
}

#[test]
fn decoding_takes_no_more_than_was_estimated_in_every_dicom_encoding() {
    let deep = DicomFile::chest(SIDE, SIDE, &drawn(SIDE, SIDE, 4_095)).with((0x0028, 0x0101), "US", 12);
    let deep = deep.with((0x0028, 0x0102), "US", 11);
    let grey = drawn8(SIDE, SIDE);
    let plain = DicomFile::chest8(SIDE, SIDE, &grey);
    let rgb = DicomFile::rgb(SIDE, SIDE, &grey.iter().flat_map(|v| [*v; 3]).collect::<Vec<_>>());
    let apart = DicomFile::rgb(SIDE, SIDE, &grey.repeat(3)).with((0x0028, 0x0006), "US", 1);
    for (what, file) in [
        ("explicit, 16 bits", deep.clone()),
        ("implicit, 16 bits", deep.clone().syntax(IMPLICIT_LITTLE)),
        ("big endian, 16 bits", deep.clone().syntax(EXPLICIT_BIG)),
        ("RLE, 16 bits", deep.clone().rle()),
        ("explicit, 8 bits", plain.clone()),
        ("RLE, 8 bits", plain.clone().rle()),
        ("JPEG, 8 bits", plain.clone().jpeg(60_000)),
        ("RGB", rgb.clone()),
        ("RGB by planes", apart),
        ("RGB, RLE", rgb.rle()),
        ("signed, 8 bits", plain.with((0x0028, 0x0103), "US", 1)),
    ] {
        estimated(what, &file.bytes(), 5);
    }
    // What it inflates to is not in its header.
    estimated("deflated", &DicomFile::chest(600, 600, &drawn(600, 600, 4_095)).syntax(DEFLATED).bytes(), 10);
}

#[test]
fn decoding_takes_no_more_than_was_estimated_of_every_picture() {
    let side = u32::from(SIDE);
    let grey = drawn8(SIDE, SIDE);
    let rgb: Vec<u8> = grey.iter().flat_map(|v| [*v; 3]).collect();
    let deep: Vec<u8> = drawn(SIDE, SIDE, 60_000).iter().flat_map(|v| v.to_ne_bytes()).collect();
    let deep_rgba: Vec<u8> =
        drawn(SIDE, SIDE, 60_000).iter().flat_map(|v| [*v, *v, *v, 65_535]).flat_map(u16::to_ne_bytes).collect();
    for (colour, samples) in [
        (ExtendedColorType::L8, &grey),
        (ExtendedColorType::L16, &deep),
        (ExtendedColorType::Rgb8, &rgb),
        (ExtendedColorType::Rgba16, &deep_rgba),
    ] {
        let mut png = Vec::new();
        codecs::png::PngEncoder::new(&mut png).write_image(samples, side, side, colour).unwrap();
        estimated(&format!("PNG {colour:?}"), &png, 5);
        let mut tiff = std::io::Cursor::new(Vec::new());
        codecs::tiff::TiffEncoder::new(&mut tiff).write_image(samples, side, side, colour).unwrap();
        estimated(&format!("TIFF {colour:?}"), &tiff.into_inner(), 5);
    }
    for (colour, samples) in [(ExtendedColorType::L8, &grey), (ExtendedColorType::Rgb8, &rgb)] {
        let mut jpeg = Vec::new();
        codecs::jpeg::JpegEncoder::new(&mut jpeg).write_image(samples, side, side, colour).unwrap();
        estimated(&format!("JPEG {colour:?}"), &jpeg, 8);
    }
}

#[test]
fn decoding_takes_no_more_than_was_estimated_of_a_real_film_in_jpeg_2000() {
    let Some(path) = data::real("dicom-codecs/CR_extremity_J2K.dcm", "the memory of a real film in JPEG 2000") else { return };
    let mut bytes = std::fs::read(path).unwrap();
    // Read as a chest film, which it is not, so that its pixels are decoded.
    let part = bytes.windows(10).position(|w| w == b"EXTREMITY ").unwrap();
    bytes[part..part + 10].copy_from_slice(b"CHEST     ");
    estimated("JPEG 2000", &bytes, 3);
}
