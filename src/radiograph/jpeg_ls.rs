//! JPEG-LS (ITU-T T.87), lossless and near-lossless, to exact samples.
//!
//! In: the JPEG-LS data of one frame, of unknown origin. Out: stored samples, channels of a pixel
//! together. The markers are walked first: the picture must be the one that the DICOM header says, and
//! the coded bytes must be able to hold it, before anything of its size is allocated. Our own decoder
//! in safe Rust, because the one in use everywhere is written in C++. Mapping tables, restart intervals,
//! point transforms, colour transforms and Part 2, which no film has, are refused by name.

mod bits;
mod parameters;
mod scan;

use super::dicom_pixels::Raw;
use super::jpeg::{next_marker, precise, segment};
use super::layout::Layout;
use super::refusal::{Code, Refusal};
use crate::limits::JPEG_SCANS_MAX;
use parameters::{Parameters, Preset};
use scan::{Row, Scan};

/// Most samples that a byte of a film codes: as of JPEG 2000, a multiple of what films reach. A run of equal rows takes
/// one bit a row, so that without this bound a kilobyte could claim the largest film.
const SAMPLES_A_BYTE_MAX: usize = 256;
/// Bytes that tiny films may fall short of it.
const SLACK_BYTES: usize = 64;
/// Whole bytes that may be left of a scan when all samples are there. A damaged scan falls out of step and leaves many.
const LEFT_BYTES_MAX: usize = 16;
/// Channels that a picture may have.
const CHANNELS_MAX: usize = 3;

/// What the frame header says.
struct Head {
    precision: u8,
    rows: usize,
    columns: usize,
    /// The names of the components.
    components: Vec<u8>,
}

/// How the components of a scan follow each other (C.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interleave {
    ByRow,
    BySample,
}

/// A scan and where it lies.
struct Coded<'a> {
    /// Indices of its components.
    components: Vec<usize>,
    interleave: Interleave,
    parameters: Parameters,
    data: &'a [u8],
}

/// Decodes one frame.
///
/// # Errors
/// `DamagedFile` where the data are broken, cut or contradict the header, `TooLarge` beyond the allowed
/// scans, `UnsupportedEncoding` for what films do not use.
pub(super) fn decode(data: &[u8], layout: &Layout) -> Result<Raw, Refusal> {
    let (head, scans) = walked(data)?;
    head.agrees_with(layout)?;
    let coded: usize = scans.iter().map(|scan| scan.data.len()).sum();
    let channels = head.components.len();
    let samples = layout.pixels() * channels;
    if samples > (coded + SLACK_BYTES).saturating_mul(SAMPLES_A_BYTE_MAX) {
        return Err(damaged(&format!("claim {samples} samples, {coded} coded bytes cannot hold them")));
    }
    let mut out = vec![0_u16; samples];
    for scan in &scans {
        scan.decode(&head, &mut out).ok_or_else(|| damaged("do not decode"))?;
    }
    Ok(Raw::U16(out))
}

impl Head {
    /// A frame header (T.81 B.2.2).
    fn of(payload: &[u8]) -> Result<Self, Refusal> {
        let cut = || damaged("have a frame header that is too short");
        let (&[precision, r0, r1, c0, c1, count], rest) = payload.split_first_chunk::<6>().ok_or_else(cut)?;
        let parts = rest.chunks_exact(3);
        if parts.len() != usize::from(count) {
            return Err(cut());
        }
        if parts.len() > CHANNELS_MAX {
            return Err(unsupported(&format!("{count} components")));
        }
        if parts.clone().any(|part| part.get(1) != Some(&0x11)) {
            return Err(unsupported("components of different sizes"));
        }
        Ok(Self {
            precision,
            rows: u16::from_be_bytes([r0, r1]).into(),
            columns: u16::from_be_bytes([c0, c1]).into(),
            components: parts.filter_map(|part| part.first().copied()).collect(),
        })
    }

    fn agrees_with(&self, layout: &Layout) -> Result<(), Refusal> {
        let header = (layout.rows, layout.columns, layout.channels());
        let found = (self.rows, self.columns, self.components.len());
        if found != header {
            return Err(damaged(&format!("are {found:?} (rows, columns, channels), the header says {header:?}")));
        }
        precise("JPEG-LS", self.precision, layout)
    }
}

