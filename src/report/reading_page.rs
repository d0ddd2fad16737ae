//! The report of one reading: one HTML file that stands alone, in both languages, fit for print.
//!
//! In: what was kept, and the film where it is still there. Out: the page. Never: a number for an untrained finding, a
//! refusal that looks like "nothing found", a page without the notice that this is a screening aid.

use super::kept::{KeptFinding, KeptReading, unpack};
use super::page::{both, both_names, escaped, page, table};
use super::{Display, PictureError, film_png, layer, words};
use crate::lang::Lang;
use crate::radiograph::PatientIdentity;

/// Most heat maps on a report: the positive findings, most probable first.
const MAPS_MAX: usize = 6;

/// What a report is made of.
pub struct Page<'a> {
    /// What was read.
    pub kept: &'a KeptReading,
    /// Heat maps as they were kept.
    pub maps: &'a [u8],
    /// The film.
    pub film: Option<&'a Display>,
    /// Name of its file.
    pub file: Option<&'a str>,
    /// SHA-256 of its file.
    pub film_sha256: &'a str,
    /// Who it is of, as its header says.
    pub patient: Option<&'a PatientIdentity>,
    /// Name of the reading.
    pub id: &'a str,
    /// When it was made.
    pub created: &'a str,
}

/// A text of `words` in both languages.
fn said(text: words::Text) -> String {
    both(&escaped(text.of(Lang::En)), &escaped(text.of(Lang::Zh)))
}

