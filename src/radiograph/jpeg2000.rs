//! JPEG 2000 (ITU-T T.800) to exact samples.
//!
//! Grey films in the usual coding are decoded by our own decoder ([`grey`]), on the threads that the
//! film may use; a test compares it with the other. Colours and what films hardly ever use go to
//! hayro-jpeg2000 (pure Rust), which yields the components in f32 before any packing to eight bits; a
//! sample of up to 16 bits is exact there (24 bits of mantissa). Before either runs, the main header
//! is walked: the picture must be the one the DICOM header says, and code-blocks, layers, precincts
//! and tiles must keep the decoder's book-keeping small, for a header of a hundred bytes can ask for
//! gigabytes of it. Progression changes and coding styles of single tiles, which no modality writes,
//! are refused by name.

mod arithmetic;
mod bits;
mod block;
mod coding;
mod contexts;
mod grey;
mod packets;
mod tile;
mod wavelet;

use super::contained::contained;
use super::dicom_pixels::Raw;
use super::layout::{Layout, Sign};
use super::refusal::{Code, Refusal};
use crate::limits::{JPEG2000_BOOKS_BYTES_MAX, JPEG2000_PIXELS_MAX, JPEG2000_TILES_MAX};
use hayro_jpeg2000::{DecodeSettings, DecoderContext, Image};
use std::borrow::Cow;

/// Book-keeping of a code-block and of each of its layers, bytes, rounded up from the decoder's structures.
const BLOCK_BYTES: u64 = 128;
const LAYER_BYTES: u64 = 24;
/// Book-keeping of a precinct with its two tag trees, bytes.
const PRECINCT_BYTES: u64 = 256;

/// Most samples that a byte of a film codes: 500 : 1 at 16 bits, where lossy films of diagnostic quality stay below 30 : 1.
/// Without this bound a file of a kilobyte has the decoder allocate 120 MB before it finds its packets missing.
const SAMPLES_A_BYTE_MAX: u64 = 256;
/// Bytes that tiny films may fall short of it.
const SLACK_BYTES: u64 = 64;

/// What the main header says.
struct Codestream {
    rows: u32,
    columns: u32,
    components: u16,
    precision: u8,
    sign: Sign,
    tiles: u64,
}

/// Decodes one frame.
///
/// # Errors
/// `DamagedFile` where the data are broken, cut or contradict the header, `TooLarge` beyond the
/// limits, `UnsupportedEncoding` for features that films do not use.
pub(super) fn decode(data: &[u8], layout: &Layout) -> Result<Raw, Refusal> {
    let stream = codestream(data)?;
    let (head, open) = Codestream::of(stream, layout)?;
    can_hold(stream, layout)?;
    let stream = &*closed(stream, open);
    if let Some(coding) = coding::Coding::of(stream)
        && let Some(parts) = grey::Parts::of(stream, &coding)
    {
        return contained("JPEG 2000", || own(stream, layout, &head, &coding, &parts))?;
    }
    let settings = DecodeSettings { resolve_palette_indices: false, strict: true, target_resolution: None };
    contained("JPEG 2000", || {
        let image = Image::new(stream, &settings).map_err(|_| damaged("the JPEG 2000 header cannot be read"))?;
        let mut context = DecoderContext::default();
        let decoded = image.decode(&mut context).map_err(|_| damaged("the JPEG 2000 data do not decode"))?;
        let planes: Vec<&[f32]> = decoded.components().iter().map(|c| c.samples()).collect();
        raw(&planes, layout, &head)
    })?
}

/// A grey film by our own decoder.
fn own(stream: &[u8], layout: &Layout, head: &Codestream, coding: &coding::Coding, parts: &grey::Parts) -> Result<Raw, Refusal> {
    let half = 1_i32 << (head.precision - 1).min(15);
    // Signed samples stay two's complement; the others were stored around zero.
    let (level, low, high) = if head.sign == Sign::Signed { (0, -half, half - 1) } else { (half, 0, 2 * half - 1) };
    let samples = grey::decode(stream, coding, parts, |value| (value.saturating_add(level).clamp(low, high) & 0xFFFF) as u16);
    match samples {
        Some(samples) if samples.len() == layout.pixels() => Ok(Raw::U16(samples)),
        _ => Err(damaged("the JPEG 2000 data do not decode")),
    }
}

