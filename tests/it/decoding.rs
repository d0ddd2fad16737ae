//! Promise: a film's pixels mean the same however the file stores them, and the record says each step.

use crate::dicom_file::{DEFLATED, DicomFile, EXPLICIT_BIG, Elements, IMPLICIT_LITTLE, JPEG_2000, drawn, drawn8};
use chexbox::radiograph::{Code, Radiograph, Samples, decode};
use image::{ExtendedColorType, ImageEncoder, codecs};

fn read(file: &DicomFile) -> Radiograph {
    decode(&file.bytes()).unwrap_or_else(|refusal| panic!("{refusal}"))
}

fn greys(film: &Radiograph) -> Vec<f32> {
    let (width, height) = (film.grey.width(), film.grey.height());
    (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| film.grey.at(x, y).unwrap()).collect()
}

fn step<'a>(film: &'a Radiograph, name: &str) -> &'a str {
    film.steps.iter().find(|s| s.step == name).map_or("", |s| s.detail.as_str())
}

fn close(a: &[f32], b: impl Iterator<Item = f64>) -> bool {
    a.iter().zip(b).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-6)
}

#[test]
fn a_film_is_the_same_in_every_encoding() {
    let samples = drawn(60, 52, 4095);
    let film = DicomFile::chest(60, 52, &samples).with((0x0028, 0x0101), "US", 12).with((0x0028, 0x0102), "US", 11);
    let reference = read(&film);
    assert!(*reference.grey.samples() == Samples::U16(samples));
    for other in [
        film.clone().syntax(IMPLICIT_LITTLE),
        film.clone().syntax(EXPLICIT_BIG),
        film.clone().syntax(DEFLATED),
        film.clone().rle(),
        film.clone().bare(),
    ] {
        assert!(read(&other).grey == reference.grey);
    }
    let grey = drawn8(60, 52);
    let rgb: Vec<u8> = grey.iter().flat_map(|v| [*v; 3]).collect();
    let planes = grey.repeat(3);
    let reference = read(&DicomFile::chest8(60, 52, &grey));
    for other in [
        DicomFile::chest8(60, 52, &grey).rle(),
        DicomFile::rgb(60, 52, &rgb),
        DicomFile::rgb(60, 52, &rgb).rle(),
        DicomFile::rgb(60, 52, &planes).with((0x0028, 0x0006), "US", 1),
        DicomFile::rgb(60, 52, &grey.iter().flat_map(|y| [*y, 128, 128]).collect::<Vec<_>>()).with(
            (0x0028, 0x0004),
            "CS",
            "YBR_FULL",
        ),
        DicomFile::rgb(60, 52, &grey.chunks(2).flat_map(|y| [y[0], y[1], 128, 128]).collect::<Vec<_>>()).with(
            (0x0028, 0x0004),
            "CS",
            "YBR_FULL_422",
        ),
    ] {
        assert!(read(&other).grey == reference.grey);
    }
    for jpeg in [DicomFile::chest8(60, 52, &grey).jpeg(usize::MAX), DicomFile::chest8(60, 52, &grey).jpeg(400)] {
        let worst = greys(&read(&jpeg)).iter().zip(greys(&reference)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 0.1, "{worst}");
    }
}

#[test]
fn an_odd_number_of_bytes_in_big_endian_words_keeps_its_last_pixel() {
    let grey = drawn8(51, 49);
    let reference = read(&DicomFile::chest8(51, 49, &grey));
    let words: Vec<u16> = grey.chunks(2).map(|two| u16::from_le_bytes([two[0], *two.get(1).unwrap_or(&0)])).collect();
    let film = DicomFile::chest8(51, 49, &[]).with((0x7FE0, 0x0010), "OW", words.as_slice());
    for syntax in [EXPLICIT_BIG, IMPLICIT_LITTLE] {
        assert!(read(&film.clone().syntax(syntax)).grey == reference.grey, "{syntax}");
    }
}

