//! The structure of a DICOM file, checked before any parser trusts it.
//!
//! In: the raw bytes. Out: a [`Structure`]: transfer syntax, the data set (inflated where it was
//! deflated), where its header ends and where its pixel data lie. One iterative walk (PS3.5 section
//! 7) with an explicit stack: every length lies inside what holds it, nesting, elements, values and
//! fragments are bounded. Nothing is allocated by a length that the file claims.
//! Never: recursion, a length believed before it was compared with the bytes at hand.

use super::refusal::{Code, Refusal};
use crate::limits::{DICOM_DEPTH_MAX, DICOM_ELEMENTS_MAX, DICOM_FRAGMENTS_MAX, DICOM_INFLATED_BYTES_MAX, DICOM_VALUE_BYTES_MAX};
use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;
use dicom_encoding::Codec;
use dicom_transfer_syntax_registry::entries::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN;
use std::borrow::Cow;
use std::io::Read;
use std::ops::Range;

/// Length of the preamble and the letters `DICM`.
const PREAMBLE_BYTES: usize = 132;
/// The length that stands for "until the delimiter".
const UNDEFINED: u32 = u32::MAX;
/// Most a deflated data set may grow: deflate itself ends at 1032 : 1, films reach 50 : 1.
const INFLATION_MAX: u64 = 256;
/// A deflated data set may always grow to this, so that small drawn films of one grey pass.
const INFLATION_FREE_BYTES: u64 = 4 << 20;

const TRANSFER_SYNTAX_UID: Tag = Tag(0x0002, 0x0010);
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);
const FLOAT_PIXEL_DATA: Tag = Tag(0x7FE0, 0x0008);
const DOUBLE_FLOAT_PIXEL_DATA: Tag = Tag(0x7FE0, 0x0009);
const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_DELIMITER: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_DELIMITER: Tag = Tag(0xFFFE, 0xE0DD);

/// UIDs of the transfer syntaxes whose data set is not explicit VR little endian (PS3.5 Annex A).
pub(super) const IMPLICIT_LITTLE_UID: &str = "1.2.840.10008.1.2";
pub(super) const EXPLICIT_LITTLE_UID: &str = "1.2.840.10008.1.2.1";
pub(super) const EXPLICIT_BIG_UID: &str = "1.2.840.10008.1.2.2";
pub(super) const DEFLATED_UID: &str = "1.2.840.10008.1.2.1.99";

/// How the elements of a data set are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    ImplicitLittle,
    ExplicitLittle,
    ExplicitBig,
}

/// Where the pixels of the data set lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PixelData {
    /// Uncompressed, these bytes of the data set.
    Native { vr: VR, bytes: Range<usize> },
    /// Compressed, in fragments; the offset table is left out.
    Encapsulated { fragments: Vec<Range<usize>> },
    /// Floating point pixel data.
    Float,
}

/// A DICOM file whose structure holds.
#[derive(Debug)]
pub(super) struct Structure<'a> {
    /// Transfer Syntax UID (0002,0010), or the one that the bytes themselves show where none is given.
    pub(super) transfer_syntax: String,
    pub(super) encoding: Encoding,
    data_set: Cow<'a, [u8]>,
    header_end: usize,
    pub(super) pixels: Option<PixelData>,
}

impl<'a> Structure<'a> {
    /// Walks a file that [`is_dicom`] recognised.
    ///
    /// # Errors
    /// `DamagedFile` where a length or a delimiter is wrong, `TooLarge` beyond a limit.
    pub(super) fn of(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let start = if has_preamble(bytes) { PREAMBLE_BYTES } else { 0 };
        let (meta_end, uid) = file_meta(bytes, start)?;
        let rest = bytes.get(meta_end..).unwrap_or_default();
        let transfer_syntax = match uid {
            Some(uid) => uid,
            None if starts_explicit(rest) => EXPLICIT_LITTLE_UID.to_owned(),
            None => IMPLICIT_LITTLE_UID.to_owned(),
        };
        let (encoding, data_set) = match transfer_syntax.as_str() {
            IMPLICIT_LITTLE_UID => (Encoding::ImplicitLittle, Cow::Borrowed(rest)),
            EXPLICIT_BIG_UID => (Encoding::ExplicitBig, Cow::Borrowed(rest)),
            DEFLATED_UID => (Encoding::ExplicitLittle, Cow::Owned(inflate(rest)?)),
            _ => (Encoding::ExplicitLittle, Cow::Borrowed(rest)),
        };
        let mut walk = Walk { bytes: &data_set, at: 0, elements: 0 };
        let (header_end, pixels) = walk.data_set(encoding)?;
        Ok(Self { transfer_syntax, encoding, data_set, header_end, pixels })
    }

