//! Context labels of code-blocks (ITU-T T.800 Tables D.1, D.2 and D.3), computed from their rules when compiled.

/// Which neighbours count how, by sub-band: in HL the horizontal and the vertical ones change places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Orientation {
    /// LL and LH.
    Vertical,
    /// HL.
    Horizontal,
    /// HH.
    Diagonal,
}

/// Label of a coefficient by its neighbours, for each [`Orientation`]. Bit 3 * row + column of the
/// index: the neighbour there is significant, row and column counted from the upper left; bit 4 is the coefficient's own.
pub(super) static ZERO: [[u8; 512]; 3] =
    [zero(Orientation::Vertical), zero(Orientation::Horizontal), zero(Orientation::Diagonal)];

const fn zero(orientation: Orientation) -> [u8; 512] {
    let mut table = [0; 512];
    let mut i = 0;
    while i < table.len() {
        let (level, upright) = ((i >> 3 & 1) + (i >> 5 & 1), (i >> 1 & 1) + (i >> 7 & 1));
        let diagonal = (i & 1) + (i >> 2 & 1) + (i >> 6 & 1) + (i >> 8 & 1);
        table[i] = match orientation {
            Orientation::Vertical => beside(level, upright, diagonal),
            Orientation::Horizontal => beside(upright, level, diagonal),
            Orientation::Diagonal => across(level + upright, diagonal),
        };
        i += 1;
    }
    table
}

const fn beside(first: usize, second: usize, diagonal: usize) -> u8 {
    match (first, second, diagonal) {
        (2, _, _) => 8,
        (1, 1.., _) => 7,
        (1, _, 1..) => 6,
        (1, _, _) => 5,
        (_, 2, _) => 4,
        (_, 1, _) => 3,
        (_, _, 2..) => 2,
        (_, _, diagonal) => diagonal as u8,
    }
}

const fn across(direct: usize, diagonal: usize) -> u8 {
    match (diagonal, direct) {
        (3.., _) => 8,
        (2, 1..) => 7,
        (2, _) => 6,
        (1, 2..) => 5,
        (1, 1) => 4,
        (1, _) => 3,
        (_, 2..) => 2,
        (_, direct) => direct as u8,
    }
}

/// Label of a sign and whether it is coded inverted. Of the index, bits 1, 3, 5 and 7 say that the neighbour
/// above, left, right and below is significant, bits 4, 0, 2 and 6 that it is negative.
pub(super) static SIGN: [(u8, u8); 256] = {
    let mut table = [(0, 0); 256];
    let mut i = 0;
    while i < table.len() {
        let level = side(i >> 3, i) + side(i >> 5, i >> 2);
        let upright = side(i >> 1, i >> 4) + side(i >> 7, i >> 6);
        table[i] = sign(level.signum(), upright.signum());
        i += 1;
    }
    table
};

/// Contribution of one neighbour: 0, 1 for a positive one, -1 for a negative one.
const fn side(significant: usize, negative: usize) -> i32 {
    match (significant & 1, negative & 1) {
        (0, _) => 0,
        (_, 0) => 1,
        _ => -1,
    }
}

const fn sign(level: i32, upright: i32) -> (u8, u8) {
    match (level, upright) {
        (1, 1) => (13, 0),
        (1, 0) => (12, 0),
        (1, _) => (11, 0),
        (0, 1) => (10, 0),
        (0, 0) => (9, 0),
        (0, _) => (10, 1),
        (_, 1) => (11, 1),
        (_, 0) => (12, 1),
        _ => (13, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_those_of_the_standard_s_tables() {
        let label = |orientation: Orientation, neighbours: usize| ZERO[orientation as usize][neighbours];
        let (left, right, above, below) = (1 << 3, 1 << 5, 1 << 1, 1 << 7);
        let (upper_left, lower_right) = (1 << 0, 1 << 8);
        for (neighbours, want) in [
            (0, [0, 0, 0]),
            (left | right, [8, 4, 2]),
            (above | below, [4, 8, 2]),
            (left, [5, 3, 1]),
            (above, [3, 5, 1]),
            (left | upper_left, [6, 3, 4]),
            (left | below, [7, 7, 2]),
            (upper_left, [1, 1, 3]),
            (upper_left | lower_right, [2, 2, 6]),
            (0x1EF, [8, 8, 8]),
        ] {
            let found = [Orientation::Vertical, Orientation::Horizontal, Orientation::Diagonal].map(|o| label(o, neighbours));
            assert_eq!(found, want, "{neighbours:09b}");
        }
        // Bits 1 and 4 are the neighbour above, 3 and 0 the left one.
        for (neighbours, want) in
            [(0, (9, 0)), (0b10, (10, 0)), (0b1_0010, (10, 1)), (0b1000, (12, 0)), (0b1001, (12, 1)), (0b1_1011, (13, 1))]
        {
            assert_eq!(SIGN[neighbours], want, "{neighbours:08b}");
        }
    }
}