#[test]
fn jpeg_2000_gives_every_bit_back() {
    let stream = include_bytes!("../data/drawn_15bit.j2k").to_vec();
    // The last tile-part may leave its length open.
    let part = stream.windows(2).position(|w| w == [0xFF, 0x90]).unwrap();
    let mut open = stream.clone();
    open[part + 6..part + 10].fill(0);
    let padded = [stream.clone(), vec![0; 3]].concat();
    // As tests/data/draw_j2k.py draws it.
    let value = |row: u32, column: u32| u16::try_from((row * 607 + column * 311) % 32_768).unwrap();
    let drawn = Samples::U16((0..48).flat_map(|row| (0..56).map(move |column| value(row, column))).collect());
    for stream in [stream, open, padded] {
        let film = DicomFile::chest(48, 56, &[]).with((0x0028, 0x0101), "US", 15).with((0x0028, 0x0102), "US", 14);
        let halves = stream.chunks(stream.len().div_ceil(4).next_multiple_of(2)).map(<[u8]>::to_vec).collect();
        for file in [film.clone().fragments(JPEG_2000, vec![stream.clone()]), film.fragments(JPEG_2000, halves)] {
            assert!(*read(&file).grey.samples() == drawn);
        }
    }
}

#[test]
fn modality_window_and_polarity_follow_the_standard() {
    let samples = drawn(50, 50, 4095);
    let film = DicomFile::chest(50, 50, &samples).with((0x0028, 0x0101), "US", 12).with((0x0028, 0x0102), "US", 11);
    let windowed = film.clone().with((0x0028, 0x1050), "DS", "500\\1").with((0x0028, 0x1051), "DS", "1800\\1");
    let rescaled = windowed.clone().with((0x0028, 0x1052), "DS", "-1000").with((0x0028, 0x1053), "DS", "0.75");
    let linear = |x: f64| ((x - 499.5) / 1799.0 + 0.5).clamp(0.0, 1.0);
    let stored = || samples.iter().map(|s| f64::from(*s));
    let plain = read(&windowed);
    assert!(close(&greys(&plain), stored().map(linear)));
    assert_eq!(
        step(&plain, "voi_lut"),
        "first of 2 windows: WindowCenter (0028,1050) 500, WindowWidth (0028,1051) 1800, function LINEAR"
    );
    let scaled = read(&rescaled);
    assert!(close(&greys(&scaled), stored().map(|s| linear(0.75 * s - 1000.0))));
    assert_eq!(step(&scaled, "modality_lut"), "RescaleSlope (0028,1053) 0.75, RescaleIntercept (0028,1052) -1000");
    let exact = read(&rescaled.clone().with((0x0028, 0x1056), "CS", "LINEAR_EXACT"));
    assert!(close(&greys(&exact), stored().map(|s| ((0.75 * s - 1500.0) / 1800.0 + 0.5).clamp(0.0, 1.0))));
    let sigmoid = read(&rescaled.clone().with((0x0028, 0x1056), "CS", "SIGMOID"));
    assert!(close(&greys(&sigmoid), stored().map(|s| 1.0 / (1.0 + (-4.0 * (0.75 * s - 1500.0) / 1800.0).exp()))));
    for (photometric, shape) in [("MONOCHROME1", "IDENTITY"), ("MONOCHROME1", "INVERSE"), ("MONOCHROME2", "INVERSE")] {
        let inverted = read(&windowed.clone().with((0x0028, 0x0004), "CS", photometric).with((0x2050, 0x0020), "CS", shape));
        assert!(close(&greys(&inverted), stored().map(|s| 1.0 - linear(s))), "{photometric} {shape}");
    }
}

