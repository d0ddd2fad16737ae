//! Makes `models/gate/`: the weights and thresholds of the pixel gate, and the card that says how
//! often it errs.
//!
//! In: the public pool of chest films. Out: `gate.bin`, `gate.toml`, `GATE_CARD.md`; the same files
//! from the same pool. The steps are those of [`train_gate`], top to bottom. No picture but those
//! of the pool and those drawn by code is used.

mod card;
mod eigen;
mod fit;
mod pool;
mod vary;

pub use card::{GateReport, Tally};

use crate::radiograph::drawn::{Dice, NotAChest};
use crate::radiograph::gate::score::{EXTRA, EigenChests, Member, Scorer};
use crate::radiograph::gate::{
    COARSE, Gate, GateFile, GateFileError, GateManifest, Polarity, Thresholds, Turn, View, sha256_hex,
};
use fit::Examples;
use pool::{PoolFilm, Split};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Directions of the subspace: they hold nine tenths of what differs between chest films, and fit the size of the file.
const COMPONENTS: usize = 64;
/// Networks whose mean decides; single ones differ much on pictures unlike any they saw.
const MEMBERS: u64 = 5;
/// Passes over the examples for each network.
const PASSES: usize = 12;
/// Networks and passes of the first fit, which only finds mislabelled films.
const FIRST_FIT: (u64, usize) = (2, 8);
/// Views from which the subspace is learnt.
const EIGEN_VIEWS: usize = 12_000;
/// Wrongly posed chests per pose.
const POSED: usize = 4_000;
/// Drawn pictures of each kind to learn from; what varies more gets more.
const DRAWN: [(NotAChest, u64); 8] = [
    (NotAChest::Noise, 4_000),
    (NotAChest::Photograph, 8_000),
    (NotAChest::Slice, 2_500),
    (NotAChest::Limb, 2_000),
    (NotAChest::Hand, 1_500),
    (NotAChest::Text, 600),
    (NotAChest::Gradient, 300),
    (NotAChest::Board, 200),
];
/// Seeds from here on are drawn for measuring only.
const MEASURING_SEEDS: u64 = 1 << 32;
/// Share of upright val films that may be refused.
const REFUSED_SHARE: f32 = 0.003;
/// Share of inverted val films that are refused rather than inverted: being wrong costs more here.
const NOT_INVERTED_SHARE: f32 = 0.02;
/// Between these the threshold of upright films is held: lower lets too much through, higher gains nothing.
const UPRIGHT_BOUNDS: (f32, f32) = (-1.5, 0.0);
/// By how much a turned film must be better, as a logit: two and a half times the odds.
const TURNED_LEAD: f32 = 1.0;
/// By how much an inverted film must be better: fifty times the odds, for a film inverted wrongly would be read.
const INVERTED_LEAD: f32 = 4.0;

/// Films of the pool's val part that are no upright frontal chest films, found by looking at the
/// sixty that an early gate liked least. The pool's labels call them all PA or AP.
const ODD_VAL_FILMS: [(&str, &str); 5] = [
    ("64/00001255_007.jpg", "lies on its side"),
    ("64/00001255_010.jpg", "lies on its side"),
    ("64/00001170_015.jpg", "upside down"),
    ("128/00002117_003.jpg", "lateral"),
    ("128/00002592_003.jpg", "lateral"),
];

/// Why no gate was made.
#[derive(Debug, Error)]
pub enum GateTrainError {
    /// The pool cannot be read.
    #[error("the pool's {path} cannot be read: {why}")]
    Pool {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        why: String,
    },
    /// A film of the pool cannot be decoded.
    #[error("film {name} of the pool cannot be decoded: {why}")]
    Film {
        /// The film.
        name: String,
        /// What went wrong.
        why: String,
    },
    /// There are too few films.
    #[error("the pool has {train} films to learn from and {val} to choose thresholds on, needed are 1000 and 100")]
    TooFew {
        /// Films of the train part.
        train: usize,
        /// Films of the val part.
        val: usize,
    },
    /// What was made cannot be read back: a fault of this program.
    #[error("the gate that was made cannot be read back: {0}")]
    Unreadable(#[from] GateFileError),
    /// A file cannot be written.
    #[error("{path} cannot be written: {why}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        why: String,
    },
}

/// What the pool gives.
#[derive(Default)]
struct Gathered {
    /// Views of upright chests and the number of the film each comes from.
    chests: Vec<(usize, View)>,
    /// Number of train films.
    films: usize,
    /// Views of spoilt films.
    spoilt: Vec<View>,
    /// Name, view, view of a variation, view when spoilt.
    val: Vec<ValFilm>,
}

/// A film of the val part.
struct ValFilm {
    name: String,
    view: View,
    varied: Option<View>,
    spoilt: Option<View>,
}

