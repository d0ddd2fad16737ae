//! The table that people read in a terminal: one block a film, positive findings first.
//!
//! Columns align with double-width Chinese characters; the bar comes last, because terminals
//! disagree on the width of its characters. Never: a control character of a file name or of a
//! label set on the terminal.

use super::words::{self, percent};
use super::{Assessed, ReadView, RefusedView, View, shown_name, unavailable};
use crate::findings::Call;
use crate::lang::Lang;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns of a terminal after which a list of names is wrapped.
const WRAP_COLUMNS: usize = 100;
/// Characters of a probability's bar: one for five percent.
const BAR_COLUMNS: usize = 20;

/// Whether the terminal shows colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Text alone.
    Plain,
    /// ANSI colours (ECMA-48 SGR).
    Coloured,
}

/// How a piece of text stands out.
#[derive(Clone, Copy)]
enum Stress {
    Title,
    Alarm,
    Faint,
    None,
}

impl Paint {
    fn on(self, text: &str, stress: Stress) -> String {
        let code = match stress {
            Stress::Title => "1",
            Stress::Alarm => "1;33",
            Stress::Faint => "2",
            Stress::None => "",
        };
        if self == Self::Plain || code.is_empty() { text.to_owned() } else { format!("\u{1b}[{code}m{text}\u{1b}[0m") }
    }
}

/// The block of one film on one model; ends with a line's end.
pub fn block(view: &View, lang: Lang, paint: Paint) -> String {
    match view {
        View::Read(read) => read_block(read, lang, paint),
        View::Refused(refused) => refused_block(refused, lang, paint),
    }
}

/// The last lines of a run: how many films, and the intended use.
pub fn footer(read: usize, refused: usize, lang: Lang, paint: Paint) -> String {
    format!("{}\n{}\n", words::films(read, refused, lang), paint.on(words::NOTICE.of(lang), Stress::Title))
}

fn read_block(view: &ReadView, lang: Lang, paint: Paint) -> String {
    let ranked = Assessed::ranked(view.findings);
    let positive = ranked.iter().filter(|a| a.call == Call::Positive).count();
    let (facts, model) = (view.facts, view.manifest);
    let mut out = format!(
        "{}\n  {}, {} x {} {}, {} {}\n  {}\n",
        paint.on(&clean(view.file), Stress::Title),
        facts.format,
        facts.columns,
        facts.rows,
        words::PIXELS.of(lang),
        model.name,
        model.version,
        paint.on(&words::positive_count(positive, ranked.len(), lang), if positive > 0 { Stress::Alarm } else { Stress::None }),
    );
    out.push_str(&rows(&ranked, lang, paint));
    let names = unavailable(view.findings, lang);
    if !names.is_empty() {
        out.push_str(&paint.on(&wrapped(words::UNAVAILABLE.of(lang), &names, lang), Stress::Faint));
        out.push('\n');
    }
    out
}

fn rows(ranked: &[Assessed], lang: Lang, paint: Paint) -> String {
    let heads = [words::FINDING, words::PROBABILITY, words::OPERATING_POINT, words::CALL].map(|t| t.of(lang).to_owned());
    let cells = |a: &Assessed| {
        let call = if a.call == Call::Positive { words::POSITIVE } else { words::NEGATIVE };
        [clean(&shown_name(a.finding, lang)), percent(a.probability), percent(a.threshold), call.of(lang).to_owned()]
    };
    let lines: Vec<[String; 4]> = ranked.iter().map(cells).collect();
    let widths: [usize; 4] =
        std::array::from_fn(|i| lines.iter().chain([&heads]).map(|cells| cells[i].width()).max().unwrap_or(0));
    let line = |cells: &[String; 4]| {
        let [finding, probability, threshold, call] = std::array::from_fn(|i| " ".repeat(widths[i] - cells[i].width()));
        let [f, p, t, c] = cells;
        format!("  {f}{finding}  {probability}{p}  {threshold}{t}  {c}{call}")
    };
    let mut out = format!("  {}\n", paint.on(line(&heads).trim(), Stress::Faint));
    for (a, cells) in ranked.iter().zip(&lines) {
        let stress = if a.call == Call::Positive { Stress::Alarm } else { Stress::None };
        out.push_str(&paint.on(&line(cells), stress));
        out.push_str("  ");
        out.push_str(&paint.on(&bar(a.probability, a.threshold), stress));
        out.push('\n');
    }
    out
}

/// A probability as a bar of heavy line on light line, the operating point as an upright.
fn bar(probability: f32, threshold: f32) -> String {
    let cells = |share: f32| (share.clamp(0.0, 1.0) * BAR_COLUMNS as f32).round() as usize;
    let (filled, mark) = (cells(probability), cells(threshold));
    (0..=BAR_COLUMNS)
        .map(|i| {
            if i == mark {
                '┃'
            } else if i < filled + usize::from(filled > mark) {
                '━'
            } else {
                '─'
            }
        })
        .collect()
}

fn refused_block(view: &RefusedView, lang: Lang, paint: Paint) -> String {
    let refusal = view.refusal;
    let colon = lang.pick(": ", "：");
    format!(
        "{}\n  {} [{}]{colon}{}\n  {}{colon}{}\n",
        paint.on(&clean(view.file), Stress::Title),
        paint.on(words::NOT_READ.of(lang), Stress::Alarm),
        refusal.code().as_str(),
        clean(&refusal.message(lang)),
        words::REMEDY.of(lang),
        refusal.remedy(lang),
    )
}

