//! The page of a run: losses, AUC and learning rate over the epochs, and for each finding ROC and precision-recall curves
//! on val. One file, no script, no network, in Chinese and English.
//!
//! In: the log of the run and its last scores on val. Out: HTML.

use super::TrainError;
use super::study::Study;
use crate::lang::Lang;
use crate::report::page::{both, both_names, escaped, page as whole_page};
use crate::report::plot::UnitPlot;
use crate::stats::{auc, average_precision, curve, thinned};
use std::fmt::Write;
use std::path::Path;

/// Drawing of curves over epochs, in its own units: width, height, and the margin on the left and below.
const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 200.0;
const MARGIN: f64 = 52.0;

/// A quantity over the epochs.
struct Series {
    en: &'static str,
    zh: &'static str,
    /// Columns of the log.
    columns: &'static [&'static str],
}

const SERIES: [Series; 3] = [
    Series {
        en: "Loss: train (plain), val (dashed)",
        zh: "损失：训练（实线）、验证（虚线）",
        columns: &["trainLoss", "valLoss"],
    },
    Series { en: "Mean AUC on val", zh: "验证集平均 AUC", columns: &["mean(val_auc)"] },
    Series { en: "Learning rate", zh: "学习率", columns: &["lr"] },
];

/// Writes `page.html` beside the log. `stage`: what the run did, in English and in Chinese; `scores` [findings]: probabilities on val
/// and truths; empty for an untrained finding.
///
/// # Errors
/// [`TrainError`] where the log cannot be read or the page not be written.
pub fn write(study: &Study, stage: (&str, &str), scores: &[(Vec<f32>, Vec<bool>)]) -> Result<(), TrainError> {
    let folder = &study.config.snapshot_path;
    let log = folder.join("log.csv");
    let curves: Vec<String> = SERIES.iter().map(|s| figure(s, &log)).collect::<Result<_, _>>()?;
    let sections: Vec<String> = (study.set.findings.iter().zip(scores))
        .filter_map(|(label, (scores, truths))| section(&both_names(&label.en, &label.zh), scores, truths))
        .collect();
    let body = format!(
        "<p>{}</p>\n<h2>{}</h2>\n<div class=\"plots\">{}</div>\n<h2>{}</h2>\n{}",
        both(&escaped(stage.0), &escaped(stage.1)),
        both("Over the epochs", "训练过程"),
        curves.concat(),
        both("Findings on val, last epoch", "各征象（验证集，最后一轮）"),
        sections.concat()
    );
    let (en, zh) = (format!("Training of {}", study.set.name), format!("{} 训练报告", study.set.name));
    let path = folder.join("page.html");
    std::fs::write(&path, whole_page((&en, &zh), Lang::Zh, &body)).map_err(|e| TrainError::file(&path, e))
}

fn figure(series: &Series, log: &Path) -> Result<String, TrainError> {
    let lines: Vec<Vec<f64>> = series.columns.iter().map(|c| column(log, c)).collect::<Result<_, _>>()?;
    Ok(format!("<figure>{}<figcaption>{}</figcaption></figure>", drawing(&lines), both(series.en, series.zh)))
}

fn column(log: &Path, name: &str) -> Result<Vec<f64>, TrainError> {
    let fault = |e: csv::Error| TrainError::content(log, e.to_string());
    let mut reader = csv::Reader::from_path(log).map_err(fault)?;
    let at = reader.headers().map_err(fault)?.iter().position(|n| n == name).unwrap_or_default();
    let value = |row: csv::StringRecord| row.get(at).and_then(|t| t.parse().ok()).unwrap_or(f64::NAN);
    reader.records().map(|row| row.map(value).map_err(fault)).collect()
}

