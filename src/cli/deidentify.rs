//! `chexbox deidentify`: copies of DICOM films without their patients, after PS3.15's Basic Profile.

use super::files::{self, Films, write_whole};
use super::pictures::stems;
use super::read::{locale, parse_lang};
use super::{Exit, Failure, load, say};
use chexbox::lang::Lang;
use chexbox::limits::FILE_BYTES;
use chexbox::radiograph::{Code, Refusal, deidentify};
use std::path::{Path, PathBuf};

/// Length of a key that is drawn, bytes: that of the hash.
const KEY_BYTES: usize = 32;

/// Options of `deidentify`.
#[derive(clap::Args)]
pub struct DeidentifyArgs {
    /// DICOM films, or folders with films at any depth / DICOM 胸片或文件夹
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Folder for the copies, named film-0001.dcm and so on: file names may name patients / 输出文件夹
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Keep the films' own names for the copies / 保留原文件名
    #[arg(long)]
    keep_names: bool,
    /// File with the key (at least 16 bytes) that UIDs are hashed with: films of one patient sent at different times stay together;
    /// unless given, a key is drawn for this run and forgotten / 密钥文件
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Language of texts: en or zh / 语言
    #[arg(long, value_parser = parse_lang)]
    lang: Option<Lang>,
}

/// Runs the verb.
///
/// # Errors
/// A sentence, if the key or the folder cannot be used. A file that cannot be de-identified is named, and is not copied.
pub fn run(args: &DeidentifyArgs) -> Result<Exit, Failure> {
    let lang = args.lang.unwrap_or_else(locale);
    let key = key(args.key.as_deref())?;
    let Films { files, hidden } = files::list(&args.paths)?;
    std::fs::create_dir_all(&args.out).map_err(|e| format!("--out {}: {e}", args.out.display()))?;
    let own = args.keep_names.then(|| stems(files.iter().map(|file| file.display().to_string())));
    let (mut done, mut refused) = (0, 0);
    for (at, file) in files.iter().enumerate() {
        let stem = own.as_ref().and_then(|names| names.get(at).cloned()).unwrap_or_else(|| format!("film-{:04}", at + 1));
        let copy = args.out.join(format!("{stem}.dcm"));
        let shown = file.display();
        match one(file, &copy, &key)? {
            Ok(film) => {
                done += 1;
                say(&match lang {
                    Lang::En => {
                        format!("{shown} -> {}: {} attributes removed, emptied or replaced", copy.display(), film.changed)
                    }
                    Lang::Zh => format!("{shown} -> {}：删除、清空或替换 {} 个属性", copy.display(), film.changed),
                });
                for caution in film.cautions {
                    say(&format!("  {}: {}", lang.pick("caution", "注意"), caution.message(lang)));
                }
            }
            Err(refusal) => {
                refused += 1;
                say(&format!("{shown}: {}; {}", refusal.message(lang), refusal.remedy(lang)));
            }
        }
    }
    say(&match lang {
        Lang::En => format!(
            "{done} films de-identified, {refused} not; {hidden} hidden files left out. The films themselves are unchanged"
        ),
        Lang::Zh => format!("已去标识 {done} 张，未处理 {refused} 张，跳过隐藏文件 {hidden} 个。原文件未改动"),
    });
    Ok(if refused > 0 { Exit::SomeRefused } else { Exit::Done })
}

fn one(file: &Path, copy: &Path, key: &[u8]) -> Result<Result<chexbox::radiograph::Deidentified, Refusal>, Failure> {
    let bytes = match load::read_bounded(file, FILE_BYTES) {
        Ok(bytes) => bytes,
        Err(e) => return Ok(Err(Refusal::new(Code::UnreadableFile, e.to_string()))),
    };
    let clean = match deidentify(&bytes, key) {
        Ok(clean) => clean,
        Err(refusal) => return Ok(Err(refusal)),
    };
    write_whole(copy, &clean.file)?;
    Ok(Ok(clean))
}

fn key(file: Option<&Path>) -> Result<Vec<u8>, Failure> {
    let Some(file) = file else {
        let mut key = vec![0; KEY_BYTES];
        getrandom::fill(&mut key).map_err(|e| format!("no key could be drawn: {e}"))?;
        return Ok(key);
    };
    load::hash_key("--key", file)
}