/// A titled list of names, wrapped under itself.
fn wrapped(title: &str, names: &[&str], lang: Lang) -> String {
    let (colon, comma) = (lang.pick(": ", "："), lang.pick(", ", "、"));
    let mut out = format!("  {title}{colon}");
    let mut column = out.width();
    for (i, name) in names.iter().enumerate() {
        let last = i + 1 == names.len();
        let piece = if last { clean(name) } else { format!("{}{comma}", clean(name)) };
        if column + piece.trim_end().width() > WRAP_COLUMNS && column > 4 {
            out.truncate(out.trim_end().len());
            out.push_str("\n    ");
            column = 4;
        }
        column += piece.width();
        out.push_str(&piece);
    }
    out
}

/// The text followed by blanks up to `width` columns of a terminal.
pub(super) fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// The text with everything that could steer a terminal or turn its reading direction made visible.
pub(super) fn clean(text: &str) -> String {
    let steers =
        |c: char| c.width().is_none() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if steers(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::examples;
    use super::*;
    use crate::findings::Finding;
    use crate::model::Manifest;
    use crate::radiograph::{Code, Facts, Refusal};

    fn example() -> (Manifest, Vec<Finding>, Facts) {
        let mut findings = examples::findings(&[(0.1, 0.3), (0.75, 0.5)]);
        findings[1].en = "cardiomegaly".to_owned();
        findings[1].zh = "心影增大".to_owned();
        findings.push(examples::untrained("picc", "PICC"));
        findings.push(examples::untrained("cavity", "空洞"));
        (examples::manifest(&[("mass", "肺内占位", Some(0.3))]), findings, examples::facts())
    }

    fn shown(file: &str, lang: Lang, paint: Paint) -> String {
        let (manifest, findings, facts) = example();
        let read = ReadView { file, facts: &facts, steps: &[], manifest: &manifest, findings: &findings, engine: "tract" };
        block(&View::Read(read), lang, paint)
    }

    #[test]
    fn a_film_is_a_block_with_positive_findings_first() {
        assert_eq!(
            shown("a.dcm", Lang::En, Paint::Plain),
            "a.dcm\n  dicom, 2048 x 2500 px, findings25 1.2.0\n  1 finding of 2 at or above its operating point\n\
             \x20 Finding       Probability  Operating point  Call\n\
             \x20 Cardiomegaly       75.0 %           50.0 %  POSITIVE  ━━━━━━━━━━┃━━━━━─────\n\
             \x20 Finding 0          10.0 %           30.0 %  negative  ━━────┃──────────────\n\
             \x20 Unavailable (untrained): picc, cavity\n"
        );
    }

    #[test]
    fn columns_align_with_double_width_characters() {
        let text = shown("片.dcm", Lang::Zh, Paint::Plain);
        let column = |line: &str, mark: char| line[..line.find(mark).unwrap()].width();
        let bars: Vec<usize> = text.lines().filter(|l| l.contains('━')).map(|l| column(l, '━')).collect();
        assert_eq!(bars.len(), 2, "{text}");
        assert_eq!(bars[0], bars[1], "{text}");
        assert!(text.contains("不可用（未训练）：PICC、空洞\n"), "{text}");
    }

    #[test]
    fn colour_appears_only_when_told() {
        assert!(!shown("a", Lang::En, Paint::Plain).contains('\u{1b}'));
        let coloured = shown("a", Lang::En, Paint::Coloured);
        assert!(coloured.contains("\u{1b}[1;33m"));
        assert_eq!(coloured.matches("\u{1b}[0m").count() * 2, coloured.matches('\u{1b}').count());
    }

    #[test]
    fn a_file_name_cannot_steer_the_terminal() {
        for file in ["a\u{1b}[2J", "a\nb: POSITIVE", "a\r", "a\u{9b}2J", "a\u{202e}gnp"] {
            let text = shown(file, Lang::En, Paint::Plain);
            assert!(text.lines().next().unwrap().contains('\u{fffd}'), "{text:?}");
            assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        }
    }

    #[test]
    fn a_refusal_says_code_reason_and_remedy_in_both_languages() {
        let refusal = Refusal::new(Code::TooYoung, "PatientAge 004Y, allowed from 16 years");
        let view = View::Refused(RefusedView { file: "a.dcm", refusal: &refusal, manifest: None });
        assert_eq!(
            block(&view, Lang::En, Paint::Plain),
            "a.dcm\n  NOT READ [too_young]: the patient is younger than the model is meant for (PatientAge 004Y, allowed from 16 years)\n  \
             What to do: have a radiologist read this film without the program\n"
        );
        assert!(block(&view, Lang::Zh, Paint::Plain).contains("未阅片 [too_young]：患者年龄低于模型适用年龄"));
    }

    #[test]
    fn a_long_list_wraps_under_itself() {
        let names: Vec<String> = (0..40).map(|i| format!("finding number {i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let text = wrapped("Unavailable", &names, Lang::En);
        assert!(text.lines().count() > 5 && text.lines().all(|l| l.width() <= WRAP_COLUMNS + 2), "{text}");
        assert!(text.lines().skip(1).all(|l| l.starts_with("    finding")), "{text}");
    }

    #[test]
    fn a_bar_is_as_long_as_its_probability_says() {
        for (p, t, want) in [
            (0.0, 0.5, "──────────┃──────────"),
            (1.0, 0.5, "━━━━━━━━━━┃━━━━━━━━━━"),
            (0.25, 0.0, "┃━━━━━───────────────"),
            (0.5, 1.0, "━━━━━━━━━━──────────┃"),
        ] {
            assert_eq!(bar(p, t), want, "{p} {t}");
        }
    }

    #[test]
    fn the_footer_counts_films_and_states_the_intended_use() {
        assert_eq!(
            footer(3, 1, Lang::En, Paint::Plain),
            "3 read, 1 refused\nScreening aid for trained staff, not a diagnosis.\n"
        );
    }
}
