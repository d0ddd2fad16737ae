//! How much a view looks like an upright frontal chest: an eigen-chest subspace and a committee of
//! small networks upon it.
//!
//! A view x in R^1024 is described by the whitened coordinates z_k = (x - mean) . b_k / spread_k in
//! the subspace of the training films (Turk and Pentland, "Eigenfaces for Recognition", 1991), by
//! the energy outside it (the distance from feature space of Moghaddam and Pentland, 1997), its
//! likeness to the mean, and the energy inside. Each member of the committee is a network of two
//! hidden layers on this description; the logit is the mean of theirs.

use super::view::{PIXELS, View};
use thiserror::Error;

/// First bytes of the file.
const MAGIC: &[u8; 8] = b"chexgate";
/// Features beside the coordinates: energy outside, likeness, energy inside.
pub(crate) const EXTRA: usize = 3;
/// Width of the first hidden layer.
pub(crate) const HIDDEN_1: usize = 32;
/// Width of the second hidden layer.
pub(crate) const HIDDEN_2: usize = 16;
/// Most components or members a file may claim; the committed gate has 64 and 5.
const CLAIM_MAX: usize = 256;
/// Whitened coordinates are held within this many standard deviations.
const COORDINATE_MAX: f32 = 6.0;

/// Why the bytes are no gate.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum GateFileError {
    /// Another kind of file.
    #[error("gate.bin starts with {found:02x?}, a gate starts with {MAGIC:02x?}")]
    Magic {
        /// The first bytes.
        found: Vec<u8>,
    },
    /// A count outside its bounds.
    #[error("gate.bin claims {found} {what}, allowed are 1 to {CLAIM_MAX}")]
    Count {
        /// What is counted.
        what: &'static str,
        /// The count.
        found: u32,
    },
    /// More or fewer bytes than the counts need.
    #[error("gate.bin has {found} bytes, its {components} components and {members} members need {needed}")]
    Size {
        /// Bytes there are.
        found: usize,
        /// Bytes there should be.
        needed: usize,
        /// Components claimed.
        components: usize,
        /// Members claimed.
        members: usize,
    },
    /// A weight that is no finite number, or a spread that is not positive.
    #[error("gate.bin holds {value} as {what}, allowed are finite numbers, positive for a spread")]
    Value {
        /// Which weight.
        what: &'static str,
        /// The value.
        value: f32,
    },
}

/// Logit of "this is an upright frontal chest film".
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct ChestLogit(pub f32);

impl std::fmt::Display for ChestLogit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1}", self.0)
    }
}

/// The subspace of chest films.
#[derive(Clone, Debug, PartialEq)]
pub struct EigenChests {
    /// Mean view, [1024].
    pub(crate) mean: Vec<f32>,
    /// Directions of unit length, [components, 1024].
    pub(crate) basis: Vec<f32>,
    /// Standard deviation of the training films along each direction, [components].
    pub(crate) spread: Vec<f32>,
}

/// One network: features -> 32 -> 16 -> 1, rectified between.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Member {
    /// [features, 32], then 32 biases, [32, 16], 16 biases, [16], 1 bias.
    pub(crate) weights: Vec<f32>,
}

/// The subspace and the committee.
#[derive(Clone, Debug, PartialEq)]
pub struct Scorer {
    pub(crate) chests: EigenChests,
    pub(crate) members: Vec<Member>,
}

impl EigenChests {
    /// Number of features that describe a view.
    pub(crate) fn features(&self) -> usize {
        self.spread.len() + EXTRA
    }

    /// The description of a view: [components] whitened coordinates, then 2 ln(energy outside + 0.01),
    /// twice the correlation with the mean view, ln(mean squared coordinate + 0.1).
    pub(crate) fn describe(&self, view: &View) -> Vec<f32> {
        let centred: Vec<f32> = view.ranks().iter().zip(&self.mean).map(|(x, m)| x - m).collect();
        let mut features = Vec::with_capacity(self.features());
        let (mut inside, mut spread_out) = (0.0, 0.0);
        for (direction, spread) in self.basis.chunks_exact(PIXELS).zip(&self.spread) {
            let along = dot(direction, &centred);
            let coordinate = (along / spread).clamp(-COORDINATE_MAX, COORDINATE_MAX);
            inside += along * along;
            spread_out += coordinate * coordinate;
            features.push(coordinate);
        }
        let outside = ((dot(&centred, &centred) - inside) / PIXELS as f32).max(0.0);
        let likeness = dot(view.ranks(), &self.mean) / (dot(&self.mean, &self.mean).sqrt().max(1e-6) * (PIXELS as f32).sqrt());
        features.push(2.0 * (outside + 0.01).ln());
        features.push(2.0 * likeness);
        features.push((spread_out / self.spread.len().max(1) as f32 + 0.1).ln());
        features
    }
}

