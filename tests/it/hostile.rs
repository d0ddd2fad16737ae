//! Promise: a truncated, damaged or hostile file is refused with the right code, in well under a
//! second, without a panic and without allocating what it claims.

use crate::allocation::peak_of;
use crate::codecs::codestream;
use crate::dicom_file::{DEFLATED, DicomFile, IMPLICIT_LITTLE, JPEG_BASELINE, PLANTED, RLE, drawn, drawn8};
use chexbox::radiograph::{Code, decode};
use image::{ExtendedColorType, ImageEncoder, codecs};
use std::time::{Duration, Instant};

#[path = "../fuzz/src/property.rs"]
mod property;

/// No timing, which a loaded machine would falsify, but a hang: a hostile file takes milliseconds, and is printed where it takes more.
const A_HANG: Duration = Duration::from_secs(20);
const SLOW: Duration = Duration::from_millis(100);

/// A file of a few KB, bytes.
const FEW_KB: usize = 16 << 10;
/// What the refusal of a file of a few KB may allocate at its peak, bytes: far below any film it could claim to be.
const PEAK_MAX: u64 = 8 << 20;

fn refused(bytes: &[u8]) -> Code {
    let start = Instant::now();
    let (outcome, peak) = peak_of(|| decode(bytes));
    let took = start.elapsed();
    let refusal = outcome.expect_err("a hostile file is not a film");
    if took > SLOW {
        println!("{refusal} took {took:?}");
    }
    assert!(took < A_HANG, "{refusal} took {took:?}");
    assert!(bytes.len() > FEW_KB || peak < PEAK_MAX, "{refusal}: {} bytes allocated {peak}", bytes.len());
    assert!(!refusal.to_string().contains(PLANTED), "{refusal}");
    refusal.code()
}

/// A film of 12 bits in each coding that has a decoder of ours, and its transfer syntax.
const CODED: [(&str, &str); 4] = [
    ("jpegls_12.dcm", "1.2.840.10008.1.2.4.80"),
    ("jpegls_near2_12.dcm", "1.2.840.10008.1.2.4.81"),
    ("jpeg_sv1_12.dcm", "1.2.840.10008.1.2.4.70"),
    ("jpeg_extended_12.dcm", "1.2.840.10008.1.2.4.51"),
];

/// A film of 12 bits with these compressed data.
fn coded(syntax: &str, rows: u16, columns: u16, stream: Vec<u8>) -> Vec<u8> {
    let film = DicomFile::chest(rows, columns, &[]).with((0x0028, 0x0101), "US", 12).with((0x0028, 0x0102), "US", 11);
    film.fragments(syntax, vec![stream]).bytes()
}

fn film() -> DicomFile {
    DicomFile::chest8(48, 48, &drawn8(48, 48))
}

fn png(width: u32, height: u32, samples: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    codecs::png::PngEncoder::new(&mut bytes).write_image(samples, width, height, ExtendedColorType::L8).unwrap();
    bytes
}

/// An element in explicit VR little endian with a length of four bytes.
fn long_element(tag: (u16, u16), vr: &str, length: u32) -> Vec<u8> {
    let mut bytes = [tag.0.to_le_bytes(), tag.1.to_le_bytes()].concat();
    bytes.extend_from_slice(vr.as_bytes());
    bytes.extend([0, 0]);
    bytes.extend(length.to_le_bytes());
    bytes
}

/// The drawn film without its pixels, then `tail`.
fn header_then(tail: &[u8]) -> Vec<u8> {
    [film().without((0x7FE0, 0x0010)).bytes(), tail.to_vec()].concat()
}

/// An item head, or a delimiter.
fn item(element: u16, length: u32) -> Vec<u8> {
    [&0xFFFE_u16.to_le_bytes()[..], &element.to_le_bytes(), &length.to_le_bytes()].concat()
}

#[test]
fn the_corpus_of_the_fuzzer_keeps_its_property() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        property::radiograph_never_lies(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 20, "{count} corpus files");
}