#[test]
fn a_voi_table_goes_before_a_window_and_a_modality_table_replaces_the_slope() {
    let samples = drawn(50, 50, 255);
    let table = |first: u16| -> Elements {
        let squares: Vec<u16> = (0..=255_u16).map(|v| u16::try_from(u32::from(v) * u32::from(v)).unwrap()).collect();
        Elements::from([
            ((0x0028, 0x3002), ("US".to_owned(), [256, first, 16].as_slice().into())),
            ((0x0028, 0x3006), ("US".to_owned(), squares.as_slice().into())),
        ])
    };
    let film = DicomFile::chest(50, 50, &samples).with((0x0028, 0x1050), "DS", "3").with((0x0028, 0x1051), "DS", "5");
    let square = |s: f64| s * s / 65_535.0;
    let voi = read(&film.clone().with((0x0028, 0x3010), "SQ", table(0)));
    assert!(close(&greys(&voi), samples.iter().map(|s| square(f64::from(*s)))));
    assert_eq!(step(&voi, "voi_lut"), "VOILUTSequence (0028,3010) of 256 entries from 0");
    let late = read(&film.clone().with((0x0028, 0x3010), "SQ", table(40)));
    assert!(close(&greys(&late), samples.iter().map(|s| square((f64::from(*s) - 40.0).max(0.0)))));
    let modality =
        film.with((0x0028, 0x3000), "SQ", table(0)).with((0x0028, 0x1050), "DS", "30000").with((0x0028, 0x1051), "DS", "60001");
    let modality = read(&modality);
    assert!(close(
        &greys(&modality),
        samples.iter().map(|s| ((f64::from(*s).powi(2) - 29_999.5) / 60_000.0 + 0.5).clamp(0.0, 1.0))
    ));
}

#[test]
fn a_voi_table_behind_a_modality_table_begins_at_an_unsigned_value() {
    // Stored -128 to 127, which the modality table raises to 40,000 and above: in the upper half of 16 bits.
    let samples: Vec<u16> = drawn(50, 50, 255).iter().map(|s| s.wrapping_sub(128)).collect();
    let table = |first: u16, values: Vec<u16>| -> Elements {
        Elements::from([
            ((0x0028, 0x3002), ("US".to_owned(), [256, first, 16].as_slice().into())),
            ((0x0028, 0x3006), ("US".to_owned(), values.as_slice().into())),
        ])
    };
    let film = DicomFile::chest(50, 50, &samples)
        .with((0x0028, 0x0103), "US", 1)
        .with((0x0028, 0x3000), "SQ", table((-128_i16).cast_unsigned(), (40_000..40_256).collect()))
        .with((0x0028, 0x3010), "SQ", table(40_000, (0..=255).map(|v| v * 257).collect()));
    for film in [film.clone(), film.with((0x0028, 0x1052), "DS", "-1024")] {
        let film = read(&film);
        assert!(close(&greys(&film), samples.iter().map(|s| (f64::from(s.cast_signed()) + 128.0) / 255.0)));
        assert_eq!(step(&film, "voi_lut"), "VOILUTSequence (0028,3010) of 256 entries from 40000");
    }
}

#[test]
fn without_a_window_eight_bits_keep_their_range_and_more_are_stretched_over_the_film() {
    let eight = read(&DicomFile::chest8(50, 50, &drawn8(50, 50)));
    assert!(close(&greys(&eight), drawn8(50, 50).iter().map(|s| f64::from(*s) / 255.0)));
    let mut samples = drawn(50, 50, 3000);
    samples[7] = 60_000;
    let (low, high) =
        (*samples.iter().min().unwrap(), 3000.0_f64.min(f64::from(*samples.iter().filter(|s| **s != 60_000).max().unwrap())));
    let padded = read(&DicomFile::chest(50, 50, &samples).with((0x0028, 0x0120), "US", 60_000));
    let stretched = |s: u16| ((f64::from(s) - f64::from(low)) / (high - f64::from(low))).clamp(0.0, 1.0);
    assert!(close(&greys(&padded), samples.iter().map(|s| stretched(*s))));
    assert!(step(&padded, "voi_lut").contains("padding 60000 to 60000 left out"));
}

#[test]
fn signed_samples_and_overlays_in_high_bits_are_read_as_the_header_says() {
    let samples: Vec<u16> = drawn(50, 50, 2000).iter().map(|s| s.wrapping_sub(1000)).collect();
    let film = DicomFile::chest(50, 50, &samples).with((0x0028, 0x0103), "US", 1);
    let film = read(&film.with((0x0028, 0x1050), "DS", "0").with((0x0028, 0x1051), "DS", "2001"));
    assert!(close(&greys(&film), samples.iter().map(|s| ((f64::from(s.cast_signed()) + 0.5) / 2000.0 + 0.5).clamp(0.0, 1.0))));
    let plain = drawn(50, 50, 1023);
    let overlaid: Vec<u16> = plain.iter().enumerate().map(|(i, s)| s | if i % 3 == 0 { 0xF000 } else { 0 }).collect();
    let film = DicomFile::chest(50, 50, &overlaid).with((0x0028, 0x0101), "US", 12).with((0x0028, 0x0102), "US", 11);
    assert!(*read(&film).grey.samples() == Samples::U16(plain));
}

