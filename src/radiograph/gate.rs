//! The gate: is this an upright frontal chest film, by its pixels alone?
//!
//! In: a decoded film, polarity already as the file claims it. Out: upright, or inverted (the file
//! lies about its polarity; the caller inverts the film and records that), or a refusal: blank, not
//! upright, not a chest. Never: a film turned by guess, a verdict that depends on the window.
//!
//! The film is seen as 32 x 32 ranks ([`view`]), posed in ten ways ([`pose`]), and each pose is
//! scored ([`score`]). The best pose above its threshold decides. Thresholds and weights come from
//! `models/gate/`, made by `train::gate`; its GATE_CARD.md says how often the gate errs.

mod pose;
pub(crate) mod score;
mod view;

pub use pose::{Polarity, Turn};
pub use score::{ChestLogit, GateFileError, Scorer};
pub use view::View;
#[cfg(feature = "train")]
pub(crate) use view::{COARSE, PIXELS, SIDE};

use super::{Code, Grey, Refusal};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::OnceLock;
use thiserror::Error;

/// What the gate says of a film that may be read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum GateVerdict {
    /// An upright frontal chest film.
    Upright(ChestLogit),
    /// The same with black and white exchanged: the caller must invert the film.
    Inverted(ChestLogit),
}

impl GateVerdict {
    /// What a record's provenance says of the gate.
    pub fn detail(self) -> String {
        match self {
            Self::Upright(logit) => format!("upright frontal chest, logit {logit}"),
            Self::Inverted(logit) => format!("upright frontal chest with black and white exchanged, logit {logit}"),
        }
    }
}

/// The file beside the weights: what they must be and what decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateManifest {
    /// The weights.
    pub file: GateFile,
    /// What decides.
    pub thresholds: Thresholds,
}

/// The file of the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateFile {
    /// File name.
    pub name: String,
    /// Size, bytes.
    pub bytes: u64,
    /// SHA-256, lower-case hexadecimal.
    pub sha256: String,
}

/// Logits that decide.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// A film is upright at this logit and above.
    pub upright: f32,
    /// A film is inverted at this logit and above once inverted.
    pub inverted: f32,
    /// By how much a turned film must look more like a chest than the film as it is.
    pub turned_lead: f32,
    /// By how much an inverted film must look more like a chest than the film as it is.
    pub inverted_lead: f32,
}

/// Why the gate cannot be used.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum GateError {
    /// The weights are not those of the manifest.
    #[error("gate.bin has {bytes} bytes and sha256 {sha256}, gate.toml says {manifest_bytes} and {manifest_sha256}")]
    OtherWeights {
        /// Bytes there are.
        bytes: usize,
        /// Their digest.
        sha256: String,
        /// Bytes there should be.
        manifest_bytes: u64,
        /// The digest they should have.
        manifest_sha256: String,
    },
    /// The weights are damaged.
    #[error(transparent)]
    Weights(#[from] GateFileError),
    /// The manifest is damaged.
    #[error("gate.toml cannot be read: {0}")]
    Manifest(String),
}

/// Weights and thresholds.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    scorer: Scorer,
    thresholds: Thresholds,
}

/// Is this an upright frontal chest film, by its pixels? The gate built into the program answers.
///
/// # Errors
/// [`Code::BlankFilm`], [`Code::NotUpright`] or [`Code::NotAChest`].
pub fn check(film: &Grey) -> Result<GateVerdict, Refusal> {
    Gate::embedded().check(film)
}

impl Gate {
    /// The gate built into the program.
    pub fn embedded() -> &'static Self {
        static GATE: OnceLock<Gate> = OnceLock::new();
        GATE.get_or_init(|| {
            let weights = include_bytes!("../../models/gate/gate.bin");
            let manifest = include_str!("../../models/gate/gate.toml");
            Self::from_bytes(weights, manifest).expect("a test reads the very files that are built in")
        })
    }

    /// A gate from its two files.
    ///
    /// # Errors
    /// When the manifest cannot be read, the weights are not the ones it names, or they are damaged.
    pub fn from_bytes(weights: &[u8], manifest: &str) -> Result<Self, GateError> {
        let manifest: GateManifest = toml::from_str(manifest).map_err(|e| GateError::Manifest(e.to_string()))?;
        let sha256 = sha256_hex(weights);
        if u64::try_from(weights.len()) != Ok(manifest.file.bytes) || sha256 != manifest.file.sha256 {
            return Err(GateError::OtherWeights {
                bytes: weights.len(),
                sha256,
                manifest_bytes: manifest.file.bytes,
                manifest_sha256: manifest.file.sha256,
            });
        }
        Ok(Self::new(Scorer::from_bytes(weights)?, manifest.thresholds))
    }

    /// A gate from its parts.
    pub(crate) fn new(scorer: Scorer, thresholds: Thresholds) -> Self {
        Self { scorer, thresholds }
    }

    /// Is this an upright frontal chest film, by its pixels?
    ///
    /// # Errors
    /// [`Code::BlankFilm`], [`Code::NotUpright`] or [`Code::NotAChest`].
    pub fn check(&self, film: &Grey) -> Result<GateVerdict, Refusal> {
        self.judge(View::of(film).as_ref())
    }

    /// The verdict on a view; `None` is a film that shows nothing.
    pub(crate) fn judge(&self, view: Option<&View>) -> Result<GateVerdict, Refusal> {
        let view = view.ok_or_else(|| Refusal::new(Code::BlankFilm, "all greys within one step of 8 bits"))?;
        let Thresholds { upright, inverted, turned_lead, inverted_lead } = self.thresholds;
        let as_is = self.scorer.logit(view);
        let exchanged = self.scorer.logit(&view.posed(Turn::None, Polarity::Inverted));
        let (turn, turned) = self.best_turn(view);
        let beaten_by = |rival: ChestLogit, lead: f32| rival.0 >= as_is.0 + lead;
        if as_is.0 >= upright && !beaten_by(turned, turned_lead) && !beaten_by(exchanged, turned_lead) {
            return Ok(GateVerdict::Upright(as_is));
        }
        if exchanged.0 >= inverted && exchanged.0 >= turned.0 && beaten_by(exchanged, inverted_lead) {
            return Ok(GateVerdict::Inverted(exchanged));
        }
        if turned.0 >= upright && turned.0 > exchanged.0 && beaten_by(turned, turned_lead) {
            return Err(Refusal::new(Code::NotUpright, turn.words()));
        }
        Err(Refusal::new(Code::NotAChest, format!("chest logit {as_is}, allowed from {}", ChestLogit(upright))))
    }

    /// How much a view looks like an upright frontal chest film.
    #[cfg(feature = "train")]
    pub(crate) fn logit(&self, view: &View) -> ChestLogit {
        self.scorer.logit(view)
    }

    /// The turn after which the film looks most like a chest, of either polarity.
    fn best_turn(&self, view: &View) -> (Turn, ChestLogit) {
        let mut best = (Turn::Half, ChestLogit(f32::NEG_INFINITY));
        for turn in Turn::ALL.into_iter().filter(|t| *t != Turn::None) {
            for polarity in Polarity::ALL {
                let logit = self.scorer.logit(&view.posed(turn, polarity));
                if logit > best.1 {
                    best = (turn, logit);
                }
            }
        }
        best
    }
}

/// SHA-256 in lower-case hexadecimal.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests;