#[test]
fn a_length_or_a_tag_that_readers_take_differently_does_not_lead_the_reader_astray() {
    // Found by the fuzzer: the data-set reader reads whole numbers, takes the byte left over for the next tag, and
    // allocated a gigabyte for a length that it read in the wrong place.
    for bytes in [
        &include_bytes!("../fuzz/corpus/length_no_multiple_of_unit.dcm")[..],
        &include_bytes!("../fuzz/corpus/tag_of_group_fffe.dcm")[..],
    ] {
        assert_eq!(refused(bytes), Code::DamagedFile);
    }
    for (vr, length) in [("UL", 6), ("SL", 2), ("FL", 6), ("AT", 10), ("FD", 12)] {
        let film = film().with((0x0028, 0x0303), vr, vec![0_u8; length]);
        assert_eq!(refused(&film.bytes()), Code::DamagedFile, "{vr} of {length} bytes");
    }
}

#[test]
fn a_dicom_file_cut_at_any_byte_is_refused() {
    for whole in [film().bytes(), film().rle().bytes(), film().jpeg(300).bytes(), film().syntax(DEFLATED).bytes()] {
        assert!(decode(&whole).is_ok());
        for cut in 0..whole.len() {
            let code = refused(&whole[..cut]);
            let sensible = matches!(code, Code::DamagedFile | Code::NoPixelData | Code::UnknownFormat | Code::WrongModality);
            assert!(sensible, "cut at {cut} of {}: {code:?}", whole.len());
        }
    }
}

#[test]
fn a_compressed_film_cut_at_any_byte_is_damage() {
    for (file, syntax) in CODED {
        let stream = codestream(file);
        for cut in 0..stream.len() - 40 {
            assert_eq!(refused(&coded(syntax, 49, 51, stream[..cut].to_vec())), Code::DamagedFile, "{file} cut at {cut}");
        }
    }
}

#[test]
fn a_compressed_film_of_a_few_bytes_that_claims_a_whole_one_is_damage() {
    for (file, syntax) in CODED {
        let mut stream = codestream(file);
        assert!(decode(&coded(syntax, 49, 51, stream.clone())).is_ok(), "{file}");
        let frame = stream.windows(2).position(|two| matches!(two, [0xFF, 0xC1 | 0xC3 | 0xF7])).unwrap();
        for (rows, columns) in [(10_000_u16, 4_000_u16), (4_000, 10_000), (1_000, 900)] {
            stream[frame + 5..frame + 7].copy_from_slice(&rows.to_be_bytes());
            stream[frame + 7..frame + 9].copy_from_slice(&columns.to_be_bytes());
            assert_eq!(refused(&coded(syntax, rows, columns, stream.clone())), Code::DamagedFile, "{file} of {rows} rows");
        }
    }
}

#[test]
fn a_picture_cut_at_any_byte_is_refused() {
    let samples = drawn8(48, 48);
    let mut jpeg = Vec::new();
    codecs::jpeg::JpegEncoder::new(&mut jpeg).write_image(&samples, 48, 48, ExtendedColorType::L8).unwrap();
    let mut tiff = std::io::Cursor::new(Vec::new());
    codecs::tiff::TiffEncoder::new(&mut tiff).write_image(&samples, 48, 48, ExtendedColorType::L8).unwrap();
    for whole in [png(48, 48, &samples), jpeg, tiff.into_inner()] {
        assert!(decode(&whole).is_ok());
        for cut in 0..whole.len() {
            let code = refused(&whole[..cut]);
            assert!(matches!(code, Code::DamagedFile | Code::UnknownFormat), "cut at {cut} of {}: {code:?}", whole.len());
        }
    }
}

