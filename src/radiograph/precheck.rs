//! The structure of a DICOM file, checked before any parser trusts it.
//!
//! In: the raw bytes. Out: a [`Structure`]: transfer syntax, the data set (inflated where it was
//! deflated), the header in front of the pixel data and where these lie. One iterative walk (PS3.5 section
//! 7) with an explicit stack: every length lies inside what holds it, nesting, elements, values and
//! fragments are bounded. Nothing is allocated by a length that the file claims. Private elements and
//! sequences of unknown VR are walked and then left out of the header: nothing in them is needed, and
//! the parser behind does not know how the latter are written.
//! Never: recursion, a length believed before it was compared with the bytes at hand.

pub(super) use super::dicom_walk::{Encoding, PixelData};
use super::dicom_walk::{Walk, damaged};
use super::refusal::{Code, Refusal};
use crate::limits::DICOM_INFLATED_BYTES_MAX;
use dicom_core::{Tag, VR};
use dicom_encoding::Codec;
use dicom_transfer_syntax_registry::entries::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN;
use std::borrow::Cow;
use std::io::Read;
use std::ops::Range;

/// Length of the preamble and the letters `DICM`.
const PREAMBLE_BYTES: usize = 132;
/// Most a deflated data set may grow: deflate itself ends at 1032 : 1, a film that is half black border reaches 5 : 1.
const INFLATION_MAX: u64 = 64;
/// A deflated data set may always grow to this, so that small drawn films of one grey pass.
const INFLATION_FREE_BYTES: u64 = 4 << 20;

const TRANSFER_SYNTAX_UID: Tag = Tag(0x0002, 0x0010);

/// UIDs of the transfer syntaxes whose data set is not explicit VR little endian (PS3.5 Annex A).
pub(super) const IMPLICIT_LITTLE_UID: &str = "1.2.840.10008.1.2";
pub(super) const EXPLICIT_LITTLE_UID: &str = "1.2.840.10008.1.2.1";
pub(super) const EXPLICIT_BIG_UID: &str = "1.2.840.10008.1.2.2";
pub(super) const DEFLATED_UID: &str = "1.2.840.10008.1.2.1.99";

/// A DICOM file whose structure holds.
#[derive(Debug)]
pub(super) struct Structure<'a> {
    /// Transfer Syntax UID (0002,0010), or the one that the bytes themselves show where none is given.
    pub(super) transfer_syntax: String,
    pub(super) encoding: Encoding,
    data_set: Cow<'a, [u8]>,
    /// Where the elements lie that the header keeps.
    kept: Vec<Range<usize>>,
    pub(super) pixels: Option<PixelData>,
}

impl<'a> Structure<'a> {
    /// Walks a file that [`is_dicom`] recognised.
    ///
    /// # Errors
    /// `DamagedFile` where a length or a delimiter is wrong, `TooLarge` beyond a limit.
    pub(super) fn of(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let (transfer_syntax, encoding, rest) = opened(bytes)?;
        let data_set = if transfer_syntax == DEFLATED_UID { Cow::Owned(inflate(rest)?) } else { Cow::Borrowed(rest) };
        let mut walk = Walk::new(&data_set, 0);
        let pixels = walk.data_set(encoding)?;
        let kept = walk.kept.ranges;
        Ok(Self { transfer_syntax, encoding, data_set, kept, pixels })
    }

    /// The elements in front of the pixel data, without those that were left out.
    pub(super) fn header(&self) -> Cow<'_, [u8]> {
        match self.kept.as_slice() {
            [one] => Cow::Borrowed(self.bytes(one)),
            many => Cow::Owned(many.iter().flat_map(|range| self.bytes(range)).copied().collect()),
        }
    }

    /// Bytes of the data set; a range of [`PixelData`] always lies inside.
    pub(super) fn bytes(&self, range: &Range<usize>) -> &[u8] {
        self.data_set.get(range.clone()).unwrap_or_default()
    }
}

/// What a file's header claims of its pixels; nothing of it was checked.
pub(super) struct Claims {
    pub(super) transfer_syntax: String,
    /// Samples per Pixel, Rows, Columns, Bits Allocated; `None` where the data set is deflated.
    pub(super) sizes: Option<[u16; 4]>,
}

impl Claims {
    /// Walks the file without reading, inflating or copying it. `None` where it does not say, or its structure does not hold.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let (transfer_syntax, encoding, data_set) = opened(bytes).ok()?;
        if transfer_syntax == DEFLATED_UID {
            return Some(Self { transfer_syntax, sizes: None });
        }
        let mut walk = Walk::new(data_set, 0);
        walk.data_set(encoding).ok()??;
        let [samples, rows, columns, bits] = walk.sizes(encoding);
        Some(Self { transfer_syntax, sizes: Some([samples.unwrap_or(1), rows?, columns?, bits?]) })
    }
}

/// The transfer syntax, how the elements of the data set are written, and the data set, deflated where it is.
fn opened(bytes: &[u8]) -> Result<(String, Encoding, &[u8]), Refusal> {
    let start = if has_preamble(bytes) { PREAMBLE_BYTES } else { 0 };
    let (meta_end, uid) = file_meta(bytes, start)?;
    let rest = bytes.get(meta_end..).unwrap_or_default();
    let transfer_syntax = match uid {
        Some(uid) => uid,
        None if starts_explicit(rest) => EXPLICIT_LITTLE_UID.to_owned(),
        None => IMPLICIT_LITTLE_UID.to_owned(),
    };
    let encoding = match transfer_syntax.as_str() {
        IMPLICIT_LITTLE_UID => Encoding::ImplicitLittle,
        EXPLICIT_BIG_UID => Encoding::ExplicitBig,
        _ => Encoding::ExplicitLittle,
    };
    Ok((transfer_syntax, encoding, rest))
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
    let mut walk = Walk::new(bytes, start);
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

/// Most bytes that a deflated data set of `held` bytes may inflate to.
pub(super) fn inflated_most(held: u64) -> u64 {
    held.saturating_mul(INFLATION_MAX).clamp(INFLATION_FREE_BYTES, DICOM_INFLATED_BYTES_MAX)
}

/// Inflates a deflated data set (PS3.5 A.5), up to a limit.
fn inflate(deflated: &[u8]) -> Result<Vec<u8>, Refusal> {
    let syntax = DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN.erased();
    let Codec::Dataset(Some(adapter)) = syntax.codec() else {
        return Err(Refusal::new(Code::InternalFault, "the codec of deflated data sets is missing"));
    };
    let held = u64::try_from(deflated.len()).unwrap_or(u64::MAX);
    let most = inflated_most(held);
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
