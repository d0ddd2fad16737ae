//! `chexbox pixels`: the samples that a DICOM file stores, for checking our decoding against another's.

use super::output::{print, say};
use super::read::{locale, parse_lang};
use super::{Exit, Failure};
use chexbox::lang::Lang;
use chexbox::limits::FILE_BYTES;
use chexbox::radiograph::{Raised, StoredPixels, stored_pixels};
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};

const PIXELS_HELP: &str = "What is written:
  Each sample as the file stores it, before modality LUT, window and polarity, in a grey PNG of 16 bits.
  Signed samples have 32,768 added, for a PNG holds no sign. Colours whose channels are equal come out grey.
  Any DICOM picture of one frame is decoded, not chest films alone; nothing of the patient is printed.

输出内容：
  文件存储的原始像素（未经 modality LUT、窗宽窗位和极性处理），写入 16 位灰度 PNG。
  有符号像素加 32,768（PNG 无符号）。各通道相等的彩色图像输出为灰度。
  不限于胸片，任何单帧 DICOM 图像均可解码；不输出任何患者信息。

Examples / 示例:
  chexbox pixels film.dcm                    the attributes, lowest and highest sample / 属性与像素范围
  chexbox pixels film.dcm --out film.png     also the samples / 并输出像素";

/// Options of `pixels`.
#[derive(clap::Args)]
#[command(after_help = PIXELS_HELP)]
pub struct PixelsArgs {
    /// DICOM file / DICOM 文件
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// PNG file to write (16 bit grey) / 输出文件（16 位灰度 PNG）
    #[arg(long, value_name = "FILE.png")]
    out: Option<PathBuf>,
    /// One JSON object instead of lines / 输出 JSON
    #[arg(long)]
    json: bool,
    /// Language of a refusal: en or zh; after LC_ALL, LC_MESSAGES, LANG unless given / 语言
    #[arg(long, value_parser = parse_lang)]
    lang: Option<Lang>,
}

/// Runs the verb. A file that does not decode ends it as refused films end `read`.
///
/// # Errors
/// A sentence, if the file cannot be opened or the PNG not be written.
pub fn run(args: &PixelsArgs) -> Result<Exit, Failure> {
    let bytes = read(&args.file).map_err(|e| format!("{}: {e}", args.file.display()))?;
    let pixels = match stored_pixels(&bytes) {
        Ok(pixels) => pixels,
        Err(refusal) => {
            let lang = args.lang.unwrap_or_else(locale);
            say(&format!("{}: {}: {}", args.file.display(), refusal.code().as_str(), refusal.message(lang)));
            say(refusal.remedy(lang));
            return Ok(Exit::SomeRefused);
        }
    };
    if let Some(out) = &args.out {
        write(out, &pixels).map_err(|e| format!("{}: {e}", out.display()))?;
    }
    let text = if args.json { object(&pixels) } else { lines(&pixels) };
    print(text.as_bytes())?;
    Ok(Exit::Done)
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // A byte more than allowed shows that the file is too large without reading all of it.
    File::open(path)?.take(FILE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn write(path: &Path, pixels: &StoredPixels) -> Result<(), Failure> {
    let bytes: Vec<u8> = pixels.samples.iter().flat_map(|sample| sample.to_ne_bytes()).collect();
    let mut file = BufWriter::new(File::create(path)?);
    let (width, height) = (u32::try_from(pixels.columns)?, u32::try_from(pixels.rows)?);
    PngEncoder::new(&mut file).write_image(&bytes, width, height, ExtendedColorType::L16)?;
    file.flush()?;
    Ok(())
}

/// Attributes of the header, and what the samples themselves say: names and values.
fn facts(pixels: &StoredPixels) -> Vec<(String, String)> {
    let raised = match pixels.raised {
        Raised::No => "0",
        Raised::By32768 => "32768",
    };
    let sum = pixels.samples.iter().fold(Sha256::new(), |sum, sample| sum.chain_update(sample.to_le_bytes()));
    let digest = sum.finalize().iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    });
    let own = [
        ("added to each sample", raised.to_owned()),
        ("lowest sample", pixels.samples.iter().min().map_or_else(String::new, u16::to_string)),
        ("highest sample", pixels.samples.iter().max().map_or_else(String::new, u16::to_string)),
        ("sha256 of the samples (16 bit, little endian)", digest),
    ];
    let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
    pixels.attributes.iter().cloned().chain(own).collect()
}

fn lines(pixels: &StoredPixels) -> String {
    let facts = facts(pixels);
    let width = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    facts.iter().fold(String::new(), |text, (name, value)| text + &format!("{name:width$}  {value}\n"))
}

fn object(pixels: &StoredPixels) -> String {
    let object: serde_json::Map<_, _> = facts(pixels).into_iter().map(|(name, value)| (name, value.into())).collect();
    serde_json::Value::Object(object).to_string() + "\n"
}