#[test]
fn a_picture_with_colours_a_blank_and_several_frames_have_codes_of_their_own() {
    let coloured: Vec<u8> = drawn8(50, 50).iter().flat_map(|v| [*v, v / 2, 0]).collect();
    for (file, code) in [
        (DicomFile::rgb(50, 50, &coloured), Code::ColourPicture),
        (DicomFile::chest8(50, 50, &[128; 2500]), Code::BlankFilm),
        (DicomFile::chest(50, 50, &[777; 2500]), Code::BlankFilm),
        (DicomFile::chest8(50, 50, &drawn8(50, 50)).with((0x0028, 0x0008), "IS", "2"), Code::MultiFrame),
        (DicomFile::chest8(50, 50, &drawn8(50, 50)).with((0x0028, 0x0004), "CS", "PALETTE COLOR"), Code::UnsupportedEncoding),
        (DicomFile::chest8(50, 50, &drawn8(50, 50)).with((0x0008, 0x0068), "CS", "FOR PROCESSING"), Code::UnsupportedEncoding),
        (DicomFile::chest8(50, 50, &drawn8(50, 50)).with((0x0028, 0x0100), "US", 32), Code::UnsupportedEncoding),
    ] {
        assert_eq!(decode(&file.bytes()).unwrap_err().code(), code);
    }
}

#[test]
fn the_age_is_known_from_any_way_a_header_states_it() {
    let film = DicomFile::chest8(50, 50, &drawn8(50, 50));
    assert_eq!(read(&film).facts.age_years, Some(68), "from birth 1951-02-03 to study 2020-01-01");
    let stating = |film: &DicomFile, age: &str| read(&film.clone().with((0x0010, 0x1010), "AS", age)).facts.age_years;
    for (stated, age) in [("081Y", Some(68)), ("060Y", Some(60)), ("018M", Some(1)), ("junk", Some(68))] {
        assert_eq!(stating(&film, stated), age, "{stated}: the younger of both");
    }
    let unborn = film.without((0x0010, 0x0030));
    for (stated, age) in [("081Y", Some(81)), ("81", Some(81)), ("018M", Some(1)), ("junk", None)] {
        assert_eq!(stating(&unborn, stated), age, "{stated}");
    }
    assert_eq!(read(&unborn).facts.age_years, None);
}

#[test]
fn chinese_consoles_may_write_the_body_part_in_chinese() {
    let film = DicomFile::chest8(50, 50, &drawn8(50, 50));
    for bytes in ["胸部".as_bytes().to_vec(), vec![0xD0, 0xD8, 0xB2, 0xBF]] {
        assert_eq!(read(&film.clone().with((0x0018, 0x0015), "CS", bytes)).facts.body_part.as_deref(), Some("胸部"));
    }
}

#[test]
fn pictures_of_every_kind_are_the_same_film() {
    let grey = drawn8(52, 60);
    let png = |data: &[u8], colour| {
        let mut out = Vec::new();
        codecs::png::PngEncoder::new(&mut out).write_image(data, 60, 52, colour).unwrap();
        out
    };
    let reference = decode(&png(&grey, ExtendedColorType::L8)).unwrap();
    assert!(close(&greys(&reference), grey.iter().map(|s| f64::from(*s) / 255.0)));
    let rgba: Vec<u8> = grey.iter().flat_map(|v| [*v, *v, *v, 255]).collect();
    let rgb: Vec<u8> = grey.iter().flat_map(|v| [*v; 3]).collect();
    let grey_alpha: Vec<u8> = grey.iter().flat_map(|v| [*v, 255]).collect();
    let mut tiff = std::io::Cursor::new(Vec::new());
    codecs::tiff::TiffEncoder::new(&mut tiff).write_image(&rgb, 60, 52, ExtendedColorType::Rgb8).unwrap();
    for other in [
        png(&rgba, ExtendedColorType::Rgba8),
        png(&rgb, ExtendedColorType::Rgb8),
        png(&grey_alpha, ExtendedColorType::La8),
        tiff.into_inner(),
    ] {
        assert!(decode(&other).unwrap().grey == reference.grey);
    }
    let deep: Vec<u16> = grey.iter().map(|v| u16::from(*v) * 200 + 9).collect();
    let deep_rgba: Vec<u8> = deep.iter().flat_map(|v| [*v, *v, *v, 65_535]).flat_map(u16::to_ne_bytes).collect();
    let (low, high) = (f64::from(*deep.iter().min().unwrap()), f64::from(*deep.iter().max().unwrap()));
    let film = decode(&png(&deep_rgba, ExtendedColorType::Rgba16)).unwrap();
    assert_eq!((film.facts.format, film.facts.bits), ("png", 16));
    assert!(close(&greys(&film), deep.iter().map(|s| (f64::from(*s) - low) / (high - low))));
}