/// Lines over the epochs, the first plain and the second dashed; what is not a number is left out.
fn drawing(lines: &[Vec<f64>]) -> String {
    let finite = || lines.iter().flatten().copied().filter(|v| v.is_finite());
    let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    if low > high {
        return String::new();
    }
    let (low, high) = if high - low < 1e-12 { (low - 0.5, high + 0.5) } else { (low, high) };
    let last = lines.iter().map(Vec::len).max().unwrap_or(1).saturating_sub(1).max(1) as f64;
    let (right, bottom) = (WIDTH - 8.0, HEIGHT - 24.0);
    let x = |epoch: usize| MARGIN + epoch as f64 / last * (right - MARGIN);
    let y = |value: f64| bottom - (value - low) / (high - low) * (bottom - 8.0);
    let mut inner =
        format!("<rect class=\"frame\" x=\"{MARGIN}\" y=\"8\" width=\"{}\" height=\"{}\"/>", right - MARGIN, bottom - 8.0);
    for value in [low, (low + high) / 2.0, high] {
        let text = if high < 0.01 { format!("{value:.1e}") } else { format!("{value:.3}") };
        let _ = write!(inner, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>", MARGIN - 5.0, y(value) + 4.0);
    }
    for epoch in [0, last as usize] {
        let _ = write!(inner, "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{epoch}</text>", x(epoch), bottom + 15.0);
    }
    for (line, class) in lines.iter().zip(["curve", "chance"]) {
        let points = line.iter().enumerate().filter(|(_, v)| v.is_finite());
        let path: Vec<String> = points.map(|(epoch, v)| format!("{:.1} {:.1}", x(epoch), y(*v))).collect();
        if !path.is_empty() {
            let _ = write!(inner, "<path class=\"{class}\" d=\"M{}\"/>", path.join("L"));
        }
    }
    format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">{inner}</svg>")
}

/// ROC and precision-recall of one finding; `None` where val has no positive or no negative.
fn section(name: &str, scores: &[f32], truths: &[bool]) -> Option<String> {
    let points = curve(scores, truths)?;
    let positives = truths.iter().filter(|t| **t).count();
    let share = positives as f64 / truths.len() as f64;
    let along = |of: fn(&crate::stats::CurvePoint) -> (f64, f64), start: &[(f64, f64)]| {
        let all: Vec<(f64, f64)> = start.iter().copied().chain(points.iter().map(of)).collect();
        thinned(&all)
    };
    let mut roc = UnitPlot::new(("1 − specificity", "1 − 特异度"), ("sensitivity", "灵敏度"));
    roc.line("chance", &[(0.0, 0.0), (1.0, 1.0)]).line("curve", &along(|p| (p.fall_out, p.recall), &[(0.0, 0.0)]));
    let mut pr = UnitPlot::new(("recall", "召回率"), ("precision", "精确率"));
    pr.line("chance", &[(0.0, share), (1.0, share)]).line("curve", &along(|p| (p.recall, p.precision), &[]));
    let (area, average) = (auc(scores, truths)?, average_precision(&points));
    let plot = |plot: &UnitPlot, caption: String| format!("<figure>{}<figcaption>{caption}</figcaption></figure>", plot.svg());
    let films = truths.len();
    Some(format!(
        "<section class=\"finding\"><h3>{name} <span class=\"soft\">{}</span></h3><div class=\"plots\">{}{}</div></section>\n",
        both(&format!("{positives} of {films} films"), &format!("{films} 张中 {positives} 张阳性")),
        plot(&roc, both(&format!("ROC, AUC {area:.3}"), &format!("ROC 曲线，AUC {area:.3}"))),
        plot(&pr, both(&format!("Precision-recall, average {average:.3}"), &format!("精确率-召回率曲线，平均 {average:.3}")))
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_leaves_out_what_is_no_number_and_stays_inside_its_frame() {
        let svg = drawing(&[vec![1.0, f64::NAN, 0.25], vec![0.5, 0.5, 0.5]]);
        assert!(svg.contains("d=\"M52.0 8.0L412.0 176.0\"") && !svg.contains("NaN"), "{svg}");
        assert_eq!(drawing(&[vec![f64::NAN]]), "");
        assert!(drawing(&[vec![0.7]]).contains("M52.0 92.0"));
    }

    #[test]
    fn a_finding_has_its_curves_only_where_val_has_both_answers() {
        let text = section("Edema", &[0.1, 0.9, 0.4], &[false, true, false]).unwrap();
        assert!(text.contains("ROC, AUC 1.000") && text.contains("1 of 3 films"), "{text}");
        assert!(section("Edema", &[0.1, 0.9], &[false, false]).is_none() && section("Edema", &[], &[]).is_none());
    }
}