/// Walks the markers from start to end of image.
fn walked(data: &[u8]) -> Result<(Head, Vec<Coded<'_>>), Refusal> {
    if !data.starts_with(&[0xFF, 0xD8]) {
        return Err(damaged("do not begin with a start-of-image marker"));
    }
    let mut at = 2;
    let mut head: Option<Head> = None;
    let mut preset = Preset::default();
    let mut scans = Vec::new();
    loop {
        let (marker, behind) = next_marker(data, at)?;
        if marker == 0xD9 {
            break;
        }
        let (payload, end) = segment(data, behind)?;
        at = end;
        match marker {
            0xF7 if head.is_some() => return Err(damaged("hold more than one picture")),
            0xF7 => head = Some(Head::of(payload)?),
            0xF8 => preset = preset_of(payload)?,
            0xDA => {
                if scans.len() == JPEG_SCANS_MAX {
                    let detail = format!("the JPEG-LS data have more than {JPEG_SCANS_MAX} scans, the most allowed");
                    return Err(Refusal::new(Code::TooLarge, detail));
                }
                let head = head.as_ref().ok_or_else(|| damaged("have a scan before the frame header"))?;
                let behind = behind_scan(data, at)?;
                scans.push(Coded::of(payload, head, preset, data.get(at..behind).unwrap_or_default())?);
                at = behind;
            }
            0xDD if payload.iter().any(|b| *b != 0) => return Err(unsupported("restart intervals")),
            0xE8 if payload.strip_prefix(b"mrfx").is_some_and(|kind| kind.first() != Some(&0)) => {
                return Err(unsupported("a colour transform"));
            }
            0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => {
                return Err(damaged("have the frame header of another coding"));
            }
            0xF9 => return Err(unsupported("an extension of Part 2")),
            0x01 | 0xD0..=0xD8 => return Err(damaged("hold a marker where a segment must stand")),
            _ => {}
        }
    }
    let head = head.ok_or_else(|| damaged("have no frame header"))?;
    let mut found: Vec<usize> = scans.iter().flat_map(|scan| scan.components.iter().copied()).collect();
    found.sort_unstable();
    if found.iter().copied().ne(0..head.components.len()) {
        return Err(damaged("do not have each component in one scan"));
    }
    Ok((head, scans))
}

/// An LSE segment (C.2.4.1).
fn preset_of(payload: &[u8]) -> Result<Preset, Refusal> {
    let word = |at: usize| payload.get(at..).and_then(<[u8]>::first_chunk::<2>).map(|two| u16::from_be_bytes(*two));
    match (payload.first(), [1, 3, 5, 7, 9].map(word)) {
        (Some(1), [Some(maxval), Some(t1), Some(t2), Some(t3), Some(reset)]) => {
            Ok(Preset { maxval, thresholds: [t1, t2, t3], reset })
        }
        (Some(2 | 3), _) => Err(unsupported("a mapping table")),
        (Some(4), _) => Err(unsupported("sides beyond 65,535")),
        _ => Err(damaged("have coding parameters of no known kind")),
    }
}

/// The position of the first marker behind the coded data at `at`.
fn behind_scan(data: &[u8], at: usize) -> Result<usize, Refusal> {
    let rest = data.get(at..).unwrap_or_default();
    rest.windows(2)
        .position(|two| matches!(two, [0xFF, 0x80..=0xFF]))
        .map(|found| at + found)
        .ok_or_else(|| damaged("end before the end-of-image marker"))
}

impl<'a> Coded<'a> {
    /// A scan header (T.81 B.2.3, T.87 C.2.3).
    fn of(payload: &[u8], head: &Head, preset: Preset, data: &'a [u8]) -> Result<Self, Refusal> {
        let wrong = || damaged("have a scan header that is not valid");
        let (count, rest) = payload.split_first().ok_or_else(wrong)?;
        let (named, last) = rest.split_at_checked(2 * usize::from(*count)).ok_or_else(wrong)?;
        let &[near, interleave, transform] = last else { return Err(wrong()) };
        if named.is_empty() {
            return Err(wrong());
        }
        if transform != 0 || named.iter().skip(1).step_by(2).any(|table| *table != 0) {
            return Err(unsupported("a point transform or a mapping table"));
        }
        let index = |name: &u8| head.components.iter().position(|component| component == name);
        let components: Option<Vec<usize>> = named.iter().step_by(2).map(index).collect();
        let components = components.ok_or_else(wrong)?;
        let interleave = match (interleave, components.len()) {
            (0, 1) | (1, _) => Interleave::ByRow,
            (2, _) => Interleave::BySample,
            _ => return Err(wrong()),
        };
        let parameters = Parameters::of(head.precision, near, preset).ok_or_else(wrong)?;
        Ok(Self { components, interleave, parameters, data })
    }

    /// Decodes into `out`, which holds the channels of a pixel together.
    fn decode(&self, head: &Head, out: &mut [u16]) -> Option<()> {
        let channels = head.components.len();
        let mut scan = Scan::new(self.data, self.parameters);
        let mut rows: Vec<Row> = self.components.iter().map(|_| Row::new(head.columns)).collect();
        let mut runs = vec![0; rows.len()];
        for line in out.chunks_exact_mut(head.columns * channels) {
            match (self.interleave, rows.as_mut_slice()) {
                (Interleave::BySample, [a, b, c]) => scan.row([a, b, c], runs.first_mut()?)?,
                (Interleave::BySample, [a, b]) => scan.row([a, b], runs.first_mut()?)?,
                (_, rows) => {
                    for (row, run) in rows.iter_mut().zip(&mut runs) {
                        scan.row([row], run)?;
                    }
                }
            }
            for (row, component) in rows.iter().zip(&self.components) {
                line.iter_mut().skip(*component).step_by(channels).zip(row.samples()).for_each(|(to, from)| *to = *from);
            }
        }
        (scan.bytes_left() <= LEFT_BYTES_MAX).then_some(())
    }
}

fn damaged(what: &str) -> Refusal {
    Refusal::new(Code::DamagedFile, format!("the JPEG-LS data {what}"))
}

fn unsupported(what: &str) -> Refusal {
    Refusal::new(Code::UnsupportedEncoding, format!("JPEG-LS with {what} is not supported"))
}
