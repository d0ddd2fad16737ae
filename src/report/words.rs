//! Every text that a report shows beside names and numbers, in both languages.

use crate::lang::Lang;

/// One text in English and Chinese.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    en: &'static str,
    zh: &'static str,
}

impl Text {
    /// The text in this language.
    pub fn of(self, lang: Lang) -> &'static str {
        lang.pick(self.en, self.zh)
    }
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident = $en:literal, $zh:literal;)+) => {
        $($(#[$doc])* pub const $name: Text = Text { en: $en, zh: $zh };)+

        /// Every text, for the test that the font has each of their characters.
        pub const ALL: &[Text] = &[$($name),+];
    };
}

texts! {
    /// The intended use in one line; stands on everything that carries a finding.
    NOTICE = "Screening aid for trained staff, not a diagnosis.", "仅供专业人员筛查辅助，不作为诊断依据。";
    /// Stands on everything that is sent to an archive.
    MADE_BY_SOFTWARE = "made by software, not for diagnosis without review by a physician.", "由软件自动生成，未经医师审核不得用于诊断。";
    /// What a box of a presentation state means.
    HOT_SPOT = "hottest part of the heat map, not the extent of a lesion", "热图最热部位，不代表病灶范围";
    /// Head of the column of findings.
    FINDING = "Finding", "征象";
    /// Head of the column of probabilities.
    PROBABILITY = "Probability", "概率";
    /// Head of the column of thresholds.
    OPERATING_POINT = "Operating point", "判定阈值";
    /// Head of the column of calls.
    CALL = "Call", "判定";
    /// At or above the operating point.
    POSITIVE = "POSITIVE", "阳性";
    /// Below the operating point.
    NEGATIVE = "negative", "阴性";
    /// Mark of a heat map whose finding is not positive.
    BELOW = "below operating point", "低于判定阈值";
    /// No finding is positive.
    NOTHING_POSITIVE = "No finding at or above its operating point (does not mean normal)", "没有征象达到判定阈值（不等于正常）";
    /// Findings without a number.
    UNAVAILABLE = "Unavailable (untrained)", "不可用（未训练）";
    /// Pixels, after columns and rows.
    PIXELS = "px", "像素";
    /// Heads a refusal.
    NOT_READ = "NOT READ", "未阅片";
    /// Before the remedy of a refusal.
    REMEDY = "What to do", "处理方法";
    /// What the colours of a heat map mean.
    ATTENTION = "relative attention", "相对关注度";
    /// Cold end of the colour scale.
    LOW = "low", "低";
    /// Hot end of the colour scale.
    HIGH = "high", "高";
    /// The film itself on a contact sheet.
    FILM = "Film", "原片";
    /// Head of the list of findings on a contact sheet.
    FINDINGS = "Findings", "征象列表";
    /// Head of the explanation of the colours.
    HEAT_MAP = "Heat map (Grad-CAM)", "热图（Grad-CAM）";
    /// Caution about heat maps.
    HEAT_MAP_NOTE = "Shows where the model looked, relative to its own peak; not the extent of a lesion.", "显示模型关注的位置（相对自身峰值），不代表病灶范围。";
    /// A heat map without heat.
    NO_HEAT = "no part of the film speaks for it", "没有支持该征象的区域";
}

/// How many findings are positive, of how many assessed.
pub fn positive_count(positive: usize, assessed: usize, lang: Lang) -> String {
    match (lang, positive) {
        (_, 0) => NOTHING_POSITIVE.of(lang).to_owned(),
        (Lang::En, n) => {
            let (noun, their) = if n == 1 { ("finding", "its") } else { ("findings", "their") };
            format!("{n} {noun} of {assessed} at or above {their} operating point")
        }
        (Lang::Zh, n) => format!("{assessed} 项征象中 {n} 项达到判定阈值"),
    }
}

/// How many further findings have no room.
pub fn further(count: usize, lang: Lang) -> String {
    match lang {
        Lang::En => format!("and {count} more, see the record"),
        Lang::Zh => format!("另有 {count} 项，详见记录"),
    }
}

/// How many films were read and refused.
pub fn films(read: usize, refused: usize, lang: Lang) -> String {
    match lang {
        Lang::En => format!("{read} read, {refused} refused"),
        Lang::Zh => format!("已阅片 {read} 张，未阅片 {refused} 张"),
    }
}

/// A share in percent with one decimal; what is not quite 0 or 100 never looks as if it were.
pub fn percent(share: f32) -> String {
    match share {
        s if s > 0.0 && s < 0.000_5 => "<0.05 %".to_owned(),
        s if (0.999_5..1.0).contains(&s) => ">99.9 %".to_owned(),
        // Operating points of rare findings lie low: one digit would show 1.4 % below 1.4 %.
        s if s < 0.1 => format!("{:.2} %", s * 100.0),
        s => format!("{:.1} %", s * 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_that_is_not_quite_none_or_all_never_looks_as_if_it_were() {
        for (share, want) in [
            (0.0, "0.00 %"),
            (1e-9, "<0.05 %"),
            (0.000_5, "0.05 %"),
            (0.013_6, "1.36 %"),
            (0.345_6, "34.6 %"),
            (0.999, "99.9 %"),
            (0.999_9, ">99.9 %"),
            (1.0, "100.0 %"),
        ] {
            assert_eq!(percent(share), want, "{share}");
        }
    }

    #[test]
    fn counts_are_sentences_in_both_languages() {
        assert_eq!(positive_count(0, 11, Lang::En), "No finding at or above its operating point (does not mean normal)");
        assert_eq!(positive_count(1, 11, Lang::En), "1 finding of 11 at or above its operating point");
        assert_eq!(positive_count(3, 11, Lang::En), "3 findings of 11 at or above their operating point");
        assert_eq!(positive_count(3, 11, Lang::Zh), "11 项征象中 3 项达到判定阈值");
    }

    #[test]
    fn every_text_is_there_in_both_languages() {
        for text in ALL {
            assert!(!text.of(Lang::En).is_empty() && !text.of(Lang::Zh).is_empty(), "{text:?}");
        }
    }
}