/// Whether so few bytes can hold the film.
fn can_hold(stream: &[u8], layout: &Layout) -> Result<(), Refusal> {
    let size = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let samples = size(layout.pixels() * layout.channels());
    if samples > size(stream.len()).saturating_add(SLACK_BYTES).saturating_mul(SAMPLES_A_BYTE_MAX) {
        let detail = format!("the JPEG 2000 data claim {samples} samples, {} coded bytes cannot hold them", stream.len());
        return Err(Refusal::new(Code::DamagedFile, detail));
    }
    Ok(())
}

/// The codestream itself: bare as DICOM wants it, or inside a JP2 file as some writers have it.
fn codestream(data: &[u8]) -> Result<&[u8], Refusal> {
    const SOC_SIZ: &[u8] = &[0xFF, 0x4F, 0xFF, 0x51];
    if data.starts_with(SOC_SIZ) {
        return Ok(data);
    }
    let mut rest = data;
    // Boxes of a JP2 file: length, type, content; length 0 runs to the end.
    while let Some(([a, b, c, d, kind @ ..], content)) = rest.split_first_chunk::<8>() {
        let length = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX);
        if kind == b"jp2c" {
            return Ok(content);
        }
        match rest.get(length..) {
            Some(next) if length >= 8 => rest = next,
            _ => break,
        }
    }
    Err(damaged("the JPEG 2000 data hold no codestream"))
}

/// Where the length of the last tile-part stands if it was left open, and what it is.
type OpenLength = Option<(usize, u32)>;

/// The codestream with every length filled in: the strict decoder, which alone notices missing
/// packets, does not take an open one.
fn closed(stream: &[u8], open: OpenLength) -> Cow<'_, [u8]> {
    let mut stream = Cow::Borrowed(stream);
    if let Some((at, length)) = open {
        for (to, from) in stream.to_mut().iter_mut().skip(at).zip(length.to_be_bytes()) {
            *to = from;
        }
    }
    stream
}

impl Codestream {
    fn of(stream: &[u8], layout: &Layout) -> Result<(Self, OpenLength), Refusal> {
        let siz = stream.get(4..).and_then(segment).ok_or_else(|| damaged("the JPEG 2000 header ends early"))?.0;
        let head = Self::siz(siz).ok_or_else(|| damaged("the JPEG 2000 size marker is not valid"))?;
        head.agrees_with(layout)?;
        let mut at = 4 + 2 + siz.len();
        let mut coded = false;
        loop {
            let cut = || damaged("the JPEG 2000 main header ends early");
            let marker = *stream.get(at..).and_then(<[u8]>::first_chunk::<2>).ok_or_else(cut)?;
            match marker {
                [0xFF, 0x90] => break,
                [0xFF, 0x5F] => return Err(unsupported("progression order changes (POC)")),
                [0xFF, 0x30..=0x3F] => {
                    at += 2;
                    continue;
                }
                _ => {}
            }
            let (payload, _) = stream.get(at + 2..).and_then(segment).ok_or_else(cut)?;
            match marker {
                [0xFF, 0x52] => {
                    head.books(payload.get(2..4), payload.first(), payload.get(5..), layout)?;
                    coded = true;
                }
                [0xFF, 0x53] => return Err(unsupported("coding styles of single components (COC)")),
                _ => {}
            }
            at += 2 + 2 + payload.len();
        }
        if !coded {
            return Err(damaged("the JPEG 2000 header has no coding style"));
        }
        let open = tile_parts(stream, at)?;
        Ok((head, open))
    }