/// Sum of products, in sixteen running sums so that the compiler can use vector registers.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 16];
    let (a, b) = (a.chunks_exact(16), b.chunks_exact(16));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a.zip(b) {
        for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
            *sum += x * y;
        }
    }
    sums.iter().sum::<f32>() + rest
}

impl Member {
    /// Number of weights for this many features.
    pub(crate) fn len(features: usize) -> usize {
        features * HIDDEN_1 + HIDDEN_1 + HIDDEN_1 * HIDDEN_2 + HIDDEN_2 + HIDDEN_2 + 1
    }

    /// Logit of a description; the two hidden layers are left in `first` and `second`.
    pub(crate) fn logit(&self, features: &[f32], first: &mut [f32; HIDDEN_1], second: &mut [f32; HIDDEN_2]) -> f32 {
        let (layer_1, rest) = self.weights.split_at(features.len() * HIDDEN_1);
        let (bias_1, rest) = rest.split_at(HIDDEN_1);
        let (layer_2, rest) = rest.split_at(HIDDEN_1 * HIDDEN_2);
        let (bias_2, rest) = rest.split_at(HIDDEN_2);
        first.copy_from_slice(bias_1);
        through(layer_1, features, first);
        second.copy_from_slice(bias_2);
        through(layer_2, first, second);
        second.iter().zip(rest).map(|(h, w)| h * w).sum::<f32>() + rest[HIDDEN_2]
    }
}

/// Adds [inputs] x [inputs, N] to the outputs and rectifies them.
fn through<const N: usize>(layer: &[f32], inputs: &[f32], outputs: &mut [f32; N]) {
    for (weights, input) in layer.chunks_exact(N).zip(inputs) {
        for (output, weight) in outputs.iter_mut().zip(weights) {
            *output += input * weight;
        }
    }
    for output in outputs {
        *output = output.max(0.0);
    }
}

impl Scorer {
    /// How much the view looks like an upright frontal chest film: the mean over the view and its mirror image, because left
    /// and right are not told apart.
    pub fn logit(&self, view: &View) -> ChestLogit {
        let sum: f32 = [view, &view.mirrored()].map(|v| self.logit_of(&self.chests.describe(v))).iter().sum();
        ChestLogit(sum / 2.0)
    }

    /// The committee's mean for a description.
    fn logit_of(&self, features: &[f32]) -> f32 {
        let (mut first, mut second) = ([0.0; HIDDEN_1], [0.0; HIDDEN_2]);
        let sum: f32 = self.members.iter().map(|m| m.logit(features, &mut first, &mut second)).sum();
        sum / self.members.len().max(1) as f32
    }

    /// Reads what `to_bytes` wrote.
    ///
    /// # Errors
    /// When the bytes are not exactly one gate.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, GateFileError> {
        let magic = bytes.get(..8).unwrap_or(bytes);
        if magic != MAGIC {
            return Err(GateFileError::Magic { found: magic.to_vec() });
        }
        let components = count(bytes, 8, "components")?;
        let members = count(bytes, 12, "members")?;
        let features = components + EXTRA;
        let floats = PIXELS + 2 * components + members * Member::len(features);
        let needed = 16 + components * PIXELS + 4 * floats;
        if bytes.len() != needed {
            return Err(GateFileError::Size { found: bytes.len(), needed, components, members });
        }
        let mut rest = bytes.get(16..).unwrap_or_default();
        let mean = take_floats(&mut rest, PIXELS, "mean view")?;
        let spread = take_floats(&mut rest, components, "spread")?;
        if let Some(value) = spread.iter().find(|s| **s <= 0.0) {
            return Err(GateFileError::Value { what: "spread", value: *value });
        }
        let scales = take_floats(&mut rest, components, "scale of a component")?;
        let mut member = || take_floats(&mut rest, Member::len(features), "weight").map(|weights| Member { weights });
        let members = (0..members).map(|_| member()).collect::<Result<Vec<_>, _>>()?;
        let whole = rest.chunks_exact(PIXELS).zip(&scales);
        let basis = whole.flat_map(|(row, scale)| row.iter().map(move |b| f32::from(b.cast_signed()) * scale)).collect();
        Ok(Self { chests: EigenChests { mean, basis, spread }, members })
    }

    /// The file: "chexgate", components and members (u32, little endian), then floats (little endian): mean view, spreads,
    /// scale of each component, the members' weights; then the components in steps of their scale, one signed byte each.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (components, members) = (self.chests.spread.len(), self.members.len());
        let mut bytes = MAGIC.to_vec();
        for n in [components, members] {
            bytes.extend(u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes());
        }
        let scales = self.chests.basis.chunks_exact(PIXELS).map(scale_of);
        let floats = self.chests.mean.iter().chain(&self.chests.spread).copied().chain(scales);
        for float in floats.chain(self.members.iter().flat_map(|m| m.weights.iter().copied())) {
            bytes.extend(float.to_le_bytes());
        }
        for row in self.chests.basis.chunks_exact(PIXELS) {
            let scale = scale_of(row);
            bytes.extend(row.iter().map(|b| ((b / scale).round().clamp(-127.0, 127.0) as i8).cast_unsigned()));
        }
        bytes
    }
}