#[test]
fn a_length_that_points_outside_the_file_is_damage() {
    for length in [0xFFFF_FFFE, 0x7FFF_FFFF, 0x8000_0000, 10_000_000] {
        for vr in ["OB", "UN", "SQ", "OW"] {
            assert_eq!(refused(&header_then(&long_element((0x0029, 0x1010), vr, length))), Code::DamagedFile, "{vr} {length:X}");
        }
        assert_eq!(refused(&header_then(&long_element((0x7FE0, 0x0010), "OW", length))), Code::DamagedFile);
    }
    assert_eq!(refused(&header_then(&long_element((0x0029, 0x1010), "OB", u32::MAX))), Code::DamagedFile);
}

#[test]
fn an_item_longer_than_its_sequence_is_damage() {
    let sequence = [long_element((0x0040, 0x0275), "SQ", 16), item(0xE000, 600), vec![0; 700]].concat();
    assert_eq!(refused(&header_then(&sequence)), Code::DamagedFile);
}

#[test]
fn sides_claimed_without_pixels_are_refused_and_not_allocated() {
    let claimed = |rows: u16, columns: u16, pixels: usize| {
        refused(
            &film()
                .with((0x0028, 0x0010), "US", rows)
                .with((0x0028, 0x0011), "US", columns)
                .with((0x7FE0, 0x0010), "OB", vec![7; pixels])
                .bytes(),
        )
    };
    assert_eq!(claimed(65_535, 65_535, 10), Code::TooLarge);
    assert_eq!(claimed(10_000, 10_000, 10), Code::TooLarge);
    assert_eq!(claimed(10_000, 4_000, 10), Code::DamagedFile);
    assert_eq!(claimed(48, 47, 48 * 47), Code::TooSmall);
    assert_eq!(claimed(0, 48, 10), Code::DamagedFile);
    assert_eq!(claimed(48, 48, 48 * 48 + 2), Code::DamagedFile);
}

#[test]
fn sequences_nested_a_hundred_thousand_deep_are_too_large() {
    for vr in ["SQ", "UN"] {
        let mut bomb = Vec::new();
        for level in 0..100_000 {
            // Inside a sequence of unknown VR elements are implicit (PS3.5 6.2.2).
            if vr == "UN" && level > 0 {
                bomb.extend([0x40, 0x00, 0x75, 0x02, 0xFF, 0xFF, 0xFF, 0xFF]);
            } else {
                bomb.extend(long_element((0x0040, 0x0275), vr, u32::MAX));
            }
            bomb.extend(item(0xE000, u32::MAX));
        }
        assert_eq!(refused(&header_then(&bomb)), Code::TooLarge, "{vr}");
    }
}

#[test]
fn sequences_of_known_length_nested_too_deep_are_too_large() {
    let nested = |depth: usize| {
        let mut inner = Vec::new();
        for _ in 0..depth {
            let framed = [item(0xE000, u32::try_from(inner.len()).unwrap()), inner].concat();
            inner = [long_element((0x0040, 0x0275), "SQ", u32::try_from(framed.len()).unwrap()), framed].concat();
        }
        // Behind it stand the pixels, so that an allowed depth is a film.
        let whole = film().bytes();
        let pixels = whole.windows(4).position(|w| w == [0xE0, 0x7F, 0x10, 0x00]).unwrap();
        [&whole[..pixels], &inner, &whole[pixels..]].concat()
    };
    assert!(decode(&nested(chexbox::limits::DICOM_DEPTH_MAX)).is_ok());
    assert_eq!(refused(&nested(chexbox::limits::DICOM_DEPTH_MAX + 1)), Code::TooLarge);
}

#[test]
fn elements_without_number_are_too_large() {
    let many: Vec<u8> = (0..300_000_u32).flat_map(|_| [0x29, 0x00, 0x10, 0x10, b'L', b'O', 0, 0]).collect();
    assert_eq!(refused(&header_then(&many)), Code::TooLarge);
    let items: Vec<u8> = (0..300_000).flat_map(|_| item(0xE000, 0)).collect();
    let sequence = [long_element((0x0040, 0x0275), "SQ", u32::MAX), items].concat();
    assert_eq!(refused(&header_then(&sequence)), Code::TooLarge);
}

