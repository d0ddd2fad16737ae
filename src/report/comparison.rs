//! A comparison with readers for people (a table, a page) and for machines (CSV).

use super::csv::guarded;
use super::evaluation::aligned;
use super::page::{both, both_names, escaped, page as whole_page, table as html_table};
use super::table::clean;
use crate::evaluation::{Comparison, ComparisonRow, Side};
use crate::lang::Lang;
use crate::stats::Interval;

const COLUMNS: &str = "model,version,sha256,reader,finding,films,positives,model_accuracy,model_low,model_high,reader_accuracy,reader_low,\
reader_high,difference_points,verdict,mcnemar_p,kappa,model_sensitivity,model_specificity,model_kappa,reader_sensitivity,\
reader_specificity,reader_kappa";

/// A p value with three digits; what is not quite 0 never looks as if it were.
fn p_value(p: f64) -> String {
    if p < 0.001 { "<0.001".to_owned() } else { format!("{p:.3}") }
}

fn percent(i: Interval) -> String {
    format!("{:.1} ({:.1}-{:.1})", i.value * 100.0, i.low * 100.0, i.high * 100.0)
}

fn kappa(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| format!("{v:.2}"))
}

/// The verdict in the user's language.
fn verdict(row: &ComparisonRow, lang: Lang) -> &'static str {
    let en = row.verdict.as_str();
    lang.pick(
        en,
        match en {
            "Equal" => "相同",
            "Near" => "接近",
            "CNN" => "CNN 更优",
            _ => "医生更优",
        },
    )
}

/// A comparison as text; ends with a line's end.
pub fn table(c: &Comparison, lang: Lang) -> String {
    let heads = match lang {
        Lang::En => [
            "Finding",
            "Reader",
            "Films",
            "With",
            "CNN accuracy % (95 %)",
            "Reader accuracy % (95 %)",
            "Points",
            "Verdict",
            "McNemar p",
            "Kappa",
        ],
        Lang::Zh => {
            ["征象", "医生", "胸片", "阳性", "CNN 准确率%（95%）", "医生准确率%（95%）", "差值", "结论", "McNemar p", "Kappa"]
        }
    };
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    rows.extend(c.rows.iter().map(|r| {
        vec![
            clean(lang.pick(&r.en, &r.zh)),
            clean(&r.reader),
            r.films.to_string(),
            r.positives.to_string(),
            percent(r.model.accuracy),
            percent(r.readers.accuracy),
            format!("{:+.1}", r.difference_points),
            verdict(r, lang).to_owned(),
            p_value(r.mcnemar_p),
            kappa(r.kappa),
        ]
    }));
    let (films, out) = (c.films, c.left_out.len());
    let mut text = match lang {
        Lang::En => {
            format!("{} {} against readers: {films} films that all sides have, {out} left out\n\n", c.model.name, c.model.version)
        }
        Lang::Zh => format!("{} {} 与医生比较：各方共有胸片 {films} 张，未纳入 {out} 张\n\n", c.model.name, c.model.version),
    };
    text += &aligned(&rows);
    if out > 0 {
        text += &format!("\n{}\n", lang.pick("Left out:", "未纳入："));
        text.extend(c.left_out.iter().map(|(file, why)| format!("  {}: {}\n", clean(file), clean(why))));
    }
    text
}

/// A comparison as CSV with a header.
///
/// # Errors
/// What the csv package says; writing to memory gives no cause for it.
pub fn csv(c: &Comparison) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS.split(','))?;
    let number = |v: Option<f64>| v.map(|v| v.to_string()).unwrap_or_default();
    for r in &c.rows {
        let mut cells: Vec<String> =
            [&c.model.name, &c.model.version, &c.model.sha256, &r.reader, &r.id].map(|t| guarded(t).into_owned()).to_vec();
        cells.extend([r.films.to_string(), r.positives.to_string()]);
        for i in [r.model.accuracy, r.readers.accuracy] {
            cells.extend([i.value, i.low, i.high].map(|v| v.to_string()));
        }
        cells.extend([r.difference_points.to_string(), r.verdict.as_str().to_owned(), r.mcnemar_p.to_string(), number(r.kappa)]);
        let side = |s: &Side| [number(s.sensitivity.map(|i| i.value)), number(s.specificity.map(|i| i.value)), number(s.kappa)];
        cells.extend(side(&r.model).into_iter().chain(side(&r.readers)));
        writer.write_record(&cells)?;
    }
    writer.into_inner().map_err(|e| csv::Error::from(std::io::Error::from(e.error().kind())))
}

