//! The corpus: small films and lies, all drawn here.

use crate::dicom_file::{DEFLATED, DicomFile, EXPLICIT_BIG, Elements, IMPLICIT_LITTLE, JPEG_2000, PLANTED, drawn, drawn8};
use image::{ExtendedColorType, ImageEncoder, codecs};
use std::path::PathBuf;

const ROWS: u16 = 48;
const COLUMNS: u16 = 56;

/// Where the committed corpus lies.
pub fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus"))
}

/// Names and bytes of the committed corpus, by name.
///
/// # Errors
/// Where a file cannot be read.
pub fn read() -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder())? {
        let entry = entry?;
        files.push((entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path())?));
    }
    files.sort();
    Ok(files)
}

/// Names and bytes of every corpus file that is drawn.
pub fn files() -> Vec<(String, Vec<u8>)> {
    let deep = drawn(ROWS, COLUMNS, 4095);
    let flat = drawn8(ROWS, COLUMNS);
    let film = || DicomFile::chest(ROWS, COLUMNS, &deep).with((0x0028, 0x0101), "US", 12).with((0x0028, 0x0102), "US", 11);
    let film8 = || DicomFile::chest8(ROWS, COLUMNS, &flat);
    let rgb: Vec<u8> = flat.iter().flat_map(|v| [*v; 3]).collect();
    let files = [
        ("explicit_window", film().with((0x0028, 0x1050), "DS", "2048\\900").with((0x0028, 0x1051), "DS", "4096\\500")),
        ("explicit_monochrome1", film().with((0x0028, 0x0004), "CS", "MONOCHROME1").with((0x2050, 0x0020), "CS", "INVERSE")),
        ("explicit_rescale", film().with((0x0028, 0x1052), "DS", "-1024").with((0x0028, 0x1053), "DS", "0.5")),
        ("explicit_sigmoid", sigmoid(film())),
        ("explicit_padding", film().with((0x0028, 0x0120), "US", 0).with((0x0028, 0x0121), "US", 900)),
        ("explicit_signed", film().with((0x0028, 0x0103), "US", 1)),
        ("explicit_voi_table", film().with((0x0028, 0x3010), "SQ", table(4096))),
        ("explicit_modality_table", film().with((0x0028, 0x3000), "SQ", table(256))),
        ("explicit_codes", coded(film())),
        ("implicit", film().syntax(IMPLICIT_LITTLE)),
        ("implicit_bare", film8().syntax(IMPLICIT_LITTLE).bare()),
        ("big_endian", film().syntax(EXPLICIT_BIG)),
        ("deflated", film8().syntax(DEFLATED)),
        ("rle", film().rle()),
        ("rle_rgb", DicomFile::rgb(ROWS, COLUMNS, &rgb).rle()),
        ("jpeg", film8().jpeg(usize::MAX)),
        ("jpeg_fragments", film8().jpeg(500)),
        ("jpeg2000", jpeg2000()),
        ("ybr", DicomFile::rgb(ROWS, COLUMNS, &ybr(&flat)).with((0x0028, 0x0004), "CS", "YBR_FULL")),
        ("secondary_capture_position", capture(film8())),
        ("lateral", film8().with((0x0018, 0x5101), "CS", "LL")),
        ("ct_jpeg_ls", film().with((0x0008, 0x0060), "CS", "CT").syntax("1.2.840.10008.1.2.4.80")),
        ("no_pixels", film().without((0x7FE0, 0x0010))),
        ("name_in_body_part", film8().with((0x0018, 0x0015), "CS", PLANTED)),
    ];
    let dicom = files.into_iter().map(|(name, file)| (format!("{name}.dcm"), file.bytes()));
    dicom.chain(pictures(&flat, &deep, &rgb)).chain(encoded()).collect()
}

/// Films that other encoders made, from `tests/data/codecs`.
fn encoded() -> Vec<(String, Vec<u8>)> {
    macro_rules! films {
        ($($name:literal),*) => { vec![$(($name.to_owned(), include_bytes!(concat!("../../data/codecs/", $name)).to_vec())),*] };
    }
    films![
        "jpegls_12.dcm",
        "jpegls_near3_8.dcm",
        "jpegls_tuned_12.dcm",
        "rgb_jpegls_sample.dcm",
        "rgb_jpegls_none.dcm",
        "jpeg_sv1_15.dcm",
        "jpeg_predictor7_16.dcm",
        "rgb_jpeg_lossless.dcm",
        "jpeg_extended_12.dcm",
        "openjpeg_12_signed.dcm",
        "gdcm_j2k_8.dcm"
    ]
}