#[test]
fn fragments_without_end_or_number_are_refused() {
    let start = [long_element((0x7FE0, 0x0010), "OB", u32::MAX), item(0xE000, 0)].concat();
    assert_eq!(refused(&header_then(&start)), Code::DamagedFile);
    assert_eq!(refused(&header_then(&[start.clone(), item(0xE000, 0xFFFF_FFFE)].concat())), Code::DamagedFile);
    let many: Vec<u8> = (0..100_000).flat_map(|_| item(0xE000, 0)).collect();
    assert_eq!(refused(&header_then(&[start, many].concat())), Code::TooLarge);
}

#[test]
fn an_rle_frame_that_claims_four_billion_segments_is_damage() {
    let frame = [u32::MAX.to_le_bytes().to_vec(), vec![0; 200]].concat();
    assert_eq!(refused(&film().fragments(RLE, vec![frame]).bytes()), Code::DamagedFile);
    assert_eq!(refused(&film().fragments(RLE, vec![vec![1, 0, 0, 0]]).bytes()), Code::DamagedFile);
    assert_eq!(refused(&film().fragments(RLE, vec![]).bytes()), Code::DamagedFile);
}

#[test]
fn a_jpeg_inside_that_is_not_the_size_its_header_says_is_damage() {
    let larger = DicomFile::chest8(480, 480, &drawn8(480, 480)).jpeg(usize::MAX);
    let lying = larger.with((0x0028, 0x0010), "US", 48).with((0x0028, 0x0011), "US", 48);
    assert_eq!(refused(&lying.bytes()), Code::DamagedFile);
    assert_eq!(refused(&film().fragments(JPEG_BASELINE, vec![vec![0xFF, 0xD8, 0xFF, 0xD9]]).bytes()), Code::DamagedFile);
}

#[test]
fn a_jpeg_of_a_few_bytes_that_claims_a_whole_film_is_damage() {
    let mut jpeg = Vec::new();
    let encoder = codecs::jpeg::JpegEncoder::new(&mut jpeg);
    encoder.write_image(&drawn8(48, 48), 48, 48, ExtendedColorType::L8).unwrap();
    let frame = jpeg.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0x18, 0x00, 0x18, 0x00]);
    assert_eq!(refused(&jpeg), Code::DamagedFile);
    let inside = DicomFile::chest8(6_144, 6_144, &[]).fragments(JPEG_BASELINE, vec![jpeg]);
    assert_eq!(refused(&inside.bytes()), Code::DamagedFile);
}

#[test]
fn a_jpeg_2000_header_that_asks_for_gigabytes_of_books_is_too_large() {
    let stream = include_bytes!("../data/drawn_15bit.j2k");
    let whole = |stream: Vec<u8>, rows: u16, columns: u16| {
        DicomFile::chest(rows, columns, &[]).fragments("1.2.840.10008.1.2.4.90", vec![stream]).bytes()
    };
    assert!(decode(&whole(stream.to_vec(), 48, 56)).is_ok());
    let coding = stream.windows(2).position(|w| w == [0xFF, 0x52]).unwrap();
    // 4,000 x 4,000 in code-blocks of 4 x 4 with 32 layers.
    let mut books = stream.to_vec();
    for at in [8, 12, 24, 28] {
        books[at..at + 4].copy_from_slice(&4_000_u32.to_be_bytes());
    }
    let mut tiles = books.clone();
    books[coding + 6..coding + 8].copy_from_slice(&32_u16.to_be_bytes());
    books[coding + 10..coding + 12].copy_from_slice(&[0, 0]);
    assert_eq!(refused(&whole(books, 4_000, 4_000)), Code::TooLarge);
    // Tiles of 8 x 8.
    for at in [24, 28] {
        tiles[at..at + 4].copy_from_slice(&8_u32.to_be_bytes());
    }
    assert_eq!(refused(&whole(tiles, 4_000, 4_000)), Code::TooLarge);
}

