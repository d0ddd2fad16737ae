//! Text on pictures: one font, Chinese and Latin, drawn without any font of the system.
//!
//! The font is a subset of Noto Sans CJK SC made by `tools/subset_font.py`: ASCII, Latin-1, signs, the hanzi
//! of GB 2312 level 1 and those of chest radiology. A character that it lacks is drawn as an empty
//! box, so that a name never loses a letter unseen.

use crate::limits::TEXT_CHARS_MAX;
use ab_glyph::{Font, FontRef, GlyphId, OutlinedGlyph, Point, PxScale};
use std::sync::LazyLock;

/// The font's file: 0.8 MB.
const FILE: &[u8] = include_bytes!("../../assets/fonts/chexbox-sans.otf");

static FONT: LazyLock<FontRef<'static>> =
    LazyLock::new(|| FontRef::try_from_slice(FILE).expect("the embedded font is well-formed: the tests draw with it"));

/// Glyph of a character without one.
const MISSING: GlyphId = GlyphId(0);

/// Width of the box for a missing character, em.
const BOX_EM: f32 = 0.8;

/// Ends a text that was cut; three points, because the font's own ellipsis is as wide as a hanzi.
const ELLIPSIS: &str = "...";

/// What stands at one place of a line.
pub enum Mark {
    /// The outline of a character.
    Outline(OutlinedGlyph),
    /// A character that the font lacks: left edge and width, pixels.
    Missing(f32, f32),
}

/// Advance of one character at `em_px` pixels an em.
fn advance(character: char, em_px: f32) -> f32 {
    let id = FONT.glyph_id(character);
    if id == MISSING { BOX_EM * em_px } else { FONT.h_advance_unscaled(id) * em_px / units_per_em() }
}

fn units_per_em() -> f32 {
    FONT.units_per_em().unwrap_or(1000.0)
}

/// Width of a text at `em_px` pixels an em, pixels.
pub fn width(text: &str, em_px: f32) -> f32 {
    text.chars().take(TEXT_CHARS_MAX).map(|c| advance(c, em_px)).sum()
}

/// The outlines of a text whose first character starts at `x` on the `baseline`, pixels.
pub fn marks(text: &str, em_px: f32, x: f32, baseline: f32) -> impl Iterator<Item = Mark> {
    // ab_glyph counts the height from the lowest descender to the highest ascender as one.
    let scale = PxScale::from(em_px * FONT.height_unscaled() / units_per_em());
    let mut pen = x;
    text.chars().take(TEXT_CHARS_MAX).filter_map(move |c| {
        let (at, step) = (pen, advance(c, em_px));
        pen += step;
        let id = FONT.glyph_id(c);
        if id == MISSING {
            return Some(Mark::Missing(at, step));
        }
        FONT.outline_glyph(id.with_scale_and_position(scale, Point { x: at, y: baseline })).map(Mark::Outline)
    })
}

/// The text, cut and ended with an ellipsis where it is wider than `room` pixels.
pub fn fitted(text: &str, em_px: f32, room: f32) -> String {
    if width(text, em_px) <= room {
        return text.chars().take(TEXT_CHARS_MAX).collect();
    }
    let room = room - width(ELLIPSIS, em_px);
    let mut used = 0.0;
    let kept = text.chars().take(TEXT_CHARS_MAX).take_while(|c| {
        used += advance(*c, em_px);
        used <= room
    });
    let mut out: String = kept.collect();
    out.push_str(ELLIPSIS);
    out
}

/// The text in lines no wider than `room` pixels: broken at spaces and after Chinese characters and punctuation.
pub fn wrapped(text: &str, em_px: f32, room: f32) -> Vec<String> {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for piece in pieces(text) {
        if !line.is_empty() && width(&line, em_px) + width(piece.trim_end(), em_px) > room {
            lines.push(line.trim_end().to_owned());
            line.clear();
        }
        line.push_str(piece);
    }
    lines.push(line.trim_end().to_owned());
    lines
}

