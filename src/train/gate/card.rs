//! Measures a gate on films and pictures it did not learn from, and writes the card.

use super::{COMPONENTS, DRAWN, MEASURING_SEEDS, MEMBERS, ValFilm, drawn_view, oddity};
use crate::radiograph::Code;
use crate::radiograph::gate::{ChestLogit, Gate, GateManifest, GateVerdict, Polarity, Turn, View};
use std::fmt::{self, Display, Write};

/// Drawn pictures of each kind that are measured.
const DRAWN_MEASURED: u64 = 500;
/// Val films below this logit are listed on the card.
const NOTED_BELOW: ChestLogit = ChestLogit(1.0);

/// How often the gate said what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Read as upright.
    pub upright: usize,
    /// Read as inverted.
    pub inverted: usize,
    /// Refused as not upright.
    pub not_upright: usize,
    /// Refused as no chest.
    pub not_a_chest: usize,
    /// Refused as blank.
    pub blank: usize,
}

impl Tally {
    /// All pictures.
    pub fn all(&self) -> usize {
        self.upright + self.inverted + self.refused()
    }

    /// Pictures refused, for whatever reason.
    pub fn refused(&self) -> usize {
        self.not_upright + self.not_a_chest + self.blank
    }

    fn add(&mut self, outcome: Outcome) {
        let count = match outcome {
            Ok(GateVerdict::Upright(_)) => &mut self.upright,
            Ok(GateVerdict::Inverted(_)) => &mut self.inverted,
            Err(Code::NotUpright) => &mut self.not_upright,
            Err(Code::BlankFilm) => &mut self.blank,
            Err(_) => &mut self.not_a_chest,
        };
        *count += 1;
    }
}

type Outcome = Result<GateVerdict, Code>;

fn outcome(gate: &Gate, view: Option<&View>) -> Outcome {
    gate.judge(view).map_err(|refusal| refusal.code())
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Ok(GateVerdict::Upright(_)) => "upright",
        Ok(GateVerdict::Inverted(_)) => "inverted",
        Err(code) => code.as_str(),
    }
}

/// A val film worth a look.
#[derive(Clone, Debug)]
pub struct Noted {
    /// Its name in the pool.
    pub name: String,
    /// Logit of its being upright.
    pub logit: ChestLogit,
    /// What the gate says.
    pub verdict: &'static str,
    /// What is odd about it by eye, if anything.
    pub odd: &'static str,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct GateReport {
    /// Train films.
    pub train_films: usize,
    /// Train films left out because the first fit doubted them.
    pub doubted: usize,
    /// What was shown and what the gate said.
    pub rows: Vec<(String, Tally)>,
    /// Val films near or beyond the threshold, and odd ones.
    pub noted: Vec<Noted>,
}

