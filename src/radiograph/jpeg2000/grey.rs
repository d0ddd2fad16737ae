//! A grey codestream to exact samples: packets, then every code-block by itself on the threads that the
//! film may use, then the wavelet. The same bytes whatever the number of threads.

use super::arithmetic::unstuffed;
use super::block::BlockDecoder;
use super::coding::{Coding, Rect, Wavelet};
use super::packets;
use super::segment;
use super::tile::{Band, Block, Tile};
use super::wavelet::{Coefficient, compose};
use crate::threads;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// The samples of the picture, row by row, each as `sample` makes it of the decoded value: centred on zero and not clamped.
/// `None` where the data contradict themselves.
pub(super) fn decode<S: Copy + Default>(
    stream: &[u8],
    coding: &Coding,
    parts: &Parts,
    sample: impl Fn(i32) -> S,
) -> Option<Vec<S>> {
    let (width, height) = (coding.image.width(), coding.image.height());
    let mut samples = vec![S::default(); width * height];
    for (index, parts) in parts.by_tile.iter().enumerate() {
        let rect = tile_rect(coding, index)?;
        let data = match parts.as_slice() {
            [] => return None,
            [one] => Cow::Borrowed(stream.get(one.clone())?),
            many => Cow::Owned(many.iter().map(|part| stream.get(part.clone())).collect::<Option<Vec<_>>>()?.concat()),
        };
        let mut tile = Tile::new(coding, rect);
        packets::read(&mut tile, coding, &data)?;
        let out = Region {
            samples: &mut samples,
            width,
            x: (rect.x0 - coding.image.x0) as usize,
            y: (rect.y0 - coding.image.y0) as usize,
        };
        match coding.wavelet {
            Wavelet::Reversible => out.store(&composed(&tile, &data, |value: u32, _| (value >> 1).cast_signed())?, rect, &sample),
            Wavelet::Irreversible => {
                let plane = composed(&tile, &data, |value, step| value as f32 * 0.5 * step)?;
                out.store(&plane, rect, |v: f32| sample(v.round() as i32));
            }
        }
    }
    Some(samples)
}

/// Where the data of each tile lie in the stream.
pub(super) struct Parts {
    by_tile: Vec<Vec<Range<usize>>>,
}

impl Parts {
    /// Walks the tile-parts; the stream was walked before. `None` where one of them has markers of its own.
    pub(super) fn of(stream: &[u8], coding: &Coding) -> Option<Self> {
        let (columns, rows) = tiles(coding)?;
        let mut by_tile = vec![Vec::new(); columns.checked_mul(rows)?];
        let mut at = coding.tiles_at;
        while stream.get(at..at + 2)? != [0xFF, 0xD9] {
            let header = stream.get(at..at + 12)?;
            let tile = usize::from(u16::from_be_bytes([header[4], header[5]]));
            let length = u32::from_be_bytes([header[6], header[7], header[8], header[9]]) as usize;
            let mut data = at + 12;
            while stream.get(data..data + 2)? != [0xFF, 0x93] {
                // Packet lengths and comments.
                if !matches!(stream.get(data..data + 2)?, [0xFF, 0x58 | 0x64]) {
                    return None;
                }
                data += 4 + segment(stream.get(data + 2..)?)?.0.len();
            }
            by_tile.get_mut(tile)?.push(data + 2..(at + length).max(data + 2));
            at += length;
        }
        Some(Self { by_tile })
    }
}

/// Columns and rows of tiles.
fn tiles(coding: &Coding) -> Option<(usize, usize)> {
    let count = |end: u32, origin: u32, size: u32| usize::try_from(end.checked_sub(origin)?.div_ceil(size)).ok();
    let across = count(coding.image.x1, coding.tile_origin.0, coding.tile_size.0)?;
    Some((across, count(coding.image.y1, coding.tile_origin.1, coding.tile_size.1)?))
}

/// The rectangle of a tile inside the image (B.3); `None` for one that lies outside.
fn tile_rect(coding: &Coding, index: usize) -> Option<Rect> {
    let (columns, _) = tiles(coding)?;
    let edge = |origin: u32, size: u32, at: usize| u64::from(origin) + u64::from(size) * at as u64;
    let inside = |at: u64, low: u32, high: u32| at.clamp(u64::from(low), u64::from(high)) as u32;
    let (x, y) = (index % columns, index / columns);
    let (image, origin, size) = (coding.image, coding.tile_origin, coding.tile_size);
    let rect = Rect {
        x0: inside(edge(origin.0, size.0, x), image.x0, image.x1),
        y0: inside(edge(origin.1, size.1, y), image.y0, image.y1),
        x1: inside(edge(origin.0, size.0, x + 1), image.x0, image.x1),
        y1: inside(edge(origin.1, size.1, y + 1), image.y0, image.y1),
    };
    (rect.width() > 0 && rect.height() > 0).then_some(rect)
}

/// A tile's place in the picture.
struct Region<'a, S> {
    samples: &'a mut [S],
    width: usize,
    x: usize,
    y: usize,
}

impl<S> Region<'_, S> {
    fn store<T: Copy>(self, plane: &[T], rect: Rect, sample: impl Fn(T) -> S) {
        let rows = self.samples.chunks_exact_mut(self.width).skip(self.y);
        for (to, from) in rows.zip(plane.chunks_exact(rect.width())) {
            to[self.x..].iter_mut().zip(from).for_each(|(to, from)| *to = sample(*from));
        }
    }
}

