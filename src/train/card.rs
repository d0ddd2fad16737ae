//! MODEL_CARD.md (Mitchell et al. 2019): what the model learnt from, how, how well, and where it must not be trusted.

use super::architecture::Architecture;
use super::bundle::Exported;
use super::data::{Part, Record};
use super::evaluate::{AUC_MIN, CHANCE, Head, Predictions, has_a_finding, subgroup};
use super::init::TRUNK_OF;
use super::snapshot::Snapshot;
use super::study::Study;
use crate::stats::{Interval, Rule};

/// A subgroup: its heading and which films belong to it.
type Group = (&'static str, fn(&Record) -> bool);

/// Subgroups that figures are given for; the last is the one that the mean is given for too.
const GROUPS: [Group; 5] = [
    ("men", |r| r.sex == "M"),
    ("women", |r| r.sex == "F"),
    ("PA", |r| r.view == "PA"),
    ("AP", |r| r.view == "AP"),
    ("films with a finding", has_a_finding),
];

/// Sensitivity at the operating point below which a head's calls miss most.
const SENSITIVITY_LOW: f64 = 0.25;

/// The card's text.
pub fn write(study: &Study, snapshot: &Snapshot, exported: &Exported, test: &Predictions) -> String {
    [
        head(study, snapshot, exported),
        data(study, exported),
        recipe(study, snapshot),
        rounding(exported),
        figures(study, exported),
        groups(study, exported, test),
        heat_maps(study, exported),
        limits(study, exported),
    ]
    .join("\n")
}

fn head(study: &Study, snapshot: &Snapshot, exported: &Exported) -> String {
    let m = &exported.manifest;
    format!(
        "# {} {}\n\n{}. A {} for frontal chest radiographs, meant for patients aged {} and over. \
         A screening aid for trained staff, not a diagnosis.\n\n\
         {} of its {} heads are trained; the others are silent in the file, listed as unavailable and never shown as a number. \
         `model.onnx` is {:.1} MB (8-bit integers, sha256 {}).\n",
        m.name,
        m.version,
        m.title_en,
        structure(&snapshot.progress.architecture),
        m.intended_use.minimum_age_years,
        exported.heads.iter().filter(|h| h.operating.is_some()).count(),
        study.set.findings.len(),
        exported.bytes as f64 / 1e6,
        m.file.sha256
    )
}

/// The network in words.
fn structure(architecture: &Architecture) -> String {
    if *architecture == Architecture::densenet121(usize::try_from(architecture.findings).unwrap_or_default()) {
        return "DenseNet121".into();
    }
    let layers: Vec<String> = architecture.blocks.iter().map(usize::to_string).collect();
    format!("DenseNet-BC (growth {}, blocks of {} layers)", architecture.growth, layers.join(", "))
}

fn data(study: &Study, exported: &Exported) -> String {
    let youngest = exported.manifest.intended_use.minimum_age_years;
    let mut text = format!(
        "## Data\n\n| part | films | patients | films of patients under {youngest} | films without an age | used for |\n"
    );
    text += &format!("|{}\n", " --- |".repeat(6));
    for (part, purpose) in [
        (Part::Train, "weights"),
        (Part::Val, "calibration, thresholds, choice of snapshot"),
        (Part::Test, "the figures below, and whether a head is declared trained"),
    ] {
        let films: Vec<&Record> = study.records.films.iter().filter(|r| r.part == part).collect();
        let young = films.iter().filter(|r| r.age.is_some_and(|age| age < f64::from(youngest))).count();
        let ageless = films.iter().filter(|r| r.age.is_none()).count();
        let patients = study.records.patients(part);
        text += &format!("| {} | {} | {patients} | {young} | {ageless} | {purpose} |\n", part.as_str(), films.len());
    }
    let detail = study.films.detail;
    text += &format!(
        "\n{} films of patients under {} were left out; those of patients under {youngest}, for whom the model is not meant, and those \
         without an age that the table counts take part like all others: in weights, calibration and figures.\n\n\
         No patient is in two parts; a patient's part follows from a hash of the patient's number, so it is the same in every \
         label set and stage of training. {} films stored smaller than \
         {detail} px are in none of the parts above, so that sharpness does not tell where a film came from. Every film is reduced to \
         {detail} x {detail} px by area averaging before anything else, in training as in use.\n\n\
         Films and labels: {}\n",
        study.too_young,
        study.minimum_age,
        study.films.too_small,
        study.set.source.as_deref().map_or("the label set names no source.", str::trim)
    );
    text
}

fn recipe(study: &Study, snapshot: &Snapshot) -> String {
    let p = &snapshot.progress;
    let stages: Vec<String> =
        p.history.iter().cloned().chain([p.stage()]).enumerate().map(|(i, s)| format!("{}. {s}", i + 1)).collect();
    let start = match p.history.first() {
        None => "Random weights",
        Some(first) if first.starts_with(TRUNK_OF) => {
            "Each stage starts from the trunk of the one before; the first was learnt elsewhere"
        }
        Some(_) => "Random weights in stage 1; each later stage starts from the trunk of the one before",
    };
    let labels: Vec<String> = (study.set.findings.iter().zip(&study.records.columns))
        .filter(|(_, c)| !c.is_empty())
        .map(|(f, c)| format!("{} = {}", f.id, c.join(" or ")))
        .collect();
    format!(
        "## Recipe\n\n{start}; masked binary cross-entropy, AdamW, warm-up and cosine, light shifts, scales, \
         rotations and changes of contrast; what else a stage did stands behind it; the averaged weights are exported.\n\n{}\n\nLabel columns: {}.\n",
        stages.join("\n"),
        labels.join(", ")
    )
}

/// What the 8-bit integers cost.
fn rounding(exported: &Exported) -> String {
    let c = &exported.cost;
    format!(
        "## 8-bit integers\n\nThe convolutions but the first are rounded to 8-bit integers, with steps calibrated on {} films of the \
         training part (evenly spread over the list). Against the same network in f32, on the {} films of val: mean AUC of the trained heads \
         {:.4} in f32 and {:.4} in int8; {:.2} % of the calls are the same; heat maps of the trained heads correlate at {:.4} on \
         average, and at {:.4} or more in 95 % of them.\n",
        c.calibration_films,
        c.films,
        c.auc_f32,
        c.auc_int8,
        c.calls_agree * 100.0,
        c.heat_maps_correlate,
        c.heat_maps_correlate_p5
    )
}

/// What a threshold that the rule chose is.
fn chosen_by(rule: Rule) -> String {
    match rule {
        Rule::BestF1 => "has the best F1".into(),
        Rule::Youden => "has the best sum of sensitivity and specificity".into(),
        Rule::Sensitivity(wish) => format!("is the highest with a sensitivity of {wish}"),
        Rule::Specificity(wish) => format!("is the lowest with a specificity of {wish}"),
    }
}

fn figures(study: &Study, exported: &Exported) -> String {
    let mut text = format!(
        "## Figures on the test part\n\nMean AUC of the trained heads: {:.3} on test. \
         All figures below are of the shipped file; intervals are 95 % (DeLong for AUC, Wilson for shares). \
         The threshold {} on val.\n\n\
         | finding | positives train / val / test | AUC | threshold | sensitivity | specificity | precision |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
        exported.test_auc,
        chosen_by(exported.rule)
    );
    for (label, head) in study.set.findings.iter().zip(&exported.heads).filter(|(_, h)| h.operating.is_some()) {
        text += &figures_row(&label.id, head);
    }
    text + &within(study, exported) + &missing_most(study, exported) + &untrained(study, exported)
}

/// Figures among the films that a finding is learnt from, where those are not all; empty where every finding is learnt from all.
fn within(study: &Study, exported: &Exported) -> String {
    let mut text = String::new();
    for (label, head) in study.set.findings.iter().zip(&exported.heads).filter(|(_, head)| head.auc.is_some()) {
        if let Some((auc, positives)) = &head.within {
            text += &format!(
                "\n{} is learnt only from the films that were collected with it, so that how a film was stored cannot tell it; among those of \
                 the test part its AUC is {} ({positives} positives).\n",
                label.id,
                auc.as_ref().map_or("not to be had".to_owned(), interval)
            );
        }
    }
    text
}

/// The heads whose calls miss most films with the finding; empty where there are none.
fn missing_most(study: &Study, exported: &Exported) -> String {
    let low = |h: &Head| h.shares.is_some_and(|(sensitivity, _)| sensitivity.value < SENSITIVITY_LOW);
    let heads = study.set.findings.iter().zip(&exported.heads).filter(|(_, h)| low(h));
    let ids: Vec<&str> = heads.map(|(label, _)| label.id.as_str()).collect();
    if ids.is_empty() {
        return String::new();
    }
    format!(
        "\nHeads whose sensitivity at the operating point is below {SENSITIVITY_LOW}: {}. These calls miss most films with the finding.\n",
        ids.join(", ")
    )
}

fn untrained(study: &Study, exported: &Exported) -> String {
    let mut text = String::from(
        "\nUntrained heads, which are never shown as a number:\n\n| finding | why | AUC on test |\n| --- | --- | --- |\n",
    );
    for (label, head) in study.set.findings.iter().zip(&exported.heads) {
        if let Some(why) = &head.untrained_because {
            let auc = head.auc.as_ref().map_or("-".to_owned(), interval);
            text += &format!("| {} | {why} | {auc} |\n", label.id);
        }
    }
    text
}

fn figures_row(id: &str, head: &Head) -> String {
    let [a, b, c] = head.positives;
    let auc = head.auc.as_ref().map(interval).unwrap_or_default();
    let threshold = head.operating.map(|o| format!("{:.3}", o.threshold)).unwrap_or_default();
    let (sensitivity, specificity) = head.shares.map(|(x, y)| (interval(&x), interval(&y))).unwrap_or_default();
    let precision = head.counts.and_then(|c| c.precision()).map(|p| format!("{p:.2}")).unwrap_or_else(|| "-".into());
    format!("| {id} | {a} / {b} / {c} | {auc} | {threshold} | {sensitivity} | {specificity} | {precision} |\n")
}

fn interval(i: &Interval) -> String {
    format!("{:.2} ({:.2}-{:.2})", i.value, i.low, i.high)
}

fn groups(study: &Study, exported: &Exported, test: &Predictions) -> String {
    let of = GROUPS.map(|(_, belongs)| subgroup(study, test, belongs));
    let films = |belongs: fn(&Record) -> bool| test.films.iter().filter(|i| belongs(&study.films.records[**i])).count();
    let names: Vec<String> = GROUPS.iter().map(|(name, belongs)| format!("{name} ({} films)", films(*belongs))).collect();
    let trained = |f: usize| exported.heads[f].operating.is_some();
    let [.., with_a_finding] = &of;
    let areas: Vec<f64> = (with_a_finding.iter().enumerate().filter(|(f, _)| trained(*f)))
        .filter_map(|(_, (auc, _))| auc.map(|a| a.value))
        .collect();
    let mean = (!areas.is_empty()).then(|| areas.iter().sum::<f64>() / areas.len() as f64);
    let mut text = format!(
        "## Subgroups of the test part\n\nAUC (positives). Among films with any finding of the set the mean AUC of the trained heads is {}: \
         there it must tell one finding from another, which is harder than from a normal film.\n\n| finding | {} |\n|{}\n",
        mean.map_or("not known".into(), |m| format!("{m:.3}")),
        names.join(" | "),
        " --- |".repeat(names.len() + 1)
    );
    for (f, label) in study.set.findings.iter().enumerate().filter(|(f, _)| trained(*f)) {
        let cell = |(auc, n): &(Option<Interval>, usize)| auc.map_or(format!("- ({n})"), |a| format!("{} ({n})", interval(&a)));
        let cells: Vec<String> = of.iter().map(|group| cell(&group[f])).collect();
        text += &format!("| {} | {} |\n", label.id, cells.join(" | "));
    }
    text
}

/// Empty where no boxes were asked for.
fn heat_maps(study: &Study, exported: &Exported) -> String {
    let boxed = &exported.boxed;
    if boxed.columns.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "## Heat maps\n\nAgainst the boxes that readers drew ({}), on the films of val and test that have one of the finding: how often the \
         map's maximum is inside a box, and the share of its energy inside. Chance for both is the share of the film that the boxes cover.\n\n\
         | finding | films | maximum inside | energy inside | chance |\n| --- | --- | --- | --- | --- |\n",
        boxed.columns.join(", ")
    );
    for (label, figures) in study.set.findings.iter().zip(&boxed.figures) {
        if let Some(b) = figures {
            text += &format!(
                "| {} | {} | {} | {} | {:.2} |\n",
                label.id,
                b.films,
                interval(&b.pointing),
                interval(&b.energy),
                b.chance
            );
        }
    }
    text + "\nFindings that are not named have no box on these films.\n"
}

fn limits(study: &Study, exported: &Exported) -> String {
    let detail = study.films.detail;
    let site: String = study.set.limits.iter().map(|sentence| format!("- {}\n", sentence.trim())).collect();
    format!(
        "## Limits\n\n{site}\
         - Pixels of {detail} x {detail}: nodules, fine lines and small pneumothoraces are mostly below what can be seen.\n\
         - The share of positives is that of this pool, not of a screening programme; probabilities and \
         precision differ there.\n\
         - Whether a head is declared trained was decided on the test part (at least {} positives, \
         the interval of its AUC not below {AUC_MIN}, and above {CHANCE} among films with a finding where as many are without it), which flatters the remaining figures slightly.\n\
         - It is a screening aid for trained staff: a film without a call is not a normal film.\n",
        exported.positives_min
    )
}
