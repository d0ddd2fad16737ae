//! A tiny writer of DICOM files for tests: drawn films with any attribute, in any encoding.
//!
//! `DicomFile::chest(rows, columns, &samples).with((0x0028, 0x1050), "DS", "2048").bytes()`

use dicom_encoding::Codec;
use dicom_transfer_syntax_registry::entries::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN;
use image::{ExtendedColorType, ImageEncoder, codecs::jpeg::JpegEncoder};
use std::collections::BTreeMap;
use std::io::Write;

/// What stands in every drawn file's identifying attributes; it must never come out again.
pub const PLANTED: &str = "Planted^Patient";

pub const IMPLICIT_LITTLE: &str = "1.2.840.10008.1.2";
pub const EXPLICIT_LITTLE: &str = "1.2.840.10008.1.2.1";
pub const EXPLICIT_BIG: &str = "1.2.840.10008.1.2.2";
pub const DEFLATED: &str = "1.2.840.10008.1.2.1.99";
pub const RLE: &str = "1.2.840.10008.1.2.5";
pub const JPEG_BASELINE: &str = "1.2.840.10008.1.2.4.50";
pub const JPEG_2000: &str = "1.2.840.10008.1.2.4.91";

/// Group and element.
pub type Tag = (u16, u16);
/// The elements of a data set or of an item.
pub type Elements = BTreeMap<Tag, (String, Value)>;

/// An element's value.
#[derive(Clone, Debug)]
pub enum Value {
    /// Written as they are.
    Bytes(Vec<u8>),
    /// Written in the byte order of the file.
    Words(Vec<u16>),
    /// Items of a sequence.
    Items(Vec<Elements>),
    /// Fragments of encapsulated pixel data, the offset table left empty.
    Fragments(Vec<Vec<u8>>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }
}

impl From<u16> for Value {
    fn from(word: u16) -> Self {
        Self::Words(vec![word])
    }
}