/// Trains the gate on the pool in folder `pool` and writes its three files into folder `out`.
///
/// # Errors
/// When the pool cannot be read or is too small, or a file cannot be written.
pub fn train_gate(pool: &Path, out: &Path) -> Result<GateReport, GateTrainError> {
    let mut gathered = gather(pool)?;
    let chests = learn_subspace(&gathered.chests)?;
    let others = describe_others(&chests, &gathered.spoilt);
    let judges = committee(&chests, &gathered.chests, &others, FIRST_FIT);
    let doubted = doubted_films(&judges, &gathered.chests);
    gathered.chests.retain(|(film, _)| !doubted.contains(film));
    let scorer = committee(&chests, &gathered.chests, &others, (MEMBERS, PASSES));
    let thresholds = thresholds(&scorer, &gathered.val);
    let weights = scorer.to_bytes();
    let gate = Gate::new(Scorer::from_bytes(&weights)?, thresholds);
    let report = card::measure(&gate, &gathered.val, gathered.films, doubted.len());
    let file = GateFile { name: "gate.bin".into(), bytes: weights.len() as u64, sha256: sha256_hex(&weights) };
    write(out, &weights, &GateManifest { file, thresholds }, &report)?;
    Ok(report)
}

/// Views of every film, of its variations and of what it is spoilt into.
fn gather(pool: &Path) -> Result<Gathered, GateTrainError> {
    let mut gathered = Gathered::default();
    let mut dice = Dice::new(1);
    pool::each_film(pool, |film| gathered.add(film, &mut dice))?;
    match (gathered.films, gathered.val.len()) {
        (1_000.., 100..) => Ok(gathered),
        (train, val) => Err(GateTrainError::TooFew { train, val }),
    }
}

impl Gathered {
    fn add(&mut self, film: PoolFilm, dice: &mut Dice) {
        let Some(view) = View::of_coarse(&film.plane) else { return };
        let varied = View::of_coarse(&vary::varied(&film.plane, dice));
        let spoilt = View::of_coarse(&vary::spoilt(&film.plane, dice));
        if film.split == Split::Val {
            self.val.push(ValFilm { name: film.name, view, varied, spoilt });
            return;
        }
        let bordered = dice.chance(0.35).then(|| View::of_coarse(&vary::bordered(&film.plane, dice))).flatten();
        let number = self.films;
        self.films += 1;
        self.chests.extend([Some(view), varied, bordered].into_iter().flatten().map(|view| (number, view)));
        self.spoilt.extend(spoilt);
    }
}

/// The subspace, rounded as the file will store it.
fn learn_subspace(views: &[(usize, View)]) -> Result<EigenChests, GateTrainError> {
    let every = views.len().div_ceil(EIGEN_VIEWS).max(1);
    let sample: Vec<&View> = views.iter().step_by(every).map(|(_, view)| view).collect();
    let chests = eigen::learn(&sample, COMPONENTS);
    let blank = Member { weights: vec![0.0; Member::len(COMPONENTS + EXTRA)] };
    let stored = Scorer { chests, members: vec![blank] }.to_bytes();
    Ok(Scorer::from_bytes(&stored)?.chests)
}

/// Descriptions of everything that is no chest: spoilt films and drawn pictures, each also inverted and turned.
fn describe_others(chests: &EigenChests, spoilt: &[View]) -> Vec<Vec<f32>> {
    let drawn = DRAWN.iter().flat_map(|(kind, count)| (0..*count).filter_map(|seed| drawn_view(*kind, seed)));
    let mut others = Vec::new();
    for view in spoilt.iter().cloned().chain(drawn) {
        for (turn, polarity) in [
            (Turn::None, Polarity::AsIs),
            (Turn::None, Polarity::Inverted),
            (Turn::Clockwise, Polarity::AsIs),
            (Turn::Half, Polarity::Inverted),
        ] {
            others.push(chests.describe(&view.posed(turn, polarity)));
        }
    }
    others
}

fn drawn_view(kind: NotAChest, seed: u64) -> Option<View> {
    View::of(&kind.draw(COARSE, COARSE, seed))
}

/// Every pose but the right one.
fn wrong_poses() -> impl Iterator<Item = (Turn, Polarity)> {
    let poses = Turn::ALL.into_iter().flat_map(|turn| Polarity::ALL.map(|polarity| (turn, polarity)));
    poses.filter(|pose| *pose != (Turn::None, Polarity::AsIs))
}

