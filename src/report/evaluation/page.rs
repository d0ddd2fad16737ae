//! The page of an evaluation: figures, curves, reliability, groups, heat maps, and every film that took no part.

use super::super::page::{both, both_names, escaped, page as whole_page, table};
use super::super::plot::{IntervalRow, UnitPlot, intervals};
use super::{digits, reasons, why};
use crate::evaluation::{Evaluation, Figures, Group, Named};
use crate::lang::Lang;
use crate::stats::{Interval, wilson};

/// The axis of the plot of AUCs begins here, or lower where an interval does.
const AUC_AXIS_FROM: f64 = 0.4;

/// An evaluation as a page.
pub fn page(e: &Evaluation, lang: Lang) -> String {
    let body = [head(e), figures(e), forest(e), findings(e), groups(e), boxes(e), left_out(e), notes()].concat();
    let (en, zh) = (format!("Evaluation of {}", e.model.name), format!("{} 评价报告", e.model.name));
    whole_page((&en, &zh), lang, &body)
}

fn head(e: &Evaluation) -> String {
    let (f, m) = (&e.films, &e.means);
    let card = |value: String, en: &str, zh: &str| format!("<div><b>{value}</b><span>{}</span></div>", both(en, zh));
    let cards = [
        card(f.evaluated.to_string(), "films evaluated", "张胸片参与评价"),
        card((f.refused + f.unread + f.laterals).to_string(), "films took no part", "张未参与"),
        card(digits(m.auc), &format!("mean AUC of {} findings", m.findings), &format!("{} 项征象平均 AUC", m.findings)),
        card(digits(m.sensitivity), "mean sensitivity", "平均灵敏度"),
        card(digits(m.specificity), "mean specificity", "平均特异度"),
        card(digits(m.f1), "mean F1", "平均 F1"),
        card(digits(m.expected_calibration_error), "mean calibration error", "平均校准误差"),
    ];
    format!(
        "<p>{} <code>{} {}</code> · sha256 <code>{}</code><br>{} <code>{}</code></p>\n<div class=\"cards\">{}</div>\n",
        both("Model", "模型"),
        escaped(&e.model.name),
        escaped(&e.model.version),
        escaped(&e.model.sha256),
        both("Labels", "标签文件"),
        escaped(&e.labels),
        cards.concat()
    )
}

fn heading(en: &str, zh: &str) -> String {
    format!("<h2>{}</h2>\n", both(en, zh))
}

/// The value with its interval beneath it.
fn stacked(interval: Option<Interval>) -> String {
    interval.map_or_else(|| "–".to_owned(), |i| format!("{:.3}<small>{:.3}–{:.3}</small>", i.value, i.low, i.high))
}

fn plain(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |v| format!("{v:.3}"))
}

fn figures(e: &Evaluation) -> String {
    let heads = [
        both("Finding", "征象"),
        both("Films", "胸片"),
        both("With it", "阳性"),
        "AUC".to_owned(),
        both("Avg. prec.", "平均精确率"),
        both("Threshold", "阈值"),
        both("Sensitivity", "灵敏度"),
        both("Specificity", "特异度"),
        both("Precision (PPV)", "精确率（PPV）"),
        "NPV".to_owned(),
        "F1".to_owned(),
        "Brier".to_owned(),
        "ECE".to_owned(),
    ];
    let row = |f: &Named<Figures>| {
        let of = &f.of;
        vec![
            both_names(&f.en, &f.zh),
            of.films.to_string(),
            of.positives.to_string(),
            of.auc_interval.map_or_else(|| plain(of.auc), |i| stacked(Some(i))),
            plain(of.average_precision),
            format!("{:.3}", of.threshold),
            stacked(of.sensitivity),
            stacked(of.specificity),
            stacked(of.positive_predictive_value),
            stacked(of.negative_predictive_value),
            plain(of.f1),
            plain(of.brier),
            plain(of.expected_calibration_error),
        ]
    };
    let mut rows: Vec<Vec<String>> = e.findings.iter().map(row).collect();
    let m = &e.means;
    let means = [
        None,
        None,
        m.auc,
        m.average_precision,
        None,
        m.sensitivity,
        m.specificity,
        m.precision,
        None,
        m.f1,
        m.brier,
        m.expected_calibration_error,
    ];
    let mean = both("Mean", "平均");
    rows.push(std::iter::once(mean).chain(means.iter().map(|v| v.map_or_else(String::new, |v| format!("{v:.3}")))).collect());
    let unavailable: Vec<String> = e.unavailable.iter().map(|u| both_names(&u.en, &u.zh)).collect();
    let others = if unavailable.is_empty() {
        String::new()
    } else {
        let words = both("Without figures (untrained, or not in the label file)", "无指标（未训练或标签文件无此项）");
        format!("<p class=\"soft\">{words}: {}</p>\n", unavailable.join(" · "))
    };
    let last = "<tr><th scope=\"row\"><span class=\"en\">Mean";
    let table = table("figures", &heads, &rows).replace(last, &last.replace("<tr>", "<tr class=\"mean\">"));
    heading("Figures", "指标") + &table + &others
}