    /// The elements in front of the pixel data.
    pub(super) fn header(&self) -> &[u8] {
        self.data_set.get(..self.header_end).unwrap_or_default()
    }

    /// Bytes of the data set; a range of [`PixelData`] always lies inside.
    pub(super) fn bytes(&self, range: &Range<usize>) -> &[u8] {
        self.data_set.get(range.clone()).unwrap_or_default()
    }
}

/// Whether the bytes are a DICOM file: by the letters `DICM` behind the preamble, or, without one,
/// by a first element that only a data set begins with.
pub(super) fn is_dicom(bytes: &[u8]) -> bool {
    has_preamble(bytes) || begins_like_a_data_set(bytes)
}

fn has_preamble(bytes: &[u8]) -> bool {
    bytes.get(128..PREAMBLE_BYTES) == Some(b"DICM")
}

/// A group 0002 or 0008 element with a low element number, then a known VR or a short length.
fn begins_like_a_data_set(bytes: &[u8]) -> bool {
    let Some([g0, g1, e0, e1, a, b, c, d]) = bytes.first_chunk::<8>().copied() else { return false };
    let (group, element) = (u16::from_le_bytes([g0, g1]), u16::from_le_bytes([e0, e1]));
    if !matches!((group, element), (0x0002, 0..=0x0003) | (0x0008, 0..=0x0018)) {
        return false;
    }
    VR::from_binary([a, b]).is_some() || u32::from_le_bytes([a, b, c, d]) <= 64
}

fn starts_explicit(bytes: &[u8]) -> bool {
    matches!(bytes.get(4..6), Some(&[a, b]) if VR::from_binary([a, b]).is_some())
}

/// Walks the file meta information (always explicit VR little endian): where it ends, and the Transfer Syntax UID.
fn file_meta(bytes: &[u8], start: usize) -> Result<(usize, Option<String>), Refusal> {
    let mut walk = Walk { bytes, at: start, elements: 0 };
    let mut uid = None;
    while walk.peek_group() == Some(0x0002) {
        walk.count()?;
        let (tag, _, length) = walk.element_header(Encoding::ExplicitLittle)?;
        let value = walk.defined(tag, length, bytes.len())?;
        if tag == TRANSFER_SYNTAX_UID {
            uid = Some(transfer_syntax_uid(bytes.get(value.clone()).unwrap_or_default())?);
        }
        walk.at = value.end;
    }
    Ok((walk.at, uid))
}

fn transfer_syntax_uid(value: &[u8]) -> Result<String, Refusal> {
    let text = value.trim_ascii_end();
    let text = text.strip_suffix(b"\0").unwrap_or(text);
    let sound = !text.is_empty() && text.len() <= 64 && text.iter().all(|b| b.is_ascii_digit() || *b == b'.');
    if !sound {
        return Err(damaged(format!(
            "TransferSyntaxUID {TRANSFER_SYNTAX_UID} of {} bytes is not a UID, allowed are 1 to 64 digits and dots",
            value.len()
        )));
    }
    Ok(text.iter().map(|b| char::from(*b)).collect())
}

/// Inflates a deflated data set (PS3.5 A.5), up to a limit.
fn inflate(deflated: &[u8]) -> Result<Vec<u8>, Refusal> {
    let syntax = DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN.erased();
    let Codec::Dataset(Some(adapter)) = syntax.codec() else {
        return Err(Refusal::new(Code::InternalFault, "the codec of deflated data sets is missing"));
    };
    let held = u64::try_from(deflated.len()).unwrap_or(u64::MAX);
    let most = held.saturating_mul(INFLATION_MAX).max(INFLATION_FREE_BYTES).min(DICOM_INFLATED_BYTES_MAX);
    let mut inflated = Vec::new();
    let source: Box<dyn Read + '_> = Box::new(deflated);
    adapter
        .adapt_reader(source)
        .take(most + 1)
        .read_to_end(&mut inflated)
        .map_err(|_| damaged(format!("the deflated data set of {held} bytes does not inflate")))?;
    if u64::try_from(inflated.len()).unwrap_or(u64::MAX) > most {
        return Err(Refusal::new(
            Code::TooLarge,
            format!("the deflated data set of {held} bytes inflates beyond {most} bytes, the most allowed"),
        ));
    }
    Ok(inflated)
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Holds elements: the data set itself.
    DataSet,
    /// Holds items.
    Sequence,
    /// Holds elements, inside a sequence.
    Item,
}

/// One open container: what it is, where it ends (`None`: at its delimiter), the end no child may pass.
#[derive(Clone, Copy)]
struct Level {
    kind: Kind,
    end: Option<usize>,
    limit: usize,
    encoding: Encoding,
}

/// What an element of the data set's top level led to.
enum Visit {
    Next,
    Open(Level),
    Pixels(PixelData),
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    elements: usize,
}

