//! How a tile is divided (ITU-T T.800 Annex B): resolutions, sub-bands, precincts, code-blocks.
//!
//! In: a [`Coding`] and the tile's rectangle; both were bounded before. Out: the lists that packets fill.

use super::bits::TagTree;
use super::coding::{Coding, Progression, Rect};
use super::contexts::Orientation;
use std::ops::Range;

/// A sub-band.
#[derive(Clone, Copy, Debug)]
pub(super) struct Band {
    pub(super) rect: Rect,
    pub(super) orientation: Orientation,
    pub(super) planes: u32,
    pub(super) step: f32,
}

/// A code-block: where it lies in its sub-band, and what packets said of it.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) band: usize,
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) width: usize,
    pub(super) height: usize,
    /// Where its bytes lie in the tile's data.
    pub(super) parts: Vec<Range<usize>>,
    pub(super) passes: u32,
    /// Bit-planes without a bit, known once a packet includes the block.
    pub(super) empty_planes: Option<u32>,
    /// Bits of a length (B.10.7.1).
    pub(super) length_bits: u32,
}

/// The code-blocks of a precinct in one sub-band.
pub(super) struct Field {
    pub(super) blocks: Range<usize>,
    pub(super) columns: usize,
    pub(super) inclusion: TagTree,
    pub(super) empty_planes: TagTree,
}

/// A precinct: what one packet of each layer is about.
pub(super) struct Precinct {
    resolution: u32,
    /// Where it begins on the reference grid.
    x: u64,
    y: u64,
    pub(super) fields: Vec<Field>,
}

/// A tile's parts.
pub(super) struct Tile {
    /// The rectangle of each resolution, the lowest first.
    pub(super) resolutions: Vec<Rect>,
    /// LL, then HL, LH and HH of each resolution above.
    pub(super) bands: Vec<Band>,
    pub(super) blocks: Vec<Block>,
    pub(super) precincts: Vec<Precinct>,
}

impl Tile {
    /// The tile of this rectangle.
    pub(super) fn new(coding: &Coding, rect: Rect) -> Self {
        let reduced = |by: u32| reduce(rect, by, (0, 0));
        let resolutions = (0..=coding.levels).map(|r| reduced(coding.levels - r)).collect();
        let mut tile = Self { resolutions, bands: Vec::new(), blocks: Vec::new(), precincts: Vec::new() };
        for resolution in 0..=coding.levels {
            let first = tile.bands.len();
            let kinds: &[(u32, u32)] = if resolution == 0 { &[(0, 0)] } else { &[(1, 0), (0, 1), (1, 1)] };
            for kind in kinds {
                tile.add_band(coding, rect, resolution, *kind);
            }
            tile.add_precincts(coding, rect, resolution, first);
        }
        tile
    }

    fn add_band(&mut self, coding: &Coding, rect: Rect, resolution: u32, kind: (u32, u32)) {
        let level = if resolution == 0 { coding.levels } else { coding.levels - resolution + 1 };
        let index = self.bands.len() as u32;
        let orientation = match kind {
            (1, 0) => Orientation::Horizontal,
            (1, 1) => Orientation::Diagonal,
            _ => Orientation::Vertical,
        };
        let (planes, step) = (coding.planes(index), coding.step(index, kind.0 + kind.1));
        self.bands.push(Band { rect: reduce(rect, level, kind), orientation, planes, step });
    }

    fn add_precincts(&mut self, coding: &Coding, rect: Rect, resolution: u32, first_band: usize) {
        let own = self.resolutions[resolution as usize];
        let (px, py) = coding.precinct(resolution);
        if own.width() == 0 || own.height() == 0 {
            return;
        }
        let up = coding.levels - resolution;
        let begin = |cell: u32, exponent: u32, least: u32| (u64::from(cell) << (exponent + up)).max(u64::from(least));
        // Above the lowest resolution a precinct covers half as many rows and columns of each sub-band.
        let half = u32::from(resolution > 0);
        for cell_y in cells(own.y0, own.y1, py) {
            for cell_x in cells(own.x0, own.x1, px) {
                let cell = cell_of((cell_x, cell_y), (px - half, py - half));
                let block = (coding.block.0.min(px - half), coding.block.1.min(py - half));
                let fields = (first_band..self.bands.len()).map(|band| self.add_field(band, cell, block)).collect();
                let (x, y) = (begin(cell_x, px, rect.x0), begin(cell_y, py, rect.y0));
                self.precincts.push(Precinct { resolution, x, y, fields });
            }
        }
    }