fn forest(e: &Evaluation) -> String {
    let rows: Vec<IntervalRow> =
        e.findings.iter().filter_map(|f| Some(IntervalRow { en: &f.en, zh: &f.zh, interval: f.of.auc_interval? })).collect();
    if rows.is_empty() {
        return String::new();
    }
    let lowest = rows.iter().map(|r| r.interval.low).fold(AUC_AXIS_FROM, f64::min);
    let from = (lowest * 10.0).floor() / 10.0;
    heading("AUC with 95 % intervals", "AUC 及 95% 置信区间") + &intervals(&rows, from, 0.5) + "\n"
}

fn findings(e: &Evaluation) -> String {
    let sections: String = e.findings.iter().map(section).collect();
    heading("Curves and reliability", "曲线与校准") + &sections
}

fn section(f: &Named<Figures>) -> String {
    let of = &f.of;
    let share = of.positives as f64 / of.films.max(1) as f64;
    let (sensitivity, precision) = (of.sensitivity.map(|i| i.value), of.positive_predictive_value.map(|i| i.value));
    let mut roc = UnitPlot::new(("1 − specificity", "1 − 特异度"), ("sensitivity", "灵敏度"));
    roc.line("chance", &[(0.0, 0.0), (1.0, 1.0)]).line("curve", &of.roc);
    if let (Some(up), Some(specificity)) = (sensitivity, of.specificity) {
        roc.ring((1.0 - specificity.value, up));
    }
    let mut pr = UnitPlot::new(("recall", "召回率"), ("precision", "精确率"));
    pr.line("chance", &[(0.0, share), (1.0, share)]).line("curve", &of.precision_recall);
    if let (Some(across), Some(up)) = (sensitivity, precision) {
        pr.ring((across, up));
    }
    let mut reliability = UnitPlot::new(("probability", "预测概率"), ("observed share", "实际比例"));
    reliability.line("chance", &[(0.0, 0.0), (1.0, 1.0)]);
    for bin in of.bins.iter().filter(|b| b.films > 0) {
        let positives = (bin.observed * bin.films as f64).round() as usize;
        if let Some(interval) = wilson(positives, bin.films) {
            reliability.dot(bin.mean_probability, interval, 2.0 + 4.0 * (bin.films as f64 / of.films as f64).sqrt());
        }
    }
    let plot = |plot: &UnitPlot, en: String, zh: String| {
        format!("<figure>{}<figcaption>{}</figcaption></figure>", plot.svg(), both(&en, &zh))
    };
    let (auc, average) = (plain(of.auc), plain(of.average_precision));
    let (brier, ece) = (plain(of.brier), plain(of.expected_calibration_error));
    format!(
        "<section class=\"finding\"><h3>{} <span class=\"soft\">{}</span></h3><div class=\"plots\">{}{}{}</div></section>\n",
        both_names(&f.en, &f.zh),
        both(&format!("{} of {} films", of.positives, of.films), &format!("{} 张中 {} 张阳性", of.films, of.positives)),
        plot(&roc, format!("ROC, AUC {auc}"), format!("ROC 曲线，AUC {auc}")),
        plot(&pr, format!("Precision-recall, average {average}"), format!("精确率-召回率曲线，平均 {average}")),
        plot(&reliability, format!("Reliability, Brier {brier}, ECE {ece}"), format!("校准，Brier {brier}，ECE {ece}"))
    )
}