impl Page<'_> {
    /// The page, opened in this language.
    ///
    /// # Errors
    /// [`PictureError::Encode`].
    pub fn html(&self, lang: Lang) -> Result<String, PictureError> {
        let mut body = self.head();
        match self.kept.refusal() {
            Some(refusal) => {
                let line = |en: String, zh: String| both(&escaped(&en), &escaped(&zh));
                let message = line(refusal.message(Lang::En), refusal.message(Lang::Zh));
                let remedy = both(&escaped(refusal.remedy(Lang::En)), &escaped(refusal.remedy(Lang::Zh)));
                let (not_read, to_do) = (said(words::NOT_READ), said(words::REMEDY));
                body += &format!("<h2>{not_read}</h2>\n<p><b>{message}</b></p>\n<p>{to_do}: {remedy}</p>\n");
            }
            None => {
                body += &self.findings();
                body += &self.pictures()?;
            }
        }
        body += &self.provenance();
        let title = ("Chest radiograph screening report", "胸片筛查报告");
        // The pictures stand in the page itself; nothing else may be loaded.
        let policy = ("style-src 'unsafe-inline'\"", "style-src 'unsafe-inline'; img-src data:\"");
        Ok(page(title, lang, &body).replacen(policy.0, policy.1, 1))
    }

    fn head(&self) -> String {
        let mut rows = Vec::new();
        let mut row = |en: &str, zh: &str, value: Option<&str>| {
            if let Some(value) = value.filter(|v| !v.is_empty()) {
                rows.push(vec![both(en, zh), escaped(value)]);
            }
        };
        row("Patient's name", "患者姓名", self.patient.and_then(PatientIdentity::name));
        row("Patient ID", "患者编号", self.patient.and_then(PatientIdentity::id));
        row("Birth date", "出生日期", self.patient.and_then(PatientIdentity::birth_date));
        row("Accession number", "检查号", self.patient.and_then(PatientIdentity::accession));
        row("Film", "胸片", self.file);
        row("Read at (UTC)", "阅片时间（UTC）", Some(self.created));
        row("Model", "模型", Some(&format!("{} {}", self.kept.model, self.kept.version)));
        row("Reading", "阅片编号", Some(self.id));
        table("about", &[], &rows)
    }

    fn findings(&self) -> String {
        let heads = [words::FINDING, words::PROBABILITY, words::OPERATING_POINT, words::CALL].map(said);
        let ranked = self.ranked();
        let rows: Vec<Vec<String>> = ranked
            .iter()
            .filter_map(|(_, f)| {
                let n = f.assessed?;
                let call = match n.positive {
                    true => format!("<b>{}</b>", said(words::POSITIVE)),
                    false => said(words::NEGATIVE),
                };
                let percent = |share| escaped(&words::percent(share));
                Some(vec![both_names(&f.en, &f.zh), percent(n.probability), percent(n.threshold), call])
            })
            .collect();
        let count = |lang| words::positive_count(self.kept.positives().count(), rows.len(), lang);
        let summary = both(&escaped(&count(Lang::En)), &escaped(&count(Lang::Zh)));
        let untrained: Vec<&KeptFinding> = self.kept.findings.iter().flatten().filter(|f| f.assessed.is_none()).collect();
        let unavailable = match untrained.is_empty() {
            true => String::new(),
            false => {
                let names =
                    |pick: fn(&KeptFinding) -> &str, join| untrained.iter().map(|f| pick(f)).collect::<Vec<_>>().join(join);
                let names = both(&escaped(&names(|f| &f.en, ", ")), &escaped(&names(|f| &f.zh, "、")));
                format!("<p class=\"soft\">{}: {names}</p>\n", said(words::UNAVAILABLE))
            }
        };
        let title = both("Findings", "征象");
        format!("<h2>{title}</h2>\n<p><b>{summary}</b></p>\n{}{unavailable}", table("findings", &heads, &rows))
    }

    /// Findings with their places: the positive ones first, then by falling probability.
    fn ranked(&self) -> Vec<(usize, &KeptFinding)> {
        let mut ranked: Vec<_> = self.kept.findings.iter().flatten().enumerate().filter(|(_, f)| f.assessed.is_some()).collect();
        let key = |f: &KeptFinding| f.assessed.map_or((false, 0.0), |n| (n.positive, n.probability));
        ranked.sort_by(|(_, a), (_, b)| {
            let (a, b) = (key(a), key(b));
            b.0.cmp(&a.0).then(b.1.total_cmp(&a.1))
        });
        ranked
    }

    fn pictures(&self) -> Result<String, PictureError> {
        let Some(film) = self.film else {
            let gone = both("The film is not kept, so that it is not shown here.", "胸片未保存，此处不显示。");
            return Ok(format!("<p class=\"soft\">{gone}</p>\n"));
        };
        let small = film.with_longer_side(film.width().max(film.height()).min(super::layer::REPORT_SIDE_PX));
        let plain = data_url(&film_png(&small)?);
        let figure = |under: &str, over: &str, caption: &str| {
            let stack = "position:relative;display:block";
            let above = "position:absolute;inset:0;width:100%;height:100%;opacity:0.55";
            let over = if over.is_empty() { String::new() } else { format!("<img alt=\"\" style=\"{above}\" src=\"{over}\">") };
            let film = format!("<img alt=\"\" style=\"width:100%;display:block\" src=\"{under}\">");
            format!("<figure><span style=\"{stack}\">{film}{over}</span><figcaption>{caption}</figcaption></figure>\n")
        };
        let mut figures = figure(&plain, "", &said(words::FILM));
        let positive = self.ranked().into_iter().filter(|(_, f)| f.assessed.is_some_and(|n| n.positive));
        for (place, finding) in positive.take(MAPS_MAX) {
            let Some(heat) = unpack(self.maps, place) else { continue };
            let map = data_url(&layer(&heat, small.width(), small.height())?);
            figures += &figure(&plain, &map, &both_names(&finding.en, &finding.zh));
        }
        let note = said(words::HEAT_MAP_NOTE);
        Ok(format!("<h2>{}</h2>\n<div class=\"plots\">{figures}</div>\n<p class=\"soft\">{note}</p>\n", said(words::HEAT_MAP)))
    }

    fn provenance(&self) -> String {
        let steps = self.kept.steps.as_array().into_iter().flatten().filter_map(|step| {
            let text = |key: &str| step.get(key)?.as_str();
            Some(format!("<li><code>{}</code> {}</li>", escaped(text("step")?), escaped(text("detail")?)))
        });
        let steps: String = steps.collect();
        let engine = self.kept.engine.as_deref().unwrap_or("");
        let (title, film, model) = (both("How it was read", "阅片过程"), both("Film", "胸片"), both("Model", "模型"));
        format!(
            "<h2>{title}</h2>\n<p class=\"soft\">{} · {}<br>{film} sha256 <code>{}</code><br>{model} sha256 <code>{}</code></p>\n\
             <ul class=\"notes\">{steps}</ul>\n",
            escaped(&self.kept.program),
            escaped(engine),
            escaped(self.film_sha256),
            escaped(&self.kept.sha256),
        )
    }
}