    fn add_field(&mut self, band: usize, cell: Rect, block: (u32, u32)) -> Field {
        let whole = self.bands[band].rect;
        let part = intersection(whole, cell);
        let first = self.blocks.len();
        let (mut columns, mut rows) = (0, 0);
        if part.width() > 0 && part.height() > 0 {
            let (across, down) = (cells(part.x0, part.x1, block.0), cells(part.y0, part.y1, block.1));
            (columns, rows) = (across.len(), down.len());
            for y in down {
                for x in across.clone() {
                    let own = intersection(part, cell_of((x, y), block));
                    self.blocks.push(Block {
                        band,
                        x: (own.x0 - whole.x0) as usize,
                        y: (own.y0 - whole.y0) as usize,
                        width: own.width(),
                        height: own.height(),
                        parts: Vec::new(),
                        passes: 0,
                        empty_planes: None,
                        length_bits: 3,
                    });
                }
            }
        }
        let tree = || TagTree::new(columns, rows);
        Field { blocks: first..self.blocks.len(), columns, inclusion: tree(), empty_planes: tree() }
    }

    /// Precincts in the order of their packets (B.12.1), in groups: every layer of a group comes before the next group.
    pub(super) fn packet_order(&self, progression: Progression) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = (0..self.precincts.len()).collect();
        let at = |i: &usize| self.precincts.get(*i).map_or((0, 0, 0), |p| (p.resolution, p.y, p.x));
        match progression {
            // Built in the order of resolutions.
            Progression::LayerResolution => vec![order],
            Progression::ResolutionLayer => order.chunk_by(|a, b| at(a).0 == at(b).0).map(<[usize]>::to_vec).collect(),
            Progression::ResolutionPosition => {
                order.sort_by_key(at);
                order.chunks(1).map(<[usize]>::to_vec).collect()
            }
            Progression::Position => {
                order.sort_by_key(|i| {
                    let (resolution, y, x) = at(i);
                    (y, x, resolution)
                });
                order.chunks(1).map(<[usize]>::to_vec).collect()
            }
        }
    }
}

/// A rectangle on the grid of a decomposition level (equation B-15); `kind` is 1 where the sub-band is high-pass.
fn reduce(rect: Rect, level: u32, kind: (u32, u32)) -> Rect {
    let side = |at: u32, high: u32| {
        let offset = if high == 1 { 1_u64 << (level - 1) } else { 0 };
        let at = u64::from(at).saturating_sub(offset).div_ceil(1 << level);
        u32::try_from(at).unwrap_or(u32::MAX)
    };
    Rect { x0: side(rect.x0, kind.0), y0: side(rect.y0, kind.1), x1: side(rect.x1, kind.0), y1: side(rect.y1, kind.1) }
}

/// The cells of side 2^exponent that [from, to) touches; `to` is above `from`.
fn cells(from: u32, to: u32, exponent: u32) -> Range<u32> {
    from >> exponent..((to - 1) >> exponent) + 1
}

/// One cell of a grid of cells whose sides are powers of two.
fn cell_of(cell: (u32, u32), exponents: (u32, u32)) -> Rect {
    let edge = |at: u32, exponent: u32| u32::try_from(u64::from(at) << exponent).unwrap_or(u32::MAX);
    Rect {
        x0: edge(cell.0, exponents.0),
        y0: edge(cell.1, exponents.1),
        x1: edge(cell.0 + 1, exponents.0),
        y1: edge(cell.1 + 1, exponents.1),
    }
}

fn intersection(a: Rect, b: Rect) -> Rect {
    Rect { x0: a.x0.max(b.x0), y0: a.y0.max(b.y0), x1: a.x1.min(b.x1), y1: a.y1.min(b.y1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sub_bands_are_those_of_equation_b_15() {
        let rect = Rect { x0: 5, y0: 3, x1: 18, y1: 4 };
        let at = |level, kind| reduce(rect, level, kind);
        assert_eq!(at(0, (0, 0)), rect);
        assert_eq!(at(1, (0, 0)), Rect { x0: 3, y0: 2, x1: 9, y1: 2 });
        assert_eq!(at(1, (1, 1)), Rect { x0: 2, y0: 1, x1: 9, y1: 2 });
        assert_eq!(at(2, (1, 0)), Rect { x0: 1, y0: 1, x1: 4, y1: 1 });
    }

    #[test]
    fn cells_cover_a_range_and_no_more() {
        for (from, to, exponent, want) in
            [(0, 64, 6, 0..1), (0, 65, 6, 0..2), (63, 64, 6, 0..1), (64, 65, 6, 1..2), (7, 9, 0, 7..9)]
        {
            assert_eq!(cells(from, to, exponent), want);
        }
    }
}