#[test]
fn a_jpeg_2000_film_of_the_largest_detectors_is_within_the_limit_and_a_few_bytes_of_it_are_damage() {
    let claimed = |rows: u16, columns: u16| {
        let mut stream = include_bytes!("../data/drawn_15bit.j2k").to_vec();
        for (at, side) in [(8, columns), (12, rows), (24, columns), (28, rows)] {
            stream[at..at + 4].copy_from_slice(&u32::from(side).to_be_bytes());
        }
        refused(&DicomFile::chest(rows, columns, &[]).fragments("1.2.840.10008.1.2.4.90", vec![stream]).bytes())
    };
    assert_eq!(claimed(4_300, 3_500), Code::DamagedFile);
    assert_eq!(claimed(4_000, 4_000), Code::DamagedFile);
    assert_eq!(claimed(4_001, 4_000), Code::TooLarge);
}

#[test]
fn a_jpeg_2000_codestream_cut_at_any_byte_is_damage() {
    let stream = include_bytes!("../data/drawn_15bit.j2k");
    for cut in 0..stream.len() {
        let file = DicomFile::chest(48, 56, &[]).fragments("1.2.840.10008.1.2.4.90", vec![stream[..cut].to_vec()]);
        assert_eq!(refused(&file.bytes()), Code::DamagedFile, "cut at {cut} of {}", stream.len());
    }
}

#[test]
fn a_png_that_claims_sixty_thousand_pixels_a_side_is_too_large() {
    let mut bytes = png(48, 48, &drawn8(48, 48));
    let claim = |bytes: &mut Vec<u8>, side: u32| {
        bytes[16..20].copy_from_slice(&side.to_be_bytes());
        bytes[20..24].copy_from_slice(&side.to_be_bytes());
        let sum = crc32(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&sum.to_be_bytes());
    };
    claim(&mut bytes, 60_000);
    assert_eq!(refused(&bytes), Code::TooLarge);
    // Within the limits, but more than these few bytes can inflate to.
    claim(&mut bytes, 6_000);
    assert_eq!(refused(&bytes), Code::DamagedFile);
    claim(&mut bytes, 47);
    assert_eq!(refused(&bytes), Code::TooSmall);
}

#[test]
fn a_deflated_data_set_that_inflates_without_end_is_too_large() {
    let bomb = film().with((0x7FE0, 0x0010), "OB", vec![0; 40 << 20]).syntax(DEFLATED).bytes();
    assert!(bomb.len() < 300_000, "{} bytes", bomb.len());
    assert_eq!(refused(&bomb), Code::TooLarge);
}

#[test]
fn a_tiff_with_strips_or_directories_it_does_not_have_is_refused() {
    let tiff = |width: u32, height: u32, strip_bytes: u32, next: u32| {
        let entries: [(u16, u16, u32); 8] = [
            (256, 4, width),
            (257, 4, height),
            (258, 3, 8),
            (259, 3, 1),
            (262, 3, 1),
            (273, 4, 8),
            (278, 4, height),
            (279, 4, strip_bytes),
        ];
        let mut bytes = b"II*\0\x08\0\0\0\x08\0".to_vec();
        for (tag, kind, value) in entries {
            bytes.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
            bytes.extend([1_u32.to_le_bytes(), value.to_le_bytes()].concat());
        }
        bytes.extend(next.to_le_bytes());
        bytes
    };
    assert_eq!(refused(&tiff(6_000, 6_000, 36_000_000, 0)), Code::DamagedFile);
    assert_eq!(refused(&tiff(6_000, 6_000, u32::MAX, 0)), Code::DamagedFile);
    assert_eq!(refused(&tiff(u32::MAX, u32::MAX, 100, 0)), Code::TooLarge);
    assert_eq!(refused(&tiff(64, 64, 4_096, 8)), Code::MultiFrame);
    assert_eq!(refused(&tiff(64, 64, 4_096, 0xFFFF_FFF0)), Code::DamagedFile);
}