impl Walk<'_> {
    /// Walks to the pixel data or the end: where the header ends and where the pixels lie.
    fn data_set(&mut self, encoding: Encoding) -> Result<(usize, Option<PixelData>), Refusal> {
        let all = self.bytes.len();
        let mut open = vec![Level { kind: Kind::DataSet, end: Some(all), limit: all, encoding }];
        while let Some(level) = open.last().copied() {
            if level.end.is_some_and(|end| self.at >= end) {
                open.pop();
                continue;
            }
            self.count()?;
            let start = self.at;
            if level.kind == Kind::Sequence {
                match self.item(level)? {
                    Some(item) => open.push(item),
                    None => drop(open.pop()),
                }
                continue;
            }
            let (tag, vr, length) = self.element_header(level.encoding)?;
            if tag == ITEM_DELIMITER && level.kind == Kind::Item && level.end.is_none() {
                open.pop();
                continue;
            }
            match self.value(level, tag, vr, length)? {
                Visit::Next => {}
                Visit::Open(sequence) => {
                    let depth = open.iter().filter(|l| l.kind == Kind::Sequence).count() + 1;
                    if depth > DICOM_DEPTH_MAX {
                        return Err(Refusal::new(
                            Code::TooLarge,
                            format!("sequence {tag} is nested {depth} deep, the most allowed is {DICOM_DEPTH_MAX}"),
                        ));
                    }
                    open.push(sequence);
                }
                Visit::Pixels(pixels) if level.kind == Kind::DataSet => return Ok((start, Some(pixels))),
                Visit::Pixels(_) => {}
            }
        }
        Ok((all, None))
    }

    /// Reads one item's head inside a sequence; `None` at the sequence's delimiter.
    fn item(&mut self, sequence: Level) -> Result<Option<Level>, Refusal> {
        let (tag, length) = (self.tag(sequence.encoding)?, self.length32(sequence.encoding)?);
        match tag {
            SEQUENCE_DELIMITER if sequence.end.is_none() => Ok(None),
            ITEM if length == UNDEFINED => Ok(Some(Level { kind: Kind::Item, end: None, ..sequence })),
            ITEM => {
                let end = self.defined(tag, length, sequence.limit)?.end;
                Ok(Some(Level { kind: Kind::Item, end: Some(end), limit: end, ..sequence }))
            }
            _ => Err(damaged(format!("{tag} at byte {} stands where an item {ITEM} must", self.at.saturating_sub(8)))),
        }
    }

    /// Passes over an element's value, or opens it if it is a sequence.
    fn value(&mut self, level: Level, tag: Tag, vr: VR, length: u32) -> Result<Visit, Refusal> {
        let pixels = matches!(tag, PIXEL_DATA | FLOAT_PIXEL_DATA | DOUBLE_FLOAT_PIXEL_DATA);
        if length == UNDEFINED {
            if tag == PIXEL_DATA {
                return Ok(Visit::Pixels(PixelData::Encapsulated { fragments: self.fragments(level)? }));
            }
            // A sequence of unknown VR is written in implicit VR little endian (PS3.5 6.2.2 note 2).
            let encoding = if vr == VR::UN { Encoding::ImplicitLittle } else { level.encoding };
            if !matches!(vr, VR::SQ | VR::UN) {
                return Err(damaged(format!("{tag} of {} has no length, only sequences and pixel data may", vr.to_string())));
            }
            return Ok(Visit::Open(Level { kind: Kind::Sequence, end: None, limit: level.limit, encoding }));
        }
        let value = self.defined(tag, length, level.limit)?;
        if vr == VR::SQ {
            return Ok(Visit::Open(Level { kind: Kind::Sequence, end: Some(value.end), limit: value.end, ..level }));
        }
        let long = u64::from(length) > DICOM_VALUE_BYTES_MAX;
        if long && !(pixels && level.kind == Kind::DataSet) {
            return Err(Refusal::new(
                Code::TooLarge,
                format!("{tag} has {length} bytes, the most allowed is {DICOM_VALUE_BYTES_MAX}"),
            ));
        }
        self.at = value.end;
        Ok(match tag {
            PIXEL_DATA => Visit::Pixels(PixelData::Native { vr, bytes: value }),
            FLOAT_PIXEL_DATA | DOUBLE_FLOAT_PIXEL_DATA => Visit::Pixels(PixelData::Float),
            _ => Visit::Next,
        })
    }

    /// Reads the fragments of encapsulated pixel data (PS3.5 A.4); the first item is the offset table.
    fn fragments(&mut self, level: Level) -> Result<Vec<Range<usize>>, Refusal> {
        let mut fragments = Vec::new();
        let mut offset_table = true;
        loop {
            self.count()?;
            let (tag, length) = (self.tag(level.encoding)?, self.length32(level.encoding)?);
            match tag {
                SEQUENCE_DELIMITER => return Ok(fragments),
                ITEM => {
                    let value = self.defined(tag, length, level.limit)?;
                    self.at = value.end;
                    if !std::mem::take(&mut offset_table) {
                        fragments.push(value);
                    }
                }
                _ => return Err(damaged(format!("{tag} stands where a fragment {ITEM} of PixelData {PIXEL_DATA} must"))),
            }
            if fragments.len() > DICOM_FRAGMENTS_MAX {
                return Err(Refusal::new(
                    Code::TooLarge,
                    format!("PixelData {PIXEL_DATA} has more than {DICOM_FRAGMENTS_MAX} fragments, the most allowed"),
                ));
            }
        }
    }

    /// Tag, VR and length of the element here; the VR of implicit elements is the dictionary's.
    fn element_header(&mut self, encoding: Encoding) -> Result<(Tag, VR, u32), Refusal> {
        let tag = self.tag(encoding)?;
        if matches!(tag, ITEM | ITEM_DELIMITER | SEQUENCE_DELIMITER) {
            return Ok((tag, VR::UN, self.length32(encoding)?));
        }
        if encoding == Encoding::ImplicitLittle {
            let length = self.length32(encoding)?;
            let entry = StandardDataDictionary.by_tag(tag);
            let vr = entry.map_or(VR::UN, |e| e.vr().relaxed());
            return Ok((tag, vr, length));
        }
        let [a, b] = self.take::<2>(tag)?;
        let vr = match VR::from_binary([a, b]) {
            Some(vr) => vr,
            None if a.is_ascii_uppercase() && b.is_ascii_uppercase() => VR::UN,
            None => return Err(damaged(format!("{tag} at byte {} has no VR of two letters", self.at.saturating_sub(6)))),
        };
        let length = if has_long_length(vr) {
            self.take::<2>(tag)?;
            self.length32(encoding)?
        } else {
            let two = self.take::<2>(tag)?;
            u32::from(if encoding == Encoding::ExplicitBig { u16::from_be_bytes(two) } else { u16::from_le_bytes(two) })
        };
        Ok((tag, vr, length))
    }

    /// The bytes of a value of `length` here, which must end at or before `limit`.
    fn defined(&self, tag: Tag, length: u32, limit: usize) -> Result<Range<usize>, Refusal> {
        let end = usize::try_from(length).ok().and_then(|n| self.at.checked_add(n)).filter(|end| *end <= limit);
        match end {
            Some(end) => Ok(self.at..end),
            None => Err(damaged(format!("{tag} claims {length} bytes, {} are left", limit.saturating_sub(self.at)))),
        }
    }

    fn tag(&mut self, encoding: Encoding) -> Result<Tag, Refusal> {
        let at = self.at;
        let Some([a, b, c, d]) = self.bytes.get(at..).and_then(<[u8]>::first_chunk::<4>).copied() else {
            return Err(damaged(format!("the file ends at byte {} inside an element", self.bytes.len())));
        };
        self.at = at.saturating_add(4);
        Ok(match encoding {
            Encoding::ExplicitBig => Tag(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])),
            _ => Tag(u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])),
        })
    }

    fn length32(&mut self, encoding: Encoding) -> Result<u32, Refusal> {
        let four = self.take::<4>(ITEM)?;
        Ok(if encoding == Encoding::ExplicitBig { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) })
    }

    fn take<const N: usize>(&mut self, tag: Tag) -> Result<[u8; N], Refusal> {
        let Some(taken) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk::<N>) else {
            return Err(damaged(format!("the file ends at byte {} inside element {tag}", self.bytes.len())));
        };
        self.at = self.at.saturating_add(N);
        Ok(*taken)
    }

    fn peek_group(&self) -> Option<u16> {
        self.bytes.get(self.at..).and_then(<[u8]>::first_chunk::<2>).map(|two| u16::from_le_bytes(*two))
    }

    fn count(&mut self) -> Result<(), Refusal> {
        self.elements += 1;
        if self.elements > DICOM_ELEMENTS_MAX {
            return Err(Refusal::new(
                Code::TooLarge,
                format!("the file has more than {DICOM_ELEMENTS_MAX} elements, the most allowed"),
            ));
        }
        Ok(())
    }
}

/// VRs whose explicit length takes four bytes behind two reserved ones (PS3.5 7.1.2).
fn has_long_length(vr: VR) -> bool {
    matches!(
        vr,
        VR::OB | VR::OD | VR::OF | VR::OL | VR::OV | VR::OW | VR::SQ | VR::SV | VR::UC | VR::UN | VR::UR | VR::UT | VR::UV
    )
}

fn damaged(detail: String) -> Refusal {
    Refusal::new(Code::DamagedFile, detail)
}
