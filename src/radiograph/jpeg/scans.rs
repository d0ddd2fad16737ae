//! The segments of a JPEG that our own decoders read (T.81 Annex B): tables, frame, scans.
//!
//! In: data whose markers were walked. Out: each scan with the tables in force. Nothing is allocated
//! by a size that the data claim.

use super::huffman::Codes;
use super::{behind_scan, damaged, next_marker, segment, unsupported};
use crate::radiograph::refusal::Refusal;

/// The tables in force.
#[derive(Default)]
pub(super) struct Tables {
    /// By destination: of differences and DC, then of AC.
    pub(super) codes: [[Option<Codes>; 4]; 2],
    /// In zigzag order.
    pub(super) steps: [Option<[u16; 64]>; 4],
    /// MCUs between restart markers; 0 for none.
    pub(super) restart: usize,
}

/// A component of the frame.
#[derive(Clone, Copy)]
pub(super) struct Component {
    pub(super) name: u8,
    /// Horizontal and vertical sampling, a half byte each.
    pub(super) sampling: u8,
    pub(super) steps: usize,
}

/// The header of a scan (B.2.3).
pub(super) struct Scan {
    /// Index of each component in the frame, its DC and its AC table.
    pub(super) components: Vec<[usize; 3]>,
    /// Start and end of the coefficients; for lossless the predictor stands first.
    pub(super) spectrum: [u8; 2],
    /// Successive approximation; for lossless the low half is the point transform.
    pub(super) approximation: u8,
}

/// Calls `each` with the frame's components, the tables in force, the header and the data of every scan.
///
/// # Errors
/// `DamagedFile` where a segment is not valid, and what `each` says.
pub(super) fn each_scan<'a>(
    data: &'a [u8],
    mut each: impl FnMut(&[Component], &Tables, &Scan, &'a [u8]) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let mut tables = Tables::default();
    let mut components = Vec::new();
    let mut at = 2;
    loop {
        let (marker, behind) = next_marker(data, at)?;
        at = behind;
        if marker == 0xD9 {
            return Ok(());
        }
        if matches!(marker, 0x01 | 0xD0..=0xD8) {
            continue;
        }
        let (payload, end) = segment(data, at)?;
        at = end;
        let done = match marker {
            0xC0..=0xC3 => frame(payload).map(|found| components = found),
            0xC4 => tables.take_codes(payload),
            0xDB => tables.take_steps(payload),
            0xDD => payload.first_chunk().map(|two| tables.restart = usize::from(u16::from_be_bytes(*two))),
            0xDC => return Err(unsupported("a number of lines behind the first scan")),
            0xDA => {
                let scan = Scan::of(payload, &components).ok_or_else(|| damaged("the JPEG scan header is not valid"))?;
                let behind = behind_scan(data, at)?;
                each(&components, &tables, &scan, data.get(at..behind).unwrap_or_default())?;
                at = behind;
                Some(())
            }
            _ => Some(()),
        };
        done.ok_or_else(|| damaged("a JPEG table or frame header is not valid"))?;
    }
}

fn frame(payload: &[u8]) -> Option<Vec<Component>> {
    let parts = payload.get(6..)?.chunks_exact(3);
    let whole = parts.len() == usize::from(*payload.get(5)?);
    let component = |part: &[u8]| match part {
        &[name, sampling, steps] => Some(Component { name, sampling, steps: steps.into() }),
        _ => None,
    };
    if whole { parts.map(component).collect() } else { None }
}

impl Tables {
    /// A DHT segment (B.2.4.2).
    fn take_codes(&mut self, payload: &[u8]) -> Option<()> {
        let mut rest = payload;
        while let Some((head, tail)) = rest.split_first() {
            let (counts, tail) = tail.split_first_chunk::<16>()?;
            let many = counts.iter().map(|n| usize::from(*n)).sum();
            let (symbols, tail) = tail.split_at_checked(many)?;
            let place = self.codes.get_mut(usize::from(head >> 4))?.get_mut(usize::from(head & 15))?;
            *place = Some(Codes::of(counts, symbols)?);
            rest = tail;
        }
        Some(())
    }

    /// A DQT segment (B.2.4.1).
    fn take_steps(&mut self, payload: &[u8]) -> Option<()> {
        let mut rest = payload;
        while let Some((head, tail)) = rest.split_first() {
            let wide = usize::from(head >> 4);
            let (values, tail) = tail.split_at_checked(64 << wide.min(1))?;
            let mut steps = [0; 64];
            match wide {
                0 => steps.iter_mut().zip(values).for_each(|(to, from)| *to = u16::from(*from)),
                1 => steps.iter_mut().zip(values.as_chunks::<2>().0).for_each(|(to, from)| *to = u16::from_be_bytes(*from)),
                _ => return None,
            }
            *self.steps.get_mut(usize::from(head & 15))? = Some(steps);
            rest = tail;
        }
        Some(())
    }
}

impl Scan {
    fn of(payload: &[u8], frame: &[Component]) -> Option<Self> {
        let (count, rest) = payload.split_first()?;
        let (named, last) = rest.split_at_checked(2 * usize::from(*count))?;
        let &[start, end, approximation] = last else { return None };
        let component = |two: &[u8; 2]| {
            let [name, tables] = *two;
            let index = frame.iter().position(|component| component.name == name)?;
            Some([index, usize::from(tables >> 4), usize::from(tables & 15)])
        };
        let components: Vec<[usize; 3]> = named.as_chunks::<2>().0.iter().map(component).collect::<Option<_>>()?;
        (!components.is_empty()).then_some(Self { components, spectrum: [start, end], approximation })
    }
}
