//! The ways in which a film may lie: as it is or turned, with or without black and white exchanged.
//!
//! Left and right are not told apart: a mirrored chest looks like a chest.

use super::view::{SIDE, View};

/// How a film must be turned to stand upright.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It stands upright.
    None,
    /// By 90 degrees clockwise.
    Clockwise,
    /// By 180 degrees.
    Half,
    /// By 90 degrees anticlockwise.
    Anticlockwise,
    /// Upside down as in a mirror: top and bottom exchanged.
    Flip,
}

/// Whether black is air.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polarity {
    /// Black is air, white is bone.
    AsIs,
    /// White is air: the film is inverted.
    Inverted,
}

impl Turn {
    /// Every turn, the upright one first.
    pub(crate) const ALL: [Self; 5] = [Self::None, Self::Clockwise, Self::Half, Self::Anticlockwise, Self::Flip];

    /// What has to be done to the film.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::None => "upright",
            Self::Clockwise => "upright once turned by 90 degrees clockwise",
            Self::Half => "upright once turned by 180 degrees",
            Self::Anticlockwise => "upright once turned by 90 degrees anticlockwise",
            Self::Flip => "upright once top and bottom are exchanged",
        }
    }
}

impl Polarity {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::AsIs, Self::Inverted];
}

impl View {
    /// The view of the same film after this turn and exchange.
    pub(crate) fn posed(&self, turn: Turn, polarity: Polarity) -> Self {
        let last = SIDE - 1;
        let sign = if polarity == Polarity::Inverted { -1.0 } else { 1.0 };
        let mut posed = Vec::with_capacity(self.0.len());
        for r in 0..SIDE {
            for c in 0..SIDE {
                let (y, x) = match turn {
                    Turn::None => (r, c),
                    Turn::Clockwise => (last - c, r),
                    Turn::Half => (last - r, last - c),
                    Turn::Anticlockwise => (c, last - r),
                    Turn::Flip => (last - r, c),
                };
                posed.push(sign * self.0[y * SIDE + x]);
            }
        }
        Self(posed)
    }

    /// The view of the film in a mirror, left and right exchanged.
    pub(crate) fn mirrored(&self) -> Self {
        let mut mirrored = self.clone();
        mirrored.0.chunks_exact_mut(SIDE).for_each(<[f32]>::reverse);
        mirrored
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corners(view: &View) -> [f32; 4] {
        let last = SIDE - 1;
        [view.0[0], view.0[last], view.0[last * SIDE + last], view.0[last * SIDE]]
    }

    #[test]
    fn a_turn_moves_the_corners_as_its_name_says() {
        // Corners clockwise from the top left are 1 2 3 4.
        let mut ranks = vec![0.0; SIDE * SIDE];
        let last = SIDE - 1;
        (ranks[0], ranks[last], ranks[last * SIDE + last], ranks[last * SIDE]) = (1.0, 2.0, 3.0, 4.0);
        let view = View(ranks);
        for (turn, want) in [
            (Turn::None, [1.0, 2.0, 3.0, 4.0]),
            (Turn::Clockwise, [4.0, 1.0, 2.0, 3.0]),
            (Turn::Half, [3.0, 4.0, 1.0, 2.0]),
            (Turn::Anticlockwise, [2.0, 3.0, 4.0, 1.0]),
            (Turn::Flip, [4.0, 3.0, 2.0, 1.0]),
        ] {
            assert_eq!(corners(&view.posed(turn, Polarity::AsIs)), want, "{turn:?}");
            assert_eq!(corners(&view.mirrored()), [2.0, 1.0, 4.0, 3.0]);
            assert_eq!(corners(&view.posed(turn, Polarity::Inverted)), want.map(|v: f32| -v), "{turn:?}");
        }
    }
}