fn sigmoid(film: DicomFile) -> DicomFile {
    let window = film.with((0x0028, 0x1050), "DS", "2000.5").with((0x0028, 0x1051), "DS", "1000");
    window.with((0x0028, 0x1056), "CS", "SIGMOID")
}

fn capture(film: DicomFile) -> DicomFile {
    let film = film.with((0x0008, 0x0016), "UI", "1.2.840.10008.5.1.4.1.1.7").with((0x0008, 0x0060), "CS", "OT");
    film.without((0x0018, 0x5101)).with((0x0018, 0x5100), "CS", "AP").with((0x0010, 0x1010), "AS", "64")
}

fn coded(film: DicomFile) -> DicomFile {
    let code = |value: &str| -> Elements {
        let text = |s: &str| ("SH".to_owned(), s.into());
        Elements::from([((0x0008, 0x0100), text(value)), ((0x0008, 0x0102), text("SRT"))])
    };
    let film = film.without((0x0018, 0x0015)).without((0x0018, 0x5101));
    film.with((0x0008, 0x2218), "SQ", code("T-D3000")).with((0x0054, 0x0220), "SQ", code("R-10206"))
}

fn table(entries: u16) -> Elements {
    let data: Vec<u16> =
        (0..entries).map(|i| u16::try_from(u32::from(i) * 4095 / u32::from(entries - 1)).unwrap_or(4095)).collect();
    Elements::from([
        ((0x0028, 0x3002), ("US".to_owned(), [entries, 0, 12].as_slice().into())),
        ((0x0028, 0x3006), ("OW".to_owned(), data.as_slice().into())),
    ])
}

fn ybr(flat: &[u8]) -> Vec<u8> {
    flat.iter().flat_map(|y| [*y, 128, 128]).collect()
}

/// The film of `tests/data/drawn_15bit.j2k`: 48 rows, 56 columns, 15 bits.
fn jpeg2000() -> DicomFile {
    let stream = include_bytes!("../../data/drawn_15bit.j2k").to_vec();
    let film = DicomFile::chest(ROWS, COLUMNS, &[]).with((0x0028, 0x0101), "US", 15).with((0x0028, 0x0102), "US", 14);
    film.fragments(JPEG_2000, vec![stream])
}

fn pictures(flat: &[u8], deep: &[u16], rgb: &[u8]) -> Vec<(String, Vec<u8>)> {
    let size = (u32::from(COLUMNS), u32::from(ROWS));
    let deep: Vec<u8> = deep.iter().flat_map(|v| (v << 4).to_ne_bytes()).collect();
    let rgba: Vec<u8> = flat.iter().flat_map(|v| [*v, *v, *v, 255]).collect();
    let coloured: Vec<u8> = flat.iter().flat_map(|v| [*v, v / 2, 0]).collect();
    let png = |data: &[u8], colour| {
        let mut out = Vec::new();
        codecs::png::PngEncoder::new(&mut out).write_image(data, size.0, size.1, colour).expect("a drawn PNG");
        out
    };
    let jpeg = |data: &[u8], colour| {
        let mut out = Vec::new();
        codecs::jpeg::JpegEncoder::new(&mut out).write_image(data, size.0, size.1, colour).expect("a drawn JPEG");
        out
    };
    let tiff = |data: &[u8], colour| {
        let mut out = std::io::Cursor::new(Vec::new());
        codecs::tiff::TiffEncoder::new(&mut out).write_image(data, size.0, size.1, colour).expect("a drawn TIFF");
        out.into_inner()
    };
    [
        ("grey8.png", png(flat, ExtendedColorType::L8)),
        ("grey16.png", png(&deep, ExtendedColorType::L16)),
        ("rgba8.png", png(&rgba, ExtendedColorType::Rgba8)),
        ("coloured.png", png(&coloured, ExtendedColorType::Rgb8)),
        ("grey.jpeg", jpeg(flat, ExtendedColorType::L8)),
        ("rgb.jpeg", jpeg(rgb, ExtendedColorType::Rgb8)),
        ("grey8.tiff", tiff(flat, ExtendedColorType::L8)),
        ("grey16.tiff", tiff(&deep, ExtendedColorType::L16)),
    ]
    .map(|(name, bytes)| (name.to_owned(), bytes))
    .to_vec()
}
