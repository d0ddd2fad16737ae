//! Lossless JPEG (T.81 Annex H, process 14): prediction from neighbours, differences in Huffman codes.
//!
//! In: data whose markers were walked and whose picture is the one the header says. Out: exact samples
//! of 2 to 16 bits, channels of a pixel together, all predictors, point transforms and restart intervals.

use super::huffman::{Bits, Codes};
use super::scans::{Component, Scan, Tables, each_scan};
use super::{Frame, LEFT_BYTES_MAX, damaged, unsupported};
use crate::radiograph::refusal::Refusal;

/// Decodes the samples.
///
/// # Errors
/// `DamagedFile` where the data are broken or cut, `UnsupportedEncoding` for subsampled channels.
pub(super) fn decode(data: &[u8], frame: &Frame) -> Result<Vec<u16>, Refusal> {
    let (rows, columns) = (usize::from(frame.rows), usize::from(frame.columns));
    let channels = usize::from(frame.components);
    let mut out = vec![0_u16; rows * columns * channels];
    let mut seen = vec![false; channels];
    each_scan(data, |components, tables, scan, bytes| {
        if components.iter().any(|component| component.sampling != 0x11) && channels > 1 {
            return Err(unsupported("lossless channels of different sizes"));
        }
        let planes = Planes::of(components, tables, scan, frame.precision).ok_or_else(|| damaged("a JPEG scan has no table"))?;
        for [index, ..] in &scan.components {
            if seen.get(*index) != Some(&false) {
                return Err(damaged("the JPEG data code a channel twice"));
            }
            seen[*index] = true;
        }
        let shape = Shape { columns, channels, restart: tables.restart };
        planes.decode(bytes, &mut out, &shape).ok_or_else(|| damaged("the JPEG data do not decode"))
    })?;
    if seen.contains(&false) {
        return Err(damaged("the JPEG data lack a channel"));
    }
    Ok(out)
}

struct Shape {
    columns: usize,
    channels: usize,
    /// Pixels between restart markers; 0 for none.
    restart: usize,
}

/// The components of a scan and how they are predicted.
struct Planes<'a> {
    codes: Vec<(usize, &'a Codes)>,
    predictor: u8,
    point_transform: u32,
    /// What the first sample is predicted with.
    first: i32,
}

impl<'a> Planes<'a> {
    fn of(components: &[Component], tables: &'a Tables, scan: &Scan, precision: u8) -> Option<Self> {
        let point_transform = u32::from(scan.approximation & 15);
        let bits = u32::from(precision).checked_sub(point_transform).filter(|bits| (1..=16).contains(bits))?;
        let code = |component: &[usize; 3]| {
            let [index, table, _] = *component;
            (index < components.len()).then_some(())?;
            Some((index, tables.codes.first()?.get(table)?.as_ref()?))
        };
        let predictor = Some(scan.spectrum[0]).filter(|predictor| (1..=7).contains(predictor))?;
        let codes = scan.components.iter().map(code).collect::<Option<_>>()?;
        Some(Self { codes, predictor, point_transform, first: 1 << (bits - 1) })
    }

    /// Decodes into `out`, which holds the channels of a pixel together.
    fn decode(&self, data: &[u8], out: &mut [u16], shape: &Shape) -> Option<()> {
        let mut bits = Bits::new(data);
        let line = shape.columns * shape.channels;
        let (mut left, mut fresh) = (shape.restart, true);
        for row in 0..out.len() / line {
            if shape.restart > 0 && left == 0 {
                bits.restart()?;
                (left, fresh) = (shape.restart, true);
            }
            // Restart intervals are whole rows (H.1.1).
            left = if shape.restart > 0 { left.checked_sub(shape.columns)? } else { 0 };
            let (above, rest) = out.split_at_mut(row * line);
            let above = above.len().checked_sub(line).and_then(|at| above.get(at..)).filter(|_| !fresh);
            self.row(&mut bits, rest.get_mut(..line)?, above, shape.channels)?;
            fresh = false;
        }
        if self.point_transform > 0 {
            for (component, _) in &self.codes {
                out.iter_mut().skip(*component).step_by(shape.channels).for_each(|sample| *sample <<= self.point_transform);
            }
        }
        (bits.bytes_left() <= LEFT_BYTES_MAX).then_some(())
    }

    /// A row, `above` the one before it; `None` at the start of an interval.
    fn row(&self, bits: &mut Bits<'_>, line: &mut [u16], above: Option<&[u16]>, channels: usize) -> Option<()> {
        for at in (0..line.len()).step_by(channels) {
            for (component, codes) in &self.codes {
                let here = at + component;
                let prediction = match (here.checked_sub(channels), above) {
                    (None, None) => self.first,
                    (None, Some(above)) => i32::from(above[here]),
                    (Some(left), None) => i32::from(line[left]),
                    (Some(left), Some(above)) => {
                        self.predicted(i32::from(line[left]), i32::from(above[here]), i32::from(above[left]))
                    }
                };
                let difference = match bits.symbol(codes)? {
                    16 => 32_768,
                    size => bits.signed(size.into())?,
                };
                // Modulo 65,536 (H.1.2.1).
                line[here] = ((prediction + difference) & 0xFFFF) as u16;
            }
        }
        Some(())
    }

    /// Table H.1; `a` left, `b` above, `c` above left.
    fn predicted(&self, a: i32, b: i32, c: i32) -> i32 {
        match self.predictor {
            1 => a,
            2 => b,
            3 => c,
            4 => a + b - c,
            5 => a + ((b - c) >> 1),
            6 => b + ((a - c) >> 1),
            _ => (a + b) >> 1,
        }
    }
}