impl From<&[u16]> for Value {
    fn from(words: &[u16]) -> Self {
        Self::Words(words.to_vec())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Elements> for Value {
    fn from(item: Elements) -> Self {
        Self::Items(vec![item])
    }
}

/// A DICOM file to be written.
#[derive(Clone, Debug)]
pub struct DicomFile {
    transfer_syntax: String,
    preamble: bool,
    elements: Elements,
}

impl DicomFile {
    /// A Computed Radiography chest film, PA, MONOCHROME2, 16 bits allocated and stored.
    pub fn chest(rows: u16, columns: u16, samples: &[u16]) -> Self {
        let empty = Self { transfer_syntax: EXPLICIT_LITTLE.to_owned(), preamble: true, elements: Elements::new() };
        empty
            .with((0x0008, 0x0016), "UI", "1.2.840.10008.5.1.4.1.1.1")
            .with((0x0008, 0x0020), "DA", "20200101")
            .with((0x0008, 0x0050), "SH", PLANTED)
            .with((0x0008, 0x0060), "CS", "CR")
            .with((0x0010, 0x0010), "PN", PLANTED)
            .with((0x0010, 0x0020), "LO", PLANTED)
            .with((0x0010, 0x0030), "DA", "19510203")
            .with((0x0018, 0x0015), "CS", "CHEST")
            .with((0x0018, 0x5101), "CS", "PA")
            .with((0x0028, 0x0002), "US", 1)
            .with((0x0028, 0x0004), "CS", "MONOCHROME2")
            .with((0x0028, 0x0010), "US", rows)
            .with((0x0028, 0x0011), "US", columns)
            .with((0x0028, 0x0100), "US", 16)
            .with((0x0028, 0x0101), "US", 16)
            .with((0x0028, 0x0102), "US", 15)
            .with((0x0028, 0x0103), "US", 0)
            .with((0x7FE0, 0x0010), "OW", samples)
    }

    /// The same with 8 bits allocated and stored.
    pub fn chest8(rows: u16, columns: u16, samples: &[u8]) -> Self {
        Self::chest(rows, columns, &[])
            .with((0x0028, 0x0100), "US", 8)
            .with((0x0028, 0x0101), "US", 8)
            .with((0x0028, 0x0102), "US", 7)
            .with((0x7FE0, 0x0010), "OB", samples.to_vec())
    }

    /// A film of three channels of 8 bits, pixel by pixel.
    pub fn rgb(rows: u16, columns: u16, samples: &[u8]) -> Self {
        Self::chest8(rows, columns, samples).with((0x0028, 0x0002), "US", 3).with((0x0028, 0x0004), "CS", "RGB").with(
            (0x0028, 0x0006),
            "US",
            0,
        )
    }

    /// With this element, in place of one of the same tag.
    pub fn with(mut self, tag: Tag, vr: &str, value: impl Into<Value>) -> Self {
        self.elements.insert(tag, (vr.to_owned(), value.into()));
        self
    }

    /// Without this element.
    pub fn without(mut self, tag: Tag) -> Self {
        self.elements.remove(&tag);
        self
    }

    /// In another transfer syntax; the pixels stay as they are.
    pub fn syntax(mut self, uid: &str) -> Self {
        uid.clone_into(&mut self.transfer_syntax);
        self
    }

    /// Without preamble and file meta information.
    pub fn bare(mut self) -> Self {
        self.preamble = false;
        self
    }

    /// With encapsulated pixel data in these fragments.
    pub fn fragments(self, syntax: &str, fragments: Vec<Vec<u8>>) -> Self {
        self.syntax(syntax).with((0x7FE0, 0x0010), "OB", Value::Fragments(fragments))
    }

    /// With its pixels in RLE Lossless.
    pub fn rle(self) -> Self {
        let planes: Vec<Vec<u8>> = match self.pixels() {
            Value::Words(words) => {
                let half = |i: usize| words.iter().map(|w| w.to_be_bytes()[i]).collect();
                vec![half(0), half(1)]
            }
            Value::Bytes(bytes) => {
                let channels =
                    if matches!(self.elements.get(&(0x0028, 0x0002)), Some((_, Value::Words(w))) if w == &[3]) { 3 } else { 1 };
                (0..channels).map(|c| bytes.iter().skip(c).step_by(channels).copied().collect()).collect()
            }
            _ => Vec::new(),
        };
        let segments: Vec<Vec<u8>> = planes.iter().map(|plane| packed(plane)).collect();
        let mut header = vec![u32::try_from(segments.len()).unwrap()];
        let mut at = 64;
        for segment in &segments {
            header.push(at);
            at += u32::try_from(segment.len()).unwrap();
        }
        header.resize(16, 0);
        let frame = header.iter().flat_map(|w| w.to_le_bytes()).chain(segments.concat()).collect();
        self.fragments(RLE, vec![frame])
    }

    /// With its pixels (8 bits, grey) in JPEG Baseline, in fragments of at most `fragment_bytes`.
    pub fn jpeg(self, fragment_bytes: usize) -> Self {
        let Value::Bytes(pixels) = self.pixels() else { panic!("JPEG Baseline takes 8 bits") };
        let (rows, columns) = (self.word((0x0028, 0x0010)), self.word((0x0028, 0x0011)));
        let mut jpeg = Vec::new();
        let encoder = JpegEncoder::new_with_quality(&mut jpeg, 95);
        encoder.write_image(&pixels, columns.into(), rows.into(), ExtendedColorType::L8).unwrap();
        let fragments = jpeg.chunks(fragment_bytes).map(<[u8]>::to_vec).collect();
        self.fragments(JPEG_BASELINE, fragments)
    }

    fn pixels(&self) -> Value {
        self.elements.get(&(0x7FE0, 0x0010)).map(|(_, value)| value.clone()).expect("the file has pixels")
    }

    fn word(&self, tag: Tag) -> u16 {
        match self.elements.get(&tag) {
            Some((_, Value::Words(words))) => words[0],
            other => panic!("{tag:?} is {other:?}"),
        }
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let encoding = match self.transfer_syntax.as_str() {
            IMPLICIT_LITTLE => Encoding { explicit: false, big: false },
            EXPLICIT_BIG => Encoding { explicit: true, big: true },
            _ => Encoding { explicit: true, big: false },
        };
        let mut data_set = Vec::new();
        for (tag, (vr, value)) in &self.elements {
            encoding.element(&mut data_set, *tag, vr, value);
        }
        if self.transfer_syntax == DEFLATED {
            data_set = deflated(&data_set);
        }
        if !self.preamble {
            return data_set;
        }
        let mut meta = Vec::new();
        let plain = Encoding { explicit: true, big: false };
        plain.element(&mut meta, (0x0002, 0x0001), "OB", &Value::Bytes(vec![0, 1]));
        plain.element(&mut meta, (0x0002, 0x0010), "UI", &self.transfer_syntax.as_str().into());
        let mut file = vec![0; 128];
        file.extend_from_slice(b"DICM");
        let length = u32::try_from(meta.len()).unwrap().to_le_bytes().to_vec();
        plain.element(&mut file, (0x0002, 0x0000), "UL", &Value::Bytes(length));
        [file, meta, data_set].concat()
    }
}

#[derive(Clone, Copy)]
struct Encoding {
    explicit: bool,
    big: bool,
}

impl Encoding {
    fn element(self, out: &mut Vec<u8>, tag: Tag, vr: &str, value: &Value) {
        let (content, undefined) = self.content(vr, value);
        out.extend(self.word(tag.0));
        out.extend(self.word(tag.1));
        let length = if undefined { u32::MAX } else { u32::try_from(content.len()).unwrap() };
        if self.explicit {
            out.extend_from_slice(vr.as_bytes());
            if matches!(vr, "OB" | "OW" | "SQ" | "UN" | "UT" | "OF" | "OD" | "UC") {
                out.extend([0, 0]);
                out.extend(self.long(length));
            } else {
                out.extend(self.word(u16::try_from(length).unwrap()));
            }
        } else {
            out.extend(self.long(length));
        }
        out.extend(content);
    }

    fn content(self, vr: &str, value: &Value) -> (Vec<u8>, bool) {
        let mut content = Vec::new();
        match value {
            Value::Bytes(bytes) => {
                content.extend_from_slice(bytes);
                if content.len() % 2 == 1 {
                    content.push(if matches!(vr, "UI" | "OB" | "UN") { 0 } else { b' ' });
                }
            }
            Value::Words(words) => content.extend(words.iter().flat_map(|w| self.word(*w))),
            Value::Items(items) => {
                for item in items {
                    let mut inner = Vec::new();
                    for (tag, (vr, value)) in item {
                        self.element(&mut inner, *tag, vr, value);
                    }
                    content.extend(self.head((0xFFFE, 0xE000), inner.len()));
                    content.extend(inner);
                }
            }
            Value::Fragments(fragments) => {
                content.extend(self.head((0xFFFE, 0xE000), 0));
                for fragment in fragments {
                    content.extend(self.head((0xFFFE, 0xE000), fragment.len().next_multiple_of(2)));
                    content.extend_from_slice(fragment);
                    content.resize(content.len().next_multiple_of(2), 0);
                }
                content.extend(self.head((0xFFFE, 0xE0DD), 0));
                return (content, true);
            }
        }
        (content, false)
    }

    fn head(self, tag: Tag, length: usize) -> Vec<u8> {
        [self.word(tag.0).to_vec(), self.word(tag.1).to_vec(), self.long(u32::try_from(length).unwrap()).to_vec()].concat()
    }

    fn word(self, word: u16) -> [u8; 2] {
        if self.big { word.to_be_bytes() } else { word.to_le_bytes() }
    }

    fn long(self, long: u32) -> [u8; 4] {
        if self.big { long.to_be_bytes() } else { long.to_le_bytes() }
    }
}

/// PackBits: runs where there are two equal bytes, literals elsewhere.
fn packed(plane: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = plane;
    while let Some(&first) = rest.first() {
        let run = rest.iter().take(128).take_while(|b| **b == first).count();
        if run >= 2 {
            out.extend([u8::try_from(257 - run).unwrap(), first]);
            rest = &rest[run..];
            continue;
        }
        let literal = rest.windows(2).take(127).take_while(|two| two[0] != two[1]).count().max(1);
        out.push(u8::try_from(literal - 1).unwrap());
        out.extend_from_slice(&rest[..literal]);
        rest = &rest[literal..];
    }
    if out.len() % 2 == 1 {
        out.push(0x80);
    }
    out
}

fn deflated(data_set: &[u8]) -> Vec<u8> {
    let syntax = DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN.erased();
    let Codec::Dataset(Some(adapter)) = syntax.codec() else { panic!("no deflate") };
    let mut out = Vec::new();
    {
        let mut writer = adapter.adapt_writer(Box::new(&mut out));
        writer.write_all(data_set).unwrap();
        writer.flush().unwrap();
    }
    out
}

/// A drawn film: a bright frame of soft tissue, two dark lungs, a bright spine; values 0 to `top`.
pub fn drawn(rows: u16, columns: u16, top: u16) -> Vec<u16> {
    let inside = |x: f64, y: f64, cx: f64, rx: f64| ((x - cx) / rx).powi(2) + ((y - 0.5) / 0.36).powi(2) < 1.0;
    let pixel = |row: u16, column: u16| {
        let (x, y) = (f64::from(column) / f64::from(columns), f64::from(row) / f64::from(rows));
        let tissue = 0.65 + 0.25 * y;
        let lung = inside(x, y, 0.28, 0.17) || inside(x, y, 0.72, 0.17);
        let grey = if lung { 0.2 + 0.1 * (12.0 * y).sin().abs() } else { tissue };
        let spine = if (x - 0.5).abs() < 0.05 { 0.1 } else { 0.0 };
        ((grey + spine) * f64::from(top)) as u16
    };
    (0..rows).flat_map(|row| (0..columns).map(move |column| pixel(row, column))).collect()
}

/// The same in eight bits.
pub fn drawn8(rows: u16, columns: u16) -> Vec<u8> {
    drawn(rows, columns, 255).into_iter().map(|v| u8::try_from(v).unwrap()).collect()
}
