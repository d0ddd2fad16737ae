//! The table that people read in a terminal.

use super::super::table::{clean, padded};
use super::{digits, reasons, why, with_interval};
use crate::evaluation::Evaluation;
use crate::lang::Lang;

/// An evaluation as text; ends with a line's end.
pub fn table(e: &Evaluation, lang: Lang) -> String {
    let films = &e.films;
    let mut out = match lang {
        Lang::En => format!(
            "{} {} on {}\n{} labelled films: {} evaluated, {} refused, {} without a reading, {} laterals\n",
            e.model.name,
            e.model.version,
            clean(&e.labels),
            films.labelled,
            films.evaluated,
            films.refused,
            films.unread,
            films.laterals
        ),
        Lang::Zh => format!(
            "{} {}，标签 {}\n有标签胸片 {} 张：已评价 {}，拒绝 {}，无阅片结果 {}，侧位 {}\n",
            e.model.name,
            e.model.version,
            clean(&e.labels),
            films.labelled,
            films.evaluated,
            films.refused,
            films.unread,
            films.laterals
        ),
    };
    for (code, n) in reasons(e.left_out.iter().map(|f| f.why.as_str())) {
        out += &format!("  {n} x {}\n", why(code, lang));
    }
    out.push('\n');
    out += &aligned(&figure_rows(e, lang));
    if !e.groups.is_empty() {
        out += &format!("\n{}\n", lang.pick("AUC by group (films with the finding)", "分组 AUC（阳性数）"));
        out += &aligned(&group_rows(e, lang));
    }
    if !e.boxes.is_empty() {
        out += &format!("\n{}\n", lang.pick("Heat maps against boxes", "热图与标注框"));
        out += &aligned(&box_rows(e, lang));
    }
    for (reason, en, zh) in [
        ("untrained", "Untrained, without figures", "未训练，无指标"),
        ("no_labels", "Without labels in this file", "本标签文件无此征象"),
    ] {
        let names: Vec<&str> = e.unavailable.iter().filter(|u| u.why == reason).map(|u| lang.pick(&u.en, &u.zh)).collect();
        if !names.is_empty() {
            out += &format!(
                "\n{}{}\n",
                lang.pick(&format!("{en}: "), &format!("{zh}：")),
                clean(&names.join(lang.pick(", ", "、")))
            );
        }
    }
    out
}

/// Rows with their columns aligned, the first to the left and the others to the right.
pub fn aligned(rows: &[Vec<String>]) -> String {
    use unicode_width::UnicodeWidthStr;
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> =
        (0..columns).map(|c| rows.iter().filter_map(|r| r.get(c)).map(|t| t.width()).max().unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cell = |(c, text): (usize, &String)| {
            if c == 0 { padded(text, widths[c]) } else { format!("{}{text}", " ".repeat(widths[c] - text.width())) }
        };
        format!("  {}\n", row.iter().enumerate().map(cell).collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

fn figure_rows(e: &Evaluation, lang: Lang) -> Vec<Vec<String>> {
    let heads = match lang {
        Lang::En => [
            "Finding",
            "Films",
            "With",
            "AUC (95 %)",
            "Sensitivity (95 %)",
            "Specificity (95 %)",
            "PPV",
            "NPV",
            "F1",
            "Brier",
            "ECE",
        ],
        Lang::Zh => ["征象", "胸片", "阳性", "AUC（95%）", "灵敏度（95%）", "特异度（95%）", "PPV", "NPV", "F1", "Brier", "ECE"],
    };
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    rows.extend(e.findings.iter().map(|f| {
        let of = &f.of;
        vec![
            clean(lang.pick(&f.en, &f.zh)),
            of.films.to_string(),
            of.positives.to_string(),
            of.auc_interval.map_or_else(|| digits(of.auc), |i| with_interval(Some(i))),
            with_interval(of.sensitivity),
            with_interval(of.specificity),
            digits(of.positive_predictive_value.map(|i| i.value)),
            digits(of.negative_predictive_value.map(|i| i.value)),
            digits(of.f1),
            digits(of.brier),
            digits(of.expected_calibration_error),
        ]
    }));
    let m = &e.means;
    let mean = match lang {
        Lang::En => format!("Mean of {}", m.findings),
        Lang::Zh => format!("{} 项平均", m.findings),
    };
    let blank = String::new;
    rows.push(vec![
        mean,
        blank(),
        blank(),
        digits(m.auc),
        digits(m.sensitivity),
        digits(m.specificity),
        digits(m.precision),
        blank(),
        digits(m.f1),
        digits(m.brier),
        digits(m.expected_calibration_error),
    ]);
    rows
}

fn group_rows(e: &Evaluation, lang: Lang) -> Vec<Vec<String>> {
    let head = e.groups.iter().map(|g| format!("{} ({})", clean(&g.value), g.films));
    let mut rows = vec![std::iter::once(lang.pick("Finding", "征象").to_owned()).chain(head).collect::<Vec<_>>()];
    for (i, finding) in e.findings.iter().enumerate() {
        let cell = |g: &crate::evaluation::Group| {
            let of = &g.findings[i];
            format!("{} ({})", digits(of.auc.map(|a| a.value)), of.positives)
        };
        rows.push(std::iter::once(clean(lang.pick(&finding.en, &finding.zh))).chain(e.groups.iter().map(cell)).collect());
    }
    rows
}

fn box_rows(e: &Evaluation, lang: Lang) -> Vec<Vec<String>> {
    let heads = match lang {
        Lang::En => ["Finding", "Films", "Maximum in box (95 %)", "Energy in box (95 %)", "Chance"],
        Lang::Zh => ["征象", "胸片", "峰值在框内（95%）", "框内能量（95%）", "随机"],
    };
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    rows.extend(e.boxes.iter().map(|f| {
        let name = clean(lang.pick(&f.en, &f.zh));
        vec![
            name,
            f.of.films.to_string(),
            with_interval(Some(f.of.pointing)),
            with_interval(Some(f.of.energy)),
            digits(Some(f.of.chance)),
        ]
    }));
    rows
}