/// The step in which 127 steps reach the largest weight of a component.
fn scale_of(row: &[f32]) -> f32 {
    row.iter().fold(1e-9_f32, |most, b| most.max(b.abs())) / 127.0
}

fn count(bytes: &[u8], at: usize, what: &'static str) -> Result<usize, GateFileError> {
    let four = bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).unwrap_or([0; 4]);
    let found = u32::from_le_bytes(four);
    match usize::try_from(found) {
        Ok(n) if (1..=CLAIM_MAX).contains(&n) => Ok(n),
        _ => Err(GateFileError::Count { what, found }),
    }
}

/// The next `n` floats; the caller has checked that they are there.
fn take_floats(rest: &mut &[u8], n: usize, what: &'static str) -> Result<Vec<f32>, GateFileError> {
    let (mine, others) = rest.split_at(4 * n);
    *rest = others;
    let floats: Vec<f32> = mine.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
    match floats.iter().find(|f| !f.is_finite()) {
        Some(value) => Err(GateFileError::Value { what, value: *value }),
        None => Ok(floats),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::radiograph::drawn::Dice;

    fn small() -> Scorer {
        let mut dice = Dice::new(5);
        let mut floats = |n: usize| (0..n).map(|_| dice.normal()).collect::<Vec<f32>>();
        let chests = EigenChests { mean: floats(PIXELS), basis: floats(2 * PIXELS), spread: vec![1.0, 2.0] };
        let members = (0..3).map(|_| Member { weights: floats(Member::len(2 + EXTRA)) }).collect();
        Scorer { chests, members }
    }

    #[test]
    fn what_was_written_is_read_back_and_written_the_same() {
        let bytes = small().to_bytes();
        let read = Scorer::from_bytes(&bytes).unwrap();
        assert_eq!(read.to_bytes(), bytes);
        assert_eq!(read.members, small().members);
        for (a, b) in read.chests.basis.iter().zip(&small().chests.basis) {
            assert!((a - b).abs() < 0.02, "{a} {b}");
        }
    }

    #[test]
    fn bytes_that_are_no_gate_are_refused() {
        let good = small().to_bytes();
        assert!(matches!(Scorer::from_bytes(&[]), Err(GateFileError::Magic { .. })));
        assert!(matches!(Scorer::from_bytes(b"chexgate"), Err(GateFileError::Count { what: "components", found: 0 })));
        let mut huge = good.clone();
        huge[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(Scorer::from_bytes(&huge), Err(GateFileError::Count { found: u32::MAX, .. })));
        for end in [16, good.len() - 1] {
            assert!(matches!(Scorer::from_bytes(&good[..end]), Err(GateFileError::Size { .. })));
        }
        let longer = [good.as_slice(), &[0]].concat();
        assert!(matches!(Scorer::from_bytes(&longer), Err(GateFileError::Size { .. })));
        let mut broken = good.clone();
        broken[16..20].copy_from_slice(&f32::NAN.to_le_bytes());
        assert!(matches!(Scorer::from_bytes(&broken), Err(GateFileError::Value { what: "mean view", .. })));
        let mut flat = good;
        flat[16 + 4 * PIXELS..20 + 4 * PIXELS].copy_from_slice(&0.0_f32.to_le_bytes());
        assert!(matches!(Scorer::from_bytes(&flat), Err(GateFileError::Value { what: "spread", .. })));
    }
}
