//! The iterative walk over the elements of a DICOM data set (PS3.5 section 7) that `precheck` makes.
//!
//! In: bytes and how elements are written in them. Out: where the pixel data lie, and which elements
//! of the top level the header keeps. An explicit stack of open containers; a length is compared with
//! what its container holds before it is followed.

use super::refusal::{Code, Refusal};
use crate::limits::{DICOM_DEPTH_MAX, DICOM_ELEMENTS_MAX, DICOM_FRAGMENTS_MAX, DICOM_VALUE_BYTES_MAX};
use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;
use std::ops::Range;

/// The length that stands for "until the delimiter".
const UNDEFINED: u32 = u32::MAX;

const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);
const FLOAT_PIXEL_DATA: Tag = Tag(0x7FE0, 0x0008);
const DOUBLE_FLOAT_PIXEL_DATA: Tag = Tag(0x7FE0, 0x0009);
const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_DELIMITER: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_DELIMITER: Tag = Tag(0xFFFE, 0xE0DD);

/// Sequences that decoding reads; these are never left out, but refused where they cannot be read.
const SEQUENCES_READ: [Tag; 4] = [Tag(0x0008, 0x2218), Tag(0x0028, 0x3000), Tag(0x0028, 0x3010), Tag(0x0054, 0x0220)];

/// Attributes that say how much memory the pixels take: Samples per Pixel, Rows, Columns, Bits Allocated.
const SIZES: [Tag; 4] = [Tag(0x0028, 0x0002), Tag(0x0028, 0x0010), Tag(0x0028, 0x0011), Tag(0x0028, 0x0100)];
/// An element of one word, its head included, in any encoding.
const WORD_ELEMENT_BYTES: usize = 10;

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

/// The elements of the top level that the header keeps, and the one that is being walked.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) ranges: Vec<Range<usize>>,
    current: Option<(Tag, usize)>,
    /// Whether a sequence of unknown VR was opened in it.
    unknown: bool,
    /// Where the words of [`SIZES`] lie.
    sizes: [Option<usize>; 4],
}

impl Kept {
    /// Ends the current element at `end`; keeps it unless it is private or written in an unknown VR.
    fn end(&mut self, end: usize) {
        let Some((tag, start)) = self.current.take() else { return };
        let unknown = std::mem::take(&mut self.unknown) && !SEQUENCES_READ.contains(&tag);
        if unknown || tag.group() % 2 == 1 {
            return;
        }
        if end - start == WORD_ELEMENT_BYTES {
            let sizes = SIZES.iter().zip(&mut self.sizes).filter(|(size, _)| **size == tag);
            sizes.for_each(|(_, place)| *place = Some(end - 2));
        }
        match self.ranges.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => self.ranges.push(start..end),
        }
    }
}

/// A walk over the elements of `bytes`, standing at `at`.
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    pub(super) at: usize,
    elements: usize,
    pub(super) kept: Kept,
}

impl<'a> Walk<'a> {
    /// A walk that begins at byte `at`.
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, elements: 0, kept: Kept::default() }
    }

    /// Walks to the pixel data or the end: where the pixels lie.
    pub(super) fn data_set(&mut self, encoding: Encoding) -> Result<Option<PixelData>, Refusal> {
        let all = self.bytes.len();
        let mut open = vec![Level { kind: Kind::DataSet, end: Some(all), limit: all, encoding }];
        while let Some(level) = open.last().copied() {
            if level.kind == Kind::DataSet {
                self.kept.end(self.at);
            }
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
            if level.kind == Kind::DataSet {
                self.kept.current = Some((tag, start));
            }
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
                Visit::Pixels(pixels) if level.kind == Kind::DataSet => return Ok(Some(pixels)),
                Visit::Pixels(_) => {}
            }
        }
        Ok(None)
    }

    /// Samples per Pixel, Rows, Columns and Bits Allocated as they stand, where the walk saw them as one word each.
    pub(super) fn sizes(&self, encoding: Encoding) -> [Option<u16>; 4] {
        self.kept.sizes.map(|place| {
            let word = *self.bytes.get(place?..)?.first_chunk::<2>()?;
            Some(if encoding == Encoding::ExplicitBig { u16::from_be_bytes(word) } else { u16::from_le_bytes(word) })
        })
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
            self.kept.unknown |= vr == VR::UN;
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
        // The data-set reader reads whole numbers and takes a remainder for the next tag: from there on it would see another
        // structure than this walk has checked, with lengths that nobody bounded.
        let unit = bytes_of_a_number(vr);
        if !pixels && !length.is_multiple_of(unit) {
            return Err(damaged(format!("{tag} of {} has {length} bytes, allowed is a multiple of {unit}", vr.to_string())));
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
    pub(super) fn element_header(&mut self, encoding: Encoding) -> Result<(Tag, VR, u32), Refusal> {
        let tag = self.tag(encoding)?;
        if tag.group() == ITEM.group() {
            // The standard knows no other element of this group, and readers differ on whether one has a VR.
            if !matches!(tag, ITEM | ITEM_DELIMITER | SEQUENCE_DELIMITER) {
                return Err(damaged(format!("{tag} is no item and no delimiter")));
            }
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
    pub(super) fn defined(&self, tag: Tag, length: u32, limit: usize) -> Result<Range<usize>, Refusal> {
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

    pub(super) fn peek_group(&self) -> Option<u16> {
        self.bytes.get(self.at..).and_then(<[u8]>::first_chunk::<2>).map(|two| u16::from_le_bytes(*two))
    }

    pub(super) fn count(&mut self) -> Result<(), Refusal> {
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

/// Bytes of one value of a binary VR (PS3.5 6.2); 1 for text and bytes.
fn bytes_of_a_number(vr: VR) -> u32 {
    match vr {
        VR::US | VR::SS | VR::OW => 2,
        VR::AT | VR::UL | VR::SL | VR::FL | VR::OL | VR::OF => 4,
        VR::FD | VR::UV | VR::SV | VR::OD | VR::OV => 8,
        _ => 1,
    }
}

/// VRs whose explicit length takes four bytes behind two reserved ones (PS3.5 7.1.2).
fn has_long_length(vr: VR) -> bool {
    matches!(
        vr,
        VR::OB | VR::OD | VR::OF | VR::OL | VR::OV | VR::OW | VR::SQ | VR::SV | VR::UC | VR::UN | VR::UR | VR::UT | VR::UV
    )
}

/// A refusal for a structure that does not hold.
pub(super) fn damaged(detail: String) -> Refusal {
    Refusal::new(Code::DamagedFile, detail)
}
