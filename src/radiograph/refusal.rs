//! Why a file was not read: a stable code, a sentence in the user's language and what to do next.
//! Neither holds anything about the patient.

use crate::lang::Lang;
use serde::Serialize;

/// The stable code of a refusal. Codes are never renamed; programs of others depend on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The file could not be opened or read.
    UnreadableFile,
    /// Neither DICOM nor PNG, JPEG or TIFF.
    UnknownFormat,
    /// Truncated, inconsistent or corrupt.
    DamagedFile,
    /// More bytes, pixels, elements or nesting than the limits allow.
    TooLarge,
    /// Fewer pixels than a film has.
    TooSmall,
    /// A DICOM object without an image.
    NoPixelData,
    /// More than one frame.
    MultiFrame,
    /// A pixel encoding that is not supported.
    UnsupportedEncoding,
    /// A modality other than projection radiography.
    WrongModality,
    /// A body part other than the chest.
    WrongBodyPart,
    /// A projection other than frontal.
    NotFrontal,
    /// Younger than the intended use allows.
    TooYoung,
    /// A picture with colours.
    ColourPicture,
    /// No structure in the pixels.
    BlankFilm,
    /// The pixels do not look like an upright frontal chest film.
    NotAChest,
    /// The film lies on its side or upside down.
    NotUpright,
    /// A fault of the program or the model; the film may be fine.
    InternalFault,
}

/// A refusal: code, detail for the sentence, nothing of the patient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    code: Code,
    /// What exactly was found, in terms of the file format (attribute, value, allowed); language-neutral.
    detail: String,
}

impl Refusal {
    /// A refusal with what was found; `detail` names attribute, value and what was allowed.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// What was found.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// One sentence that says why the film was not read.
    pub fn message(&self, lang: Lang) -> String {
        let (en, zh) = self.code.sentence();
        let sentence = lang.pick(en, zh);
        match (self.detail.is_empty(), lang) {
            (true, _) => sentence.to_owned(),
            (false, Lang::En) => format!("{sentence} ({})", self.detail),
            (false, Lang::Zh) => format!("{sentence}（{}）", self.detail),
        }
    }

    /// What the user can do.
    pub fn remedy(&self, lang: Lang) -> &'static str {
        let (en, zh) = self.code.remedy();
        lang.pick(en, zh)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message(Lang::En))
    }
}

impl std::error::Error for Refusal {}

impl Code {
    /// Every code, for documentation and tests.
    pub const ALL: [Self; 17] = [
        Self::UnreadableFile,
        Self::UnknownFormat,
        Self::DamagedFile,
        Self::TooLarge,
        Self::TooSmall,
        Self::NoPixelData,
        Self::MultiFrame,
        Self::UnsupportedEncoding,
        Self::WrongModality,
        Self::WrongBodyPart,
        Self::NotFrontal,
        Self::TooYoung,
        Self::ColourPicture,
        Self::BlankFilm,
        Self::NotAChest,
        Self::NotUpright,
        Self::InternalFault,
    ];