/// Shows the gate the val films in every way and drawn pictures it has not seen.
pub(super) fn measure(gate: &Gate, val: &[ValFilm], train_films: usize, doubted: usize) -> GateReport {
    let mut noted = Vec::new();
    let mut rows: Vec<(String, Tally)> = Vec::new();
    let good: Vec<&ValFilm> = val.iter().filter(|film| oddity(&film.name).is_none()).collect();
    let mut as_it_is = Tally::default();
    for film in val {
        let outcome = outcome(gate, Some(&film.view));
        let odd = oddity(&film.name);
        if odd.is_none() {
            as_it_is.add(outcome);
        }
        let logit = gate.logit(&film.view);
        if odd.is_some() || logit < NOTED_BELOW {
            noted.push(Noted { name: film.name.clone(), logit, verdict: word(outcome), odd: odd.unwrap_or("") });
        }
    }
    noted.sort_by(|a, b| a.logit.0.total_cmp(&b.logit.0));
    rows.push(("upright".into(), as_it_is));
    let mut show = |name: String, views: &mut dyn Iterator<Item = Option<View>>| {
        let mut tally = Tally::default();
        for view in views {
            tally.add(outcome(gate, view.as_ref()));
        }
        rows.push((name, tally));
    };
    for (name, turn, polarity) in [
        ("inverted", Turn::None, Polarity::Inverted),
        ("turned by 90 degrees", Turn::Clockwise, Polarity::AsIs),
        ("turned by 180 degrees", Turn::Half, Polarity::AsIs),
        ("turned by 270 degrees", Turn::Anticlockwise, Polarity::AsIs),
        ("top and bottom exchanged", Turn::Flip, Polarity::AsIs),
        ("inverted and turned by 90 degrees", Turn::Clockwise, Polarity::Inverted),
        ("inverted and turned by 180 degrees", Turn::Half, Polarity::Inverted),
    ] {
        show(name.into(), &mut good.iter().map(|film| Some(film.view.posed(turn, polarity))));
    }
    show("upright, varied: processed, cropped, tilted, whitened".into(), &mut good.iter().map(|film| film.varied.clone()));
    show("spoilt: parts, shuffled, shifted, tiled".into(), &mut good.iter().map(|film| film.spoilt.clone()));
    for (kind, _) in DRAWN {
        let seeds = MEASURING_SEEDS..MEASURING_SEEDS + DRAWN_MEASURED;
        show(format!("drawn {kind:?}").to_lowercase(), &mut seeds.map(|seed| drawn_view(kind, seed)));
    }
    GateReport { train_films, doubted, rows, noted }
}

impl GateReport {
    /// The text of GATE_CARD.md.
    pub(super) fn card(&self, manifest: &GateManifest) -> String {
        let mut card = String::from(
            "# The pixel gate\n\n\
             Decides by the pixels alone whether a picture is an upright frontal chest film, black for air. It looks at 32 x 32\n\
             ranks of the greys, describes them by an eigen-chest subspace, and a committee of small networks scores ten poses.\n\
             Written by `train::gate`; no number here is typed by hand.\n\n",
        );
        let t = manifest.thresholds;
        let lines = [
            format!("- weights: {} bytes, sha256 {}", manifest.file.bytes, manifest.file.sha256),
            format!("- subspace of {COMPONENTS} directions, {MEMBERS} networks"),
            format!(
                "- learnt from {} films of the public NIH ChestX-ray14 pool (NIH Clinical Center; Wang et al., CVPR 2017), less {} \
                 that a first fit took for something else, and from pictures drawn by code",
                self.train_films, self.doubted
            ),
            format!(
                "- upright from logit {:.3}, inverted from {:.3}, each ahead of the film as it is: turned by {:.1}, inverted by {:.1}",
                t.upright, t.inverted, t.turned_lead, t.inverted_lead
            ),
            "- thresholds were chosen on the val films below (no patient of theirs was learnt from), so that the first row is \
             a little flattering"
                .into(),
            "- not covered: laterals are refused by their header, hardly by their pixels; mirrored films pass".into(),
        ];
        for line in lines {
            let _ = writeln!(card, "{line}");
        }
        let _ = writeln!(card, "\n## What was shown and what the gate said\n\n{self}");
        let _ = writeln!(
            card,
            "## Val films below logit {NOTED_BELOW}, and odd ones\n\n| film | logit | verdict | by eye |\n|---|---|---|---|"
        );
        for Noted { name, logit, verdict, odd } in &self.noted {
            let _ = writeln!(card, "| {name} | {logit} | {verdict} | {odd} |");
        }
        card
    }
}

impl Display for GateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| shown | pictures | upright | inverted | not_upright | not_a_chest | blank_film |")?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        for (name, t) in &self.rows {
            writeln!(
                f,
                "| {name} | {} | {} | {} | {} | {} | {} |",
                t.all(),
                t.upright,
                t.inverted,
                t.not_upright,
                t.not_a_chest,
                t.blank
            )?;
        }
        Ok(())
    }
}