/// A comparison as a page.
pub fn page(c: &Comparison, lang: Lang) -> String {
    let cell = |i: Option<Interval>| {
        i.map_or_else(
            || "–".to_owned(),
            |i| format!("{:.1} %<small>{:.1}–{:.1}</small>", i.value * 100.0, i.low * 100.0, i.high * 100.0),
        )
    };
    let heads = [
        both("Finding", "征象"),
        both("Films", "胸片"),
        both("With it", "阳性"),
        both("CNN accuracy", "CNN 准确率"),
        both("Readers' accuracy", "医生准确率"),
        both("Points", "差值（点）"),
        both("Verdict", "结论"),
        "McNemar p".to_owned(),
        "Kappa".to_owned(),
        both("CNN sens. / spec.", "CNN 灵敏/特异"),
        both("Readers' sens. / spec.", "医生 灵敏/特异"),
    ];
    let share = |s: &Side| {
        let of = |i: Option<Interval>| i.map_or_else(|| "–".to_owned(), |i| format!("{:.0} %", i.value * 100.0));
        format!("{} / {}", of(s.sensitivity), of(s.specificity))
    };
    let row = |r: &&ComparisonRow| {
        vec![
            both_names(&r.en, &r.zh),
            r.films.to_string(),
            r.positives.to_string(),
            cell(Some(r.model.accuracy)),
            cell(Some(r.readers.accuracy)),
            format!("{:+.1}", r.difference_points),
            format!("<span class=\"verdict-{}\">{}</span>", r.verdict.as_str(), both(verdict(r, Lang::En), verdict(r, Lang::Zh))),
            escaped(&p_value(r.mcnemar_p)),
            kappa(r.kappa).replace('-', "–"),
            share(&r.model),
            share(&r.readers),
        ]
    };
    let mut body = format!(
        "<p>{} <code>{} {}</code> · sha256 <code>{}</code></p>\n<p>{}</p>\n",
        both("Model", "模型"),
        escaped(&c.model.name),
        escaped(&c.model.version),
        escaped(&c.model.sha256),
        both(
            &format!("{} films that the labels, the model and every reader have.", c.films),
            &format!("标签、模型与全部医生共有胸片 {} 张。", c.films)
        )
    );
    for reader in &c.readers {
        let rows: Vec<Vec<String>> = c.rows.iter().filter(|r| r.reader == *reader).collect::<Vec<_>>().iter().map(row).collect();
        body += &format!("<h2>{}</h2>\n{}", escaped(reader), html_table("comparison", &heads, &rows));
    }
    body += &left_out(c);
    body += &format!(
        "<h2>{}</h2>\n<ul class=\"notes\">\n<li>{}</li>\n<li>{}</li>\n<li>{}</li>\n</ul>\n",
        both("How to read this page", "阅读说明"),
        both(
            "Verdict: Equal where both have the same number of right calls, Near within 5 points of accuracy, otherwise CNN or Radiologists.",
            "结论：判定正确数相同为“相同”；准确率相差 5 个百分点以内为“接近”；否则为更优的一方。"
        ),
        both(
            "Accuracy flatters whoever calls little where a finding is rare: read sensitivity and specificity beside it. McNemar's p is exact; \
             kappa is the agreement of the model with the reader. Intervals are Wilson's, 95 %.",
            "征象少见时，准确率有利于少报阳性的一方，须同时看灵敏度和特异度。McNemar p 为精确检验；kappa 为模型与医生之间的一致性。区间为 95% Wilson 区间。"
        ),
        both("The majority of several readers counts a tie as a call.", "多位医生取多数意见，票数相等时计为阳性。")
    );
    let (en, zh) = (format!("{} against readers", c.model.name), format!("{} 与医生比较", c.model.name));
    whole_page((&en, &zh), lang, &body)
}

fn left_out(c: &Comparison) -> String {
    if c.left_out.is_empty() {
        return String::new();
    }
    let items: String = c.left_out.iter().map(|(file, why)| format!("<li>{}: {}</li>", escaped(file), escaped(why))).collect();
    format!(
        "<h2>{}</h2>\n<details open><summary>{}</summary><ul>{items}</ul></details>\n",
        both("Films left out", "未纳入的胸片"),
        c.left_out.len()
    )
}