#[test]
fn a_jpeg_is_turned_upright_as_its_exif_says() {
    let mut jpeg = Vec::new();
    let encoder = codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 100);
    encoder.write_image(&drawn8(52, 60), 60, 52, ExtendedColorType::L8).unwrap();
    let lying = decode(&jpeg).unwrap();
    // Orientation 6: turn by 90 degrees clockwise.
    let exif = b"\xFF\xE1\x00\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    jpeg.splice(2..2, exif.iter().copied());
    let upright = decode(&jpeg).unwrap();
    assert_eq!((upright.grey.width(), upright.grey.height()), (52, 60));
    assert_eq!((upright.facts.columns, upright.facts.rows), (60, 52));
    assert_eq!(upright.grey.at(51, 0), lying.grey.at(0, 0));
    assert_eq!(upright.grey.at(0, 59), lying.grey.at(59, 51));
    assert!(step(&upright, "orientation").contains('6'));
}

#[test]
fn what_makers_add_to_a_header_does_not_keep_a_film_from_being_read() {
    let film = DicomFile::chest8(50, 50, &drawn8(50, 50));
    let plain = read(&film);
    let text = |s: &str| ("LO".to_owned(), s.into());
    let inner = Elements::from([((0x0009, 0x0010), text("MAKER")), ((0x0009, 0x1001), text("value"))]);
    let icon = Elements::from([
        ((0x0028, 0x0010), ("US".to_owned(), 2.into())),
        ((0x0028, 0x0011), ("US".to_owned(), 2.into())),
        ((0x7FE0, 0x0010), ("OB".to_owned(), vec![1, 2, 3, 4].into())),
    ]);
    let added =
        film.with((0x0009, 0x1010), "SQ", inner).with((0x0088, 0x0200), "SQ", icon).with((0x0008, 0x0005), "CS", "ISO_IR 999");
    let added = added.with((0x0029, 0x1001), "UN", vec![9; 31]).with((0x0008, 0x0023), "DA", "not a date");
    for syntax in [IMPLICIT_LITTLE, EXPLICIT_BIG, "1.2.840.10008.1.2.1"] {
        assert!(read(&added.clone().syntax(syntax)).grey == plain.grey, "{syntax}");
    }
    // A private sequence of unknown VR and length, its items in implicit VR (PS3.5 6.2.2).
    let whole = added.bytes();
    let at = whole.windows(4).position(|w| w == [0xE0, 0x7F, 0x10, 0x00]).unwrap();
    let last = whole.windows(4).rposition(|w| w == [0xE0, 0x7F, 0x10, 0x00]).unwrap().max(at);
    let unknown = b"\x31\0\x01\x10UN\0\0\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\xFF\xFF\xFF\xFF\x31\0\x02\x10\x04\0\0\0abcd\xFE\xFF\x0D\xE0\0\0\0\0\xFE\xFF\xDD\xE0\0\0\0\0";
    let spliced = [&whole[..last], unknown, &whole[last..]].concat();
    let outcome = decode(&spliced);
    assert!(outcome.as_ref().is_ok_and(|film| film.grey == plain.grey), "{:?}", outcome.map(|film| film.facts));
}
