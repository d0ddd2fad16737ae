//! Packets (ITU-T T.800 B.9 and B.10): which bytes belong to which code-block.

use super::bits::Bits;
use super::coding::Coding;
use super::tile::{Block, Field, Precinct, Tile};
use std::ops::Range;

/// Most passes of a code-block: three a bit-plane.
const PASSES_MAX: u32 = 3 * 32;

/// Reads the packets of one tile. `None` where the data contradict themselves or end inside a packet.
pub(super) fn read(tile: &mut Tile, coding: &Coding, data: &[u8]) -> Option<()> {
    let mut at = 0;
    for group in tile.packet_order(coding.progression) {
        for layer in 0..coding.layers {
            for precinct in &group {
                // As many packets as there are: a stream may leave out layers at its end.
                if at >= data.len() {
                    return Some(());
                }
                at = packet(tile.precincts.get_mut(*precinct)?, &mut tile.blocks, coding, layer, data, at)?;
            }
        }
    }
    Some(())
}

fn packet(precinct: &mut Precinct, blocks: &mut [Block], coding: &Coding, layer: u32, data: &[u8], at: usize) -> Option<usize> {
    let marker = |at: usize| data.get(at..).and_then(<[u8]>::first_chunk::<2>).copied();
    // A packet may be announced by a marker of six bytes.
    let at = if marker(at) == Some([0xFF, 0x91]) { at + 6 } else { at };
    let mut bits = Bits::new(data, at);
    let mut included = Vec::new();
    if bits.bit()? == 1 {
        for field in &mut precinct.fields {
            header(field, blocks, layer, &mut bits, &mut included)?;
        }
    }
    let mut at = bits.end();
    if coding.end_of_header {
        if marker(at) != Some([0xFF, 0x92]) {
            return None;
        }
        at += 2;
    }
    for (block, length) in included {
        let part: Range<usize> = at..at.checked_add(length)?;
        data.get(part.clone())?;
        at = part.end;
        blocks.get_mut(block)?.parts.push(part);
    }
    Some(at)
}

/// The blocks of one sub-band that a packet includes, with their lengths.
fn header(
    field: &mut Field,
    blocks: &mut [Block],
    layer: u32,
    bits: &mut Bits<'_>,
    included: &mut Vec<(usize, usize)>,
) -> Option<()> {
    for (i, index) in field.blocks.clone().enumerate() {
        let block = blocks.get_mut(index)?;
        let (x, y) = (i % field.columns, i / field.columns);
        let is_included = match block.empty_planes {
            Some(_) => bits.bit()? == 1,
            None => field.inclusion.is_below(x, y, layer + 1, bits)?,
        };
        if !is_included {
            continue;
        }
        if block.empty_planes.is_none() {
            let mut planes = 0;
            while !field.empty_planes.is_below(x, y, planes + 1, bits)? {
                planes += 1;
                if planes > PASSES_MAX {
                    return None;
                }
            }
            block.empty_planes = Some(planes);
        }
        let passes = passes(bits)?;
        while bits.bit()? == 1 {
            block.length_bits += 1;
        }
        let length_bits = block.length_bits + passes.ilog2();
        if length_bits > u32::BITS {
            return None;
        }
        let length = usize::try_from(bits.number(length_bits)?).ok()?;
        block.passes += passes;
        if block.passes > PASSES_MAX {
            return None;
        }
        included.push((index, length));
    }
    Some(())
}

/// The number of coding passes (Table B.4), at least one.
fn passes(bits: &mut Bits<'_>) -> Option<u32> {
    for (width, base) in [(1, 1), (1, 2), (2, 3), (5, 6)] {
        let value = bits.number(width)?;
        // All ones lead to the next longer word.
        if value != (1 << width) - 1 {
            return Some(base + value);
        }
    }
    Some(37 + bits.number(7)?)
}