/// The pieces of a text between which a line may break.
fn pieces(text: &str) -> Vec<&str> {
    let closes = |c: char| "，。、；：！？）》」』】…%".contains(c);
    let wide = |c: char| c >= '\u{2e80}';
    let (mut pieces, mut start) = (Vec::new(), 0);
    let mut before = None::<char>;
    for (i, c) in text.char_indices() {
        let may_break = before.is_some_and(|b| b == ' ' || ((wide(b) || wide(c)) && !closes(c) && !"（《「『【".contains(b)));
        if may_break && c != ' ' {
            pieces.push(&text[start..i]);
            start = i;
        }
        before = Some(c);
    }
    pieces.push(&text[start..]);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::Lang;
    use crate::radiograph::{Code, Refusal};
    use crate::report::words;

    /// Both label sets of the original project, for their characters.
    const LABELS: &str = "气胸肺气肿肺内钙化PICC动脉弓迂曲动脉弓钙化动脉异常小片影心影增大斑片影肺内阴影空洞肺内占位肺纹理增多水肿肺结节\
        肺门异常胸腔积液胸膜增厚胸膜粘连胸膜钙化胸膜异常脊柱侧弯起搏器植入后间质改变不张实变肺水肿肺炎骨折";

    fn has(character: char) -> bool {
        FONT.glyph_id(character) != MISSING
    }

    fn lacking(text: &str) -> String {
        text.chars().filter(|c| !c.is_control() && !has(*c)).collect()
    }

    #[test]
    fn the_font_has_every_character_of_our_texts() {
        for lang in [Lang::En, Lang::Zh] {
            for text in words::ALL {
                assert_eq!(lacking(text.of(lang)), "", "{text:?}");
            }
            for code in Code::ALL {
                let refusal = Refusal::new(code, "(0008,0060)");
                assert_eq!(lacking(&refusal.message(lang)), "", "{code:?}");
                assert_eq!(lacking(refusal.remedy(lang)), "", "{code:?}");
            }
            for text in [words::positive_count(3, 11, lang), words::further(2, lang), words::films(1, 2, lang)] {
                assert_eq!(lacking(&text), "", "{text}");
            }
        }
        assert_eq!(lacking(LABELS), "");
        let ascii: String = (' '..='~').collect();
        assert_eq!(lacking(&ascii), "");
        assert_eq!(lacking("…·×–≥"), "");
    }

    #[test]
    fn a_character_without_a_glyph_is_a_box_and_never_a_panic() {
        for text in ["\u{0}", "\u{1f4a9}", "\u{10ffff}", "龘", "\u{202e}", "\t\n"] {
            let count = marks(text, 20.0, 0.0, 20.0).filter(|m| matches!(m, Mark::Missing(_, w) if *w == 16.0)).count();
            assert_eq!(count, text.chars().count(), "{text:?}");
        }
    }

    #[test]
    fn a_text_too_wide_is_cut_with_an_ellipsis() {
        let name = "a very long file name of a radiograph 胸片.dcm";
        assert_eq!(fitted(name, 20.0, 1000.0), name);
        for room in [0.0, 30.0, 100.0, 300.0] {
            let cut = fitted(name, 20.0, room);
            assert!(cut.ends_with(ELLIPSIS) && (width(&cut, 20.0) <= room || cut == ELLIPSIS), "{room}: {cut}");
        }
        assert!(fitted(&"x".repeat(1_000_000), 20.0, f32::MAX).len() <= TEXT_CHARS_MAX + ELLIPSIS.len());
    }

    #[test]
    fn lines_break_at_spaces_and_between_hanzi_but_not_before_a_comma() {
        for (text, want) in [
            ("one two three", vec!["one two", "three"]),
            ("胸腔积液，胸膜增厚", vec!["胸腔积", "液，胸膜", "增厚"]),
            ("short", vec!["short"]),
            ("", vec![""]),
        ] {
            assert_eq!(wrapped(text, 20.0, 82.0), want);
        }
    }
}