/// Networks that tell upright chests from wrongly posed ones and from everything else.
fn committee(chests: &EigenChests, upright: &[(usize, View)], others: &[Vec<f32>], (members, passes): (u64, usize)) -> Scorer {
    let mut examples = Examples::default();
    let mut add = |features: &[f32], chest: bool| {
        examples.features.extend(features);
        examples.chest.push(chest);
    };
    upright.iter().for_each(|(_, view)| add(&chests.describe(view), true));
    others.iter().for_each(|features| add(features, false));
    let mut dice = Dice::new(2);
    for (turn, polarity) in wrong_poses() {
        for _ in 0..POSED {
            let (_, view) = &upright[dice.below(upright.len())];
            add(&chests.describe(&view.posed(turn, polarity)), false);
        }
    }
    let members = (0..members).map(|seed| fit::fit(&examples, passes, seed)).collect();
    Scorer { chests: chests.clone(), members }
}

/// Train films that the first fit takes for something else: the pool has some laterals, films on
/// their side and inverted ones, and learning from them would open the gate to their like.
fn doubted_films(judges: &Scorer, chests: &[(usize, View)]) -> Vec<usize> {
    let mut doubted = Vec::new();
    let mut last = None;
    for (film, view) in chests {
        // The first view of a film is the film as it is.
        if last == Some(*film) {
            continue;
        }
        last = Some(*film);
        let logit = judges.logit(view).0;
        let better = |(turn, polarity)| judges.logit(&view.posed(turn, polarity)).0 > logit;
        if logit < -1.0 || wrong_poses().any(better) {
            doubted.push(*film);
        }
    }
    doubted
}

/// Thresholds from the val films that are upright frontal chest films.
fn thresholds(scorer: &Scorer, val: &[ValFilm]) -> Thresholds {
    let good = val.iter().filter(|film| oddity(&film.name).is_none());
    let mut logits: Vec<f32> = good.map(|film| scorer.logit(&film.view).0).collect();
    logits.sort_by(f32::total_cmp);
    let lowest_kept = |share: f32| logits[(share * logits.len() as f32) as usize];
    // A little below the film that must pass, so that a rounding elsewhere does not refuse it.
    let upright = (lowest_kept(REFUSED_SHARE) - 0.1).clamp(UPRIGHT_BOUNDS.0, UPRIGHT_BOUNDS.1);
    let inverted = lowest_kept(NOT_INVERTED_SHARE).max(upright + TURNED_LEAD);
    Thresholds { upright, inverted, turned_lead: TURNED_LEAD, inverted_lead: INVERTED_LEAD }
}

/// What is odd about a val film, if anything.
fn oddity(name: &str) -> Option<&'static str> {
    ODD_VAL_FILMS.iter().find(|(odd, _)| *odd == name.trim_start_matches("./")).map(|(_, what)| *what)
}

fn write(out: &Path, weights: &[u8], manifest: &GateManifest, report: &GateReport) -> Result<(), GateTrainError> {
    let failed = |path: &Path, why: String| GateTrainError::Write { path: path.to_owned(), why };
    let manifest_text = toml::to_string(manifest).map_err(|e| failed(&out.join("gate.toml"), e.to_string()))?;
    std::fs::create_dir_all(out).map_err(|e| failed(out, e.to_string()))?;
    let card = report.card(manifest);
    for (name, bytes) in [("gate.bin", weights), ("gate.toml", manifest_text.as_bytes()), ("GATE_CARD.md", card.as_bytes())] {
        let path = out.join(name);
        std::fs::write(&path, bytes).map_err(|e| failed(&path, e.to_string()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes minutes, so it runs when asked for: `cargo test --features train -- --ignored the_committed_gate`.
    /// With CHEXBOX_GATE_OUT set it writes there what it made.
    #[test]
    #[ignore = "trains for minutes"]
    fn the_committed_gate_is_what_the_trainer_makes_of_the_pool() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let data = std::env::var_os("CHEXBOX_DATA").map_or_else(|| root.join("../shared/data"), PathBuf::from);
        let pool = data.join("nih-pool");
        if !pool.is_dir() {
            println!("skipped: no folder {}", pool.display());
            return;
        }
        let asked = std::env::var_os("CHEXBOX_GATE_OUT").map(PathBuf::from);
        let out = asked.clone().unwrap_or_else(|| std::env::temp_dir().join(format!("chexbox-gate-{}", std::process::id())));
        let report = train_gate(&pool, &out).unwrap();
        println!("{report}");
        let thresholds = |folder: &Path| {
            let text = std::fs::read_to_string(folder.join("gate.toml")).unwrap();
            toml::from_str::<GateManifest>(&text).unwrap().thresholds
        };
        let (made, committed) = (thresholds(&out), thresholds(&root.join("models/gate")));
        if asked.is_none() {
            std::fs::remove_dir_all(&out).unwrap();
            // Another machine rounds otherwise on the way, so the weights may differ a little, and with them the thresholds.
            assert!((made.upright - committed.upright).abs() < 1.0 && (made.inverted - committed.inverted).abs() < 1.0);
        }
    }
}