/// The tile's samples before the level shift.
fn composed<T: Coefficient>(tile: &Tile, data: &[u8], value: impl Fn(u32, f32) -> T + Sync) -> Option<Vec<T>> {
    let mut bands: Vec<Vec<T>> = tile.bands.iter().map(|b| vec![T::default(); b.rect.width() * b.rect.height()]).collect();
    coefficients(tile, data, &mut bands, value)?;
    let mut bands = bands.into_iter();
    let mut plane = bands.next()?;
    for rect in &tile.resolutions[1..] {
        let (hl, lh, hh) = (bands.next()?, bands.next()?, bands.next()?);
        plane = compose(&plane, [&hl, &lh, &hh], *rect);
    }
    Some(plane)
}

/// One row of code-blocks in a sub-band: what one thread decodes at a time.
struct Row<'a, T> {
    band: &'a Band,
    blocks: Vec<&'a Block>,
    /// The sub-band's rows that they fill.
    target: &'a mut [T],
    first: usize,
}

fn coefficients<T: Coefficient>(
    tile: &Tile,
    data: &[u8],
    bands: &mut [Vec<T>],
    value: impl Fn(u32, f32) -> T + Sync,
) -> Option<()> {
    let mut rows: Vec<Mutex<Row<T>>> = Vec::new();
    for (index, (band, target)) in tile.bands.iter().zip(bands).enumerate() {
        let mut blocks: Vec<&Block> = tile.blocks.iter().filter(|b| b.band == index).collect();
        blocks.sort_by_key(|b| b.y);
        let (width, mut rest) = (band.rect.width(), target.as_mut_slice());
        for blocks in blocks.chunk_by(|a, b| a.y == b.y) {
            let (first, height) = blocks.first().map(|b| (b.y, b.height))?;
            let (own, others) = rest.split_at_mut_checked(height * width)?;
            rest = others;
            rows.push(Mutex::new(Row { band, blocks: blocks.to_vec(), target: own, first }));
        }
    }
    // The largest sub-bands come last in the list and first to the threads.
    let count = rows.len();
    let done = threads::map(count, |i| {
        let mut row = rows[count - 1 - i].lock().unwrap_or_else(PoisonError::into_inner);
        decode_row(&mut row, data, &value)
    });
    done.into_iter().collect()
}

fn decode_row<T: Coefficient>(row: &mut Row<'_, T>, data: &[u8], value: &impl Fn(u32, f32) -> T) -> Option<()> {
    let (mut decoder, mut bits) = (BlockDecoder::default(), Vec::new());
    let (width, band) = (row.band.rect.width(), row.band);
    for block in &row.blocks {
        let Some(empty) = block.empty_planes else { continue };
        let planes = band.planes.checked_sub(empty)?;
        if block.passes > (3 * planes).saturating_sub(2) || block.y != row.first {
            return None;
        }
        let parts = block.parts.iter().map(|part| data.get(part.clone())).collect::<Option<Vec<_>>>()?;
        unstuffed(parts.into_iter(), &mut bits);
        decoder.decode((block.width, block.height), band.orientation, planes, block.passes, &bits);
        for (y, target) in row.target.chunks_exact_mut(width).enumerate().take(block.height) {
            for (to, (magnitude, negative)) in target[block.x..].iter_mut().zip(decoder.row(y)) {
                let coefficient = value(magnitude, band.step);
                *to = if negative { -coefficient } else { coefficient };
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hayro_jpeg2000::{DecodeSettings, DecoderContext, Image};

    /// The drawn codestreams, with their names.
    fn streams() -> Vec<(String, Vec<u8>)> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/j2k");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut streams: Vec<_> = files
            .filter(|path| path.extension().is_some_and(|e| e == "j2k"))
            .map(|path| (path.file_stem().unwrap().display().to_string(), std::fs::read(path).unwrap()))
            .collect();
        streams.sort();
        assert_eq!(streams.len(), 24);
        streams
    }

    fn ours(stream: &[u8]) -> Option<Vec<i32>> {
        let coding = Coding::of(stream)?;
        let parts = Parts::of(stream, &coding)?;
        let level = 1 << (coding.precision - 1);
        decode(stream, &coding, &parts, |value| value.saturating_add(level))
    }

    fn theirs(stream: &[u8]) -> Vec<i32> {
        let settings = DecodeSettings { resolve_palette_indices: false, strict: true, target_resolution: None };
        let image = Image::new(stream, &settings).unwrap();
        let mut context = DecoderContext::default();
        let decoded = image.decode(&mut context).unwrap();
        decoded.components()[0].samples().iter().map(|v| v.round() as i32).collect()
    }

    #[test]
    fn every_coding_gives_the_samples_that_another_decoder_gives_on_any_number_of_threads() {
        for (name, stream) in streams() {
            let (found, wanted) = (ours(&stream).unwrap(), theirs(&stream));
            assert_eq!(found.len(), 90 * 71, "{name}");
            let furthest = found.iter().zip(&wanted).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            // 9/7 is rounded at the end, after sums in another order.
            assert!(furthest <= u32::from(name.starts_with("lossy")), "{name}: {furthest}");
            for count in [2, 3, 8] {
                assert!(threads::with(count, || ours(&stream)).unwrap() == found, "{name} on {count} threads");
            }
        }
    }

    #[test]
    fn damaged_streams_end_without_a_panic() {
        let mut dice = crate::radiograph::drawn::Dice::new(1);
        for (name, stream) in streams().into_iter().filter(|(name, _)| name.ends_with("_8bit")) {
            for end in (0..stream.len()).step_by(37) {
                let _ = ours(&stream[..end]);
            }
            for _ in 0..60 {
                let mut broken = stream.clone();
                for _ in 0..3 {
                    // The size of the picture was checked before: what stands there is left alone.
                    let at = 45 + dice.below(broken.len() - 45);
                    broken[at] = dice.below(256) as u8;
                }
                assert!(ours(&broken).is_none_or(|samples| samples.len() == 90 * 71), "{name}");
            }
        }
    }
}