    /// The SIZ marker's payload (A.5.1).
    fn siz(payload: &[u8]) -> Option<Self> {
        let long = |at: usize| Some(u32::from_be_bytes(*payload.get(at..)?.first_chunk()?));
        let (width, height, left, top) = (long(2)?, long(6)?, long(10)?, long(14)?);
        let (tile_width, tile_height, tile_left, tile_top) = (long(18)?, long(22)?, long(26)?, long(30)?);
        let components = u16::from_be_bytes(*payload.get(34..)?.first_chunk()?);
        let (first, _) = payload.get(36..)?.split_first_chunk::<3>()?;
        let every = payload.get(36..)?.chunks_exact(3);
        if every.len() != usize::from(components) || every.clone().any(|c| c != first) || first.get(1..)? != [1, 1] {
            return None;
        }
        let across = u64::from(width.checked_sub(tile_left)?.div_ceil(Some(tile_width).filter(|w| *w > 0)?));
        let down = u64::from(height.checked_sub(tile_top)?.div_ceil(Some(tile_height).filter(|h| *h > 0)?));
        Some(Self {
            rows: height.checked_sub(top)?,
            columns: width.checked_sub(left)?,
            components,
            precision: (first.first()? & 0x7F) + 1,
            sign: if first.first()? & 0x80 == 0 { Sign::Unsigned } else { Sign::Signed },
            tiles: across.checked_mul(down)?,
        })
    }

    fn agrees_with(&self, layout: &Layout) -> Result<(), Refusal> {
        let header = (layout.rows, layout.columns, layout.channels());
        let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        let found = (size(self.rows), size(self.columns), usize::from(self.components));
        if found != header {
            return Err(Refusal::new(
                Code::DamagedFile,
                format!("the JPEG 2000 data are {found:?} (rows, columns, channels), the header says {header:?}"),
            ));
        }
        if u16::from(self.precision) > layout.bits_allocated {
            let detail = format!(
                "the JPEG 2000 data have {} bits, BitsAllocated (0028,0100) is {}",
                self.precision, layout.bits_allocated
            );
            return Err(Refusal::new(Code::DamagedFile, detail));
        }
        let pixels = u64::try_from(layout.pixels() * layout.channels()).unwrap_or(u64::MAX);
        if pixels > JPEG2000_PIXELS_MAX {
            let detail = format!("the JPEG 2000 data have {pixels} samples, the most allowed is {JPEG2000_PIXELS_MAX}");
            return Err(Refusal::new(Code::TooLarge, detail));
        }
        if self.tiles > JPEG2000_TILES_MAX {
            let detail = format!("the JPEG 2000 data have {} tiles, the most allowed is {JPEG2000_TILES_MAX}", self.tiles);
            return Err(Refusal::new(Code::TooLarge, detail));
        }
        Ok(())
    }

    /// Bounds what the decoder keeps for the coding style (COD, A.6.1): `layers` two bytes, `style`
    /// the flags, `coding` levels, code-block width and height, block style, transform, precincts.
    fn books(&self, layers: Option<&[u8]>, style: Option<&u8>, coding: Option<&[u8]>, layout: &Layout) -> Result<(), Refusal> {
        let cut = || damaged("the JPEG 2000 coding style is not valid");
        let layers = layers.and_then(<[u8]>::first_chunk::<2>).map(|two| u64::from(u16::from_be_bytes(*two))).ok_or_else(cut)?;
        let Some((&[levels, width, height, _, _], precincts)) = coding.and_then(<[u8]>::split_first_chunk::<5>) else {
            return Err(cut());
        };
        if levels > 32 || width > 8 || height > 8 || width + height > 8 {
            return Err(cut());
        }
        let samples = u64::try_from(layout.pixels() * layout.channels()).unwrap_or(u64::MAX);
        let resolutions = u64::from(levels) + 1;
        // Every tile has at least one block and one precinct a sub-band and component.
        let bands = self.tiles * u64::from(self.components) * (3 * resolutions);
        let block_exponent = u32::from(width) + u32::from(height) + 4;
        let mut smallest = 15 + 15;
        if style.is_some_and(|flags| flags & 1 != 0) {
            for exponents in precincts.iter().take(usize::from(levels) + 1) {
                smallest = smallest.min(u32::from(exponents & 15) + u32::from(exponents >> 4));
            }
        }
        let precincts = (samples >> smallest.saturating_sub(2)).saturating_mul(2) + bands;
        // A precinct smaller than a code-block cuts it.
        let blocks = (samples >> block_exponent.min(smallest.saturating_sub(2))).saturating_mul(2) + bands;
        let books =
            blocks.saturating_mul(BLOCK_BYTES + layers * LAYER_BYTES).saturating_add(precincts.saturating_mul(PRECINCT_BYTES));
        if books > JPEG2000_BOOKS_BYTES_MAX {
            let detail = format!(
                "the JPEG 2000 code-blocks, layers and precincts need {books} bytes, the most allowed is {JPEG2000_BOOKS_BYTES_MAX}"
            );
            return Err(Refusal::new(Code::TooLarge, detail));
        }
        Ok(())
    }
}