fn groups(e: &Evaluation) -> String {
    let mut out = String::new();
    for (kind, en, zh) in [("sex", "Sex", "性别"), ("age", "Age, years", "年龄（岁）"), ("view", "View", "体位")] {
        let of: Vec<&Group> = e.groups.iter().filter(|g| g.kind == kind).collect();
        if of.is_empty() {
            continue;
        }
        let column = |g: &&Group| {
            format!("{}<small>{}</small>", escaped(&g.value), both(&format!("{} films", g.films), &format!("{} 张", g.films)))
        };
        let heads: Vec<String> = std::iter::once(both(en, zh)).chain(of.iter().map(column)).collect();
        let row = |(i, f): (usize, &Named<Figures>)| {
            let cell = |g: &&Group| {
                let of = &g.findings[i];
                let share = |i: Option<Interval>| i.map_or_else(|| "–".to_owned(), |i| format!("{:.2}", i.value));
                format!(
                    "{}<small>n {} · {} {} / {}</small>",
                    stacked(of.auc),
                    of.positives,
                    both("sens./spec.", "灵敏/特异"),
                    share(of.sensitivity),
                    share(of.specificity)
                )
            };
            std::iter::once(both_names(&f.en, &f.zh)).chain(of.iter().map(cell)).collect()
        };
        let rows: Vec<Vec<String>> = e.findings.iter().enumerate().map(row).collect();
        out += &table("groups", &heads, &rows);
    }
    if out.is_empty() { out } else { heading("Groups: AUC with its interval", "分组：AUC 及区间") + &out }
}

fn boxes(e: &Evaluation) -> String {
    if e.boxes.is_empty() {
        return String::new();
    }
    let heads = [
        both("Finding", "征象"),
        both("Films with a box", "有标注框的胸片"),
        both("Maximum inside a box", "峰值在框内"),
        both("Energy inside the boxes", "框内能量占比"),
        both("Chance (share of the film covered)", "随机水平（框面积占比）"),
        both("Maps without heat", "无热度的热图"),
    ];
    let row = |f: &Named<crate::evaluation::BoxFigures>| {
        let b = &f.of;
        vec![
            both_names(&f.en, &f.zh),
            b.films.to_string(),
            stacked(Some(b.pointing)),
            stacked(Some(b.energy)),
            plain(Some(b.chance)),
            b.cold.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = e.boxes.iter().map(row).collect();
    heading("Heat maps against boxes", "热图与标注框") + &table("boxes", &heads, &rows)
}

fn left_out(e: &Evaluation) -> String {
    let f = &e.films;
    let counts = both(
        &format!(
            "{} labelled films: {} evaluated, {} refused by the program, {} without a reading, {} laterals. {} readings have no label; \
             {} rows of the label file were not asked for.",
            f.labelled, f.evaluated, f.refused, f.unread, f.laterals, f.unlabelled, f.not_asked_for
        ),
        &format!(
            "有标签胸片 {} 张：评价 {}，程序拒绝 {}，无阅片结果 {}，侧位 {}。{} 张阅片结果无标签；标签文件中 {} 行不在所选范围内。",
            f.labelled, f.evaluated, f.refused, f.unread, f.laterals, f.unlabelled, f.not_asked_for
        ),
    );
    let lists: String = reasons(e.left_out.iter().map(|f| f.why.as_str()))
        .into_iter()
        .map(|(code, n)| {
            let files = e.left_out.iter().filter(|f| f.why == code);
            let items: String = files.map(|f| format!("<li>{}</li>", escaped(&f.file))).collect();
            let words = both(&escaped(why(code, Lang::En)), &escaped(why(code, Lang::Zh)));
            format!("<details><summary>{n} × {words}</summary><ul>{items}</ul></details>\n")
        })
        .collect();
    heading("Films that took no part", "未参与评价的胸片") + &format!("<p>{counts}</p>\n{lists}")
}

fn notes() -> String {
    let notes = [
        (
            "Intervals are 95 %: DeLong for the AUC, Wilson for shares. A dash stands where a figure is not defined.",
            "区间均为 95%：AUC 用 DeLong 法，比例用 Wilson 法。无法定义的指标以短横线表示。",
        ),
        (
            "The ring on a curve is the operating point. Chosen on these same films, its figures flatter the model; choose it on others.",
            "曲线上的圆圈为判定阈值。若阈值是在同一批胸片上选定的，指标会偏乐观，应在另一批胸片上选定。",
        ),
        (
            "Predictive values and precision hold for the share of positives among these films; elsewhere they differ.",
            "预测值和精确率取决于本批胸片的阳性比例，在其他人群中会不同。",
        ),
        (
            "Reliability: ten bins of equal width; a dot's size is its share of the films, its bar Wilson's interval. On the dashed line a \
             probability means what it says.",
            "校准图：十个等宽区间；点的大小为胸片占比，竖线为 Wilson 区间。落在虚线上表示预测概率与实际一致。",
        ),
        (
            "Labels mined from reports are not the patient: a figure measures agreement with them.",
            "从报告文本提取的标签不等于患者的真实情况：指标衡量的是与标签的一致程度。",
        ),
    ];
    let items: String = notes.iter().map(|(en, zh)| format!("<li>{}</li>\n", both(en, zh))).collect();
    heading("How to read this page", "阅读说明") + &format!("<ul class=\"notes\">\n{items}</ul>\n")
}