#[test]
fn an_absent_or_broken_attribute_is_refused_by_name_and_no_absent_one_panics() {
    let whole = DicomFile::chest(48, 48, &drawn(48, 48, 60_000));
    let tags = [
        (0x0008, 0x0016),
        (0x0008, 0x0020),
        (0x0018, 0x0015),
        (0x0018, 0x5101),
        (0x0028, 0x0002),
        (0x0028, 0x0101),
        (0x0028, 0x0102),
        (0x0028, 0x0103),
    ];
    for optional in tags {
        assert!(decode(&whole.clone().without(optional).bytes()).is_ok(), "{optional:04X?}");
    }
    for (required, name) in [
        ((0x0028, 0x0004), "PhotometricInterpretation (0028,0004)"),
        ((0x0028, 0x0010), "Rows (0028,0010)"),
        ((0x0028, 0x0011), "Columns (0028,0011)"),
        ((0x0028, 0x0100), "BitsAllocated (0028,0100)"),
    ] {
        let refusal = decode(&whole.clone().without(required).bytes()).unwrap_err();
        assert_eq!(refusal.code(), Code::DamagedFile);
        assert!(refusal.detail().contains(name), "{}", refusal.detail());
    }
    for (tag, vr, value, name) in [
        ((0x0028, 0x1053), "DS", "0", "RescaleSlope (0028,1053)"),
        ((0x0028, 0x1053), "DS", "abc", "RescaleSlope (0028,1053)"),
        ((0x0028, 0x1052), "DS", "1e999", "RescaleIntercept (0028,1052)"),
        ((0x0028, 0x0008), "IS", "many", "NumberOfFrames (0028,0008)"),
    ] {
        let refusal = decode(&whole.clone().with(tag, vr, value).bytes()).unwrap_err();
        assert_eq!(refusal.code(), Code::DamagedFile, "{name} {value}");
        assert!(refusal.detail().contains(name), "{}", refusal.detail());
    }
}

#[test]
fn a_file_is_refused_for_what_it_is_before_how_it_is_stored() {
    let htj2k = film().syntax("1.2.840.10008.1.2.4.201");
    assert_eq!(refused(&htj2k.clone().with((0x0008, 0x0060), "CS", "CT").bytes()), Code::WrongModality);
    assert_eq!(refused(&htj2k.clone().with((0x0018, 0x0015), "CS", "HAND").bytes()), Code::WrongBodyPart);
    assert_eq!(refused(&htj2k.clone().with((0x0018, 0x5101), "CS", "LL").bytes()), Code::NotFrontal);
    assert_eq!(refused(&htj2k.clone().with((0x0028, 0x0008), "IS", "2").bytes()), Code::MultiFrame);
    assert_eq!(refused(&htj2k.bytes()), Code::UnsupportedEncoding);
    let no_pixels = film().without((0x7FE0, 0x0010)).with((0x0008, 0x0060), "CS", "SR");
    assert_eq!(refused(&no_pixels.bytes()), Code::NoPixelData);
}

#[test]
fn identity_stays_out_of_refusals_wherever_it_stands() {
    for tag in [
        (0x0008, 0x0060),
        (0x0018, 0x0015),
        (0x0018, 0x5101),
        (0x0018, 0x5100),
        (0x0028, 0x0004),
        (0x0008, 0x0016),
        (0x0028, 0x1056),
    ] {
        let film = film().without((0x0018, 0x5101)).with((0x0028, 0x1050), "DS", "1").with((0x0028, 0x1051), "DS", "9");
        refused(&film.clone().with(tag, "CS", PLANTED).bytes());
        refused(&film.with(tag, "CS", PLANTED).syntax(IMPLICIT_LITTLE).bytes());
    }
}

/// CRC-32 of PNG (ISO 3309), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xEDB8_8320 } else { c >> 1 })
    })
}