/// A PNG file as an address that holds it.
fn data_url(png: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::from("data:image/png;base64,");
    for three in png.chunks(3) {
        let at = |i: usize| u32::from(three.get(i).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for letter in 0..4 {
            let six = (bits >> (18 - 6 * letter) & 63) as usize;
            out.push(if letter <= three.len() { char::from(LETTERS[six]) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::examples;
    use super::*;
    use crate::grad_cam::heat_map;
    use crate::radiograph::{Code, Grey, Refusal, Samples, linear_tone};
    use crate::reading::Reading;

    fn kept() -> KeptReading {
        let manifest = examples::manifest(&[("mass", "肺内占位", Some(0.3)), ("picc", "PICC", None)]);
        let mut findings = examples::findings(&[(0.75, 0.3), (0.1, 0.2)]);
        findings.push(examples::untrained("picc", "PICC"));
        let reading = Reading { findings, heat_maps: Vec::new(), steps: Vec::new() };
        KeptReading::of(&manifest, "engine", &examples::facts(), &examples::steps(), &reading)
    }

    fn html(kept: &KeptReading, maps: &[u8], film: Option<&Display>, file: &str) -> String {
        let page = Page {
            kept,
            maps,
            film,
            file: Some(file),
            film_sha256: "ab",
            patient: None,
            id: "abc",
            created: "2026-11-23T00:00:00Z",
        };
        page.html(Lang::Zh).unwrap()
    }

    #[test]
    fn a_report_holds_findings_pictures_and_the_notice_and_asks_nothing_of_a_network() {
        let film = Display::of(&Grey::new(64, 80, Samples::U8(vec![90; 64 * 80]), linear_tone(256)).unwrap());
        let maps = super::super::kept::pack(&[(0, heat_map(&[0.0, 0.0, 0.0, 4.0], 2, &[1.0]).unwrap())]);
        let page = html(&kept(), &maps, Some(&film), "a<b>.png");
        assert_eq!(page.matches("src=\"data:image/png;base64,").count(), 3);
        for part in ["75.0 %", "30.0 %", "Unavailable (untrained)", "不作为诊断依据", "a&lt;b&gt;.png", "img-src data:"] {
            assert!(page.contains(part), "{part}");
        }
        for word in ["http://", "https://", "url(", "@import", "<script", "<b>."] {
            assert!(!page.contains(word), "{word}");
        }
    }

    #[test]
    fn a_refused_film_s_report_says_why_and_shows_no_finding() {
        let manifest = examples::manifest(&[("mass", "肺内占位", Some(0.3))]);
        let kept = KeptReading::refused(&manifest, &Refusal::new(Code::NotAChest, "x"));
        let page = html(&kept, &[], None, "a");
        assert!(page.contains("NOT READ") && page.contains("未阅片"));
        assert!(!page.contains(words::NOTHING_POSITIVE.of(Lang::En)) && !page.contains("class=\"findings\""));
    }

    #[test]
    fn bytes_become_the_letters_of_rfc_4648() {
        for (bytes, want) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(data_url(bytes.as_bytes()), format!("data:image/png;base64,{want}"));
        }
    }
}