    /// The code as records carry it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnreadableFile => "unreadable_file",
            Self::UnknownFormat => "unknown_format",
            Self::DamagedFile => "damaged_file",
            Self::TooLarge => "too_large",
            Self::TooSmall => "too_small",
            Self::NoPixelData => "no_pixel_data",
            Self::MultiFrame => "multi_frame",
            Self::UnsupportedEncoding => "unsupported_encoding",
            Self::WrongModality => "wrong_modality",
            Self::WrongBodyPart => "wrong_body_part",
            Self::NotFrontal => "not_frontal",
            Self::TooYoung => "too_young",
            Self::ColourPicture => "colour_picture",
            Self::BlankFilm => "blank_film",
            Self::NotAChest => "not_a_chest",
            Self::NotUpright => "not_upright",
            Self::InternalFault => "internal_fault",
        }
    }

    fn sentence(self) -> (&'static str, &'static str) {
        match self {
            Self::UnreadableFile => ("the file cannot be opened", "无法打开该文件"),
            Self::UnknownFormat => {
                ("the file is neither DICOM nor PNG, JPEG or TIFF", "该文件不是 DICOM、PNG、JPEG 或 TIFF 格式")
            }
            Self::DamagedFile => ("the file is damaged or incomplete", "文件已损坏或不完整"),
            Self::TooLarge => ("the file is larger than a radiograph can be", "文件超出胸片的合理大小"),
            Self::TooSmall => ("the picture is too small to be a radiograph", "图像过小，不是胸片"),
            Self::NoPixelData => ("the DICOM file holds no image", "该 DICOM 文件不含图像"),
            Self::MultiFrame => ("the file holds more than one image", "该文件含有多帧图像"),
            Self::UnsupportedEncoding => ("the way the pixels are stored is not supported", "不支持该像素编码方式"),
            Self::WrongModality => ("not a chest radiograph: another modality", "不是胸部X线片：检查方式不符"),
            Self::WrongBodyPart => ("not a chest radiograph: another body part", "不是胸部X线片：检查部位不符"),
            Self::NotFrontal => ("not a frontal chest radiograph", "不是正位胸片"),
            Self::TooYoung => ("the patient is younger than the model is meant for", "患者年龄低于模型适用年龄"),
            Self::ColourPicture => ("not a radiograph: the picture has colours", "不是X线片：图像为彩色"),
            Self::BlankFilm => ("the film shows nothing", "胸片为空白"),
            Self::NotAChest => ("the picture does not look like a frontal chest radiograph", "图像不像正位胸片"),
            Self::NotUpright => ("the film is not upright", "胸片方向不正"),
            Self::InternalFault => ("the program failed on this film", "程序处理该胸片时出错"),
        }
    }

    fn remedy(self) -> (&'static str, &'static str) {
        match self {
            Self::UnreadableFile => ("check the path and the permissions, then try again", "请检查路径和权限后重试"),
            Self::UnknownFormat => (
                "export the film as DICOM, or as PNG, JPEG or TIFF, and try again",
                "请将胸片导出为 DICOM、PNG、JPEG 或 TIFF 后重试",
            ),
            Self::DamagedFile => ("copy or export the film again from where it came from", "请从原来源重新复制或导出胸片"),
            Self::TooLarge => ("export one film at its own resolution and try again", "请按原始分辨率导出单张胸片后重试"),
            Self::TooSmall => ("send the film itself, not a thumbnail", "请发送原始胸片，不要发送缩略图"),
            Self::NoPixelData => {
                ("send the image of the study, not its report or settings", "请发送检查图像，而不是报告或参数文件")
            }
            Self::MultiFrame => ("send each image as a file of its own", "请将每帧图像单独发送"),
            Self::UnsupportedEncoding => (
                "export the film uncompressed (Explicit VR Little Endian) or as JPEG 2000",
                "请以未压缩（显式VR小端）或 JPEG 2000 方式导出",
            ),
            Self::WrongModality => ("send a CR or DX chest radiograph", "请发送 CR 或 DX 胸片"),
            Self::WrongBodyPart => (
                "send a chest film; if it is one, correct Body Part Examined at the modality",
                "请发送胸片；若确为胸片，请在设备上更正检查部位",
            ),
            Self::NotFrontal => (
                "send a PA or AP film; if it is one, correct View Position at the modality",
                "请发送后前位或前后位胸片；若确为正位，请在设备上更正投照体位",
            ),
            Self::TooYoung => ("have a radiologist read this film without the program", "请由放射科医生直接阅片"),
            Self::ColourPicture => {
                ("export the film in grey, without annotations or screen colours", "请导出灰度胸片，不带标注或屏幕色彩")
            }
            Self::BlankFilm => ("check the exposure and the export, then send the film again", "请检查曝光和导出后重新发送"),
            Self::NotAChest => (
                "send the whole frontal chest film, not cropped; have a radiologist read it if it is one",
                "请发送完整的正位胸片；若确为胸片，请由放射科医生阅片",
            ),
            Self::NotUpright => ("turn the film upright and send it again", "请将胸片转正后重新发送"),
            Self::InternalFault => {
                ("have a radiologist read this film, and send the log to support", "请由放射科医生阅片，并将日志发送给技术支持")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// The codes as others' programs know them, in the order of [`Code::ALL`]; a name that changes here breaks them.
    const NAMES: [&str; 17] = [
        "unreadable_file",
        "unknown_format",
        "damaged_file",
        "too_large",
        "too_small",
        "no_pixel_data",
        "multi_frame",
        "unsupported_encoding",
        "wrong_modality",
        "wrong_body_part",
        "not_frontal",
        "too_young",
        "colour_picture",
        "blank_film",
        "not_a_chest",
        "not_upright",
        "internal_fault",
    ];

    #[test]
    fn every_code_has_the_name_that_others_depend_on() {
        for (code, name) in Code::ALL.into_iter().zip(NAMES) {
            assert_eq!(code.as_str(), name);
            assert_eq!(serde_json::to_value(code).unwrap(), name);
        }
        assert_eq!(Code::ALL.iter().collect::<HashSet<_>>().len(), NAMES.len());
    }

    #[test]
    fn every_code_says_why_and_what_to_do_in_both_languages() {
        let mut sentences = HashSet::new();
        for code in Code::ALL {
            let refusal = Refusal::new(code, "");
            let (why, why_zh) = (refusal.message(Lang::En), refusal.message(Lang::Zh));
            let (remedy, remedy_zh) = (refusal.remedy(Lang::En), refusal.remedy(Lang::Zh));
            for english in [why.as_str(), remedy] {
                assert!(!english.is_empty() && english.is_ascii(), "{code:?}: {english}");
            }
            for chinese in [why_zh.as_str(), remedy_zh] {
                assert!(chinese.chars().any(|c| ('\u{4E00}'..='\u{9FFF}').contains(&c)), "{code:?}: {chinese}");
            }
            assert!(sentences.insert(why.clone()) && sentences.insert(why_zh), "{code:?} says what another code says");
            assert_ne!(why, remedy);
        }
    }

    #[test]
    fn what_was_found_stands_behind_the_sentence_in_the_brackets_of_the_language() {
        let refusal = Refusal::new(Code::TooSmall, "Rows (0028,0010) is 47");
        assert_eq!(refusal.to_string(), "the picture is too small to be a radiograph (Rows (0028,0010) is 47)");
        assert_eq!(refusal.message(Lang::Zh), "图像过小，不是胸片（Rows (0028,0010) is 47）");
    }
}