/// Walks the tile-parts from `start`: none may change the coding style that was bounded, and the last
/// must be followed by the end-of-codestream marker.
fn tile_parts(stream: &[u8], start: usize) -> Result<OpenLength, Refusal> {
    let cut = || damaged("the JPEG 2000 data end before the end-of-codestream marker");
    let (mut at, mut open) = (start, None);
    loop {
        let rest = stream.get(at..).ok_or_else(cut)?;
        match rest.first_chunk::<2>() {
            Some([0xFF, 0xD9]) => return Ok(open),
            Some([0xFF, 0x90]) if open.is_none() => {}
            _ => return Err(cut()),
        }
        let claimed = rest.get(6..).and_then(<[u8]>::first_chunk::<4>).map(|four| u32::from_be_bytes(*four)).ok_or_else(cut)?;
        let length = match claimed {
            // The last tile-part may leave its length open: it runs to the end marker.
            0 => {
                let end = rest.windows(2).rposition(|two| two == [0xFF, 0xD9]).ok_or_else(cut)?;
                open = Some((at + 6, u32::try_from(end).map_err(|_| cut())?));
                end
            }
            _ => usize::try_from(claimed).map_err(|_| cut())?,
        };
        let part = rest.get(..length).ok_or_else(cut)?;
        part_header(part.get(12..).ok_or_else(cut)?)?;
        at += length;
    }
}

fn part_header(part: &[u8]) -> Result<(), Refusal> {
    let mut rest = part;
    loop {
        match rest.first_chunk::<2>() {
            Some([0xFF, 0x93]) => return Ok(()),
            Some([0xFF, 0x52 | 0x53 | 0x5F]) => return Err(unsupported("coding styles of single tiles")),
            Some([0xFF, _]) => {}
            _ => return Err(damaged("a JPEG 2000 tile-part has no data")),
        }
        let skipped = rest.get(2..).and_then(segment).map(|(payload, _)| 4 + payload.len());
        rest = skipped.and_then(|n| rest.get(n..)).ok_or_else(|| damaged("a JPEG 2000 tile-part header ends early"))?;
    }
}

/// The payload of a marker segment whose length field comes next, and what follows it.
fn segment(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::from(u16::from_be_bytes(*bytes.first_chunk::<2>()?));
    bytes.get(2..)?.split_at_checked(length.checked_sub(2)?)
}

/// Components to stored bits, channels of a pixel together.
fn raw(planes: &[&[f32]], layout: &Layout, head: &Codestream) -> Result<Raw, Refusal> {
    let channels = layout.channels();
    if planes.len() != channels || planes.iter().any(|p| p.len() != layout.pixels()) {
        return Err(damaged("the JPEG 2000 data do not yield the picture that their header says"));
    }
    // The decoder shifts every component to be positive; what was signed is shifted back to two's complement.
    let shift = if head.sign == Sign::Signed { -(2.0_f32.powi(i32::from(head.precision) - 1)) } else { 0.0 };
    let (low, high) = match head.sign {
        Sign::Signed => (shift, -shift - 1.0),
        Sign::Unsigned => (0.0, 2.0_f32.powi(i32::from(head.precision)) - 1.0),
    };
    let mut samples = vec![0_u16; layout.pixels() * channels];
    for (channel, plane) in planes.iter().enumerate() {
        for (sample, value) in samples.iter_mut().skip(channel).step_by(channels).zip(*plane) {
            let value = (value + shift).round().clamp(low, high);
            // Clamped to 16 bits above; a NaN gives 0.
            *sample = (value as i32 & 0xFFFF) as u16;
        }
    }
    Ok(Raw::U16(samples))
}

fn unsupported(what: &str) -> Refusal {
    Refusal::new(Code::UnsupportedEncoding, format!("JPEG 2000 with {what} is not supported"))
}

fn damaged(detail: &str) -> Refusal {
    Refusal::new(Code::DamagedFile, detail)
}
