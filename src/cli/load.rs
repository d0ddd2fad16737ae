//! What a command line names: models (a name, `all`, or a folder with a bundle), threshold files, keys.

use super::{Failure, WrongCommandLine};
use chexbox::evaluation::ThresholdFile;
use chexbox::limits::{DEIDENTIFY_KEY_BYTES_MIN, MANIFEST_BYTES_MAX, MODEL_BYTES_MAX};
use chexbox::model::{Bundle, MANIFEST_FILE, Manifest};
use std::borrow::Cow;
use std::io::Read;
use std::path::Path;

/// The bundles behind `--model`.
///
/// # Errors
/// A sentence that names the models there are.
pub fn bundles(model: &str) -> Result<Vec<Bundle>, Failure> {
    if model == "all" {
        return Bundle::embedded_names().filter_map(Bundle::embedded).map(|b| b.map_err(Into::into)).collect();
    }
    if let Some(bundle) = Bundle::embedded(model) {
        return Ok(vec![bundle?]);
    }
    let folder = Path::new(model);
    if folder.is_dir() {
        return Ok(vec![from_folder(folder)?]);
    }
    let names: Vec<_> = Bundle::embedded_names().collect();
    let names = names.join(", ");
    let what = format!("--model {model}: neither a model of this binary ({names}, all) nor a folder with a {MANIFEST_FILE}");
    Err(WrongCommandLine(what).into())
}

/// The one bundle of this name or in this folder.
///
/// # Errors
/// A sentence that names the models there are.
pub fn one(model: &str) -> Result<Bundle, Failure> {
    match bundles(model)?.pop() {
        Some(bundle) if model != "all" => Ok(bundle),
        _ => Err(WrongCommandLine("name one model here, not all".to_owned()).into()),
    }
}

fn from_folder(folder: &Path) -> Result<Bundle, Failure> {
    let at = |file: &str| folder.join(file);
    let manifest =
        read_bounded(&at(MANIFEST_FILE), MANIFEST_BYTES_MAX).map_err(|e| format!("{}: {e}", at(MANIFEST_FILE).display()))?;
    let manifest = String::from_utf8(manifest).map_err(|e| format!("{}: {e}", at(MANIFEST_FILE).display()))?;
    let bundle =
        Bundle::checked(&manifest, |file| read_bounded(&at(file), MODEL_BYTES_MAX).map(Cow::Owned).map_err(|e| e.to_string()));
    bundle.map_err(|e| format!("{}: {e}", folder.display()).into())
}

/// The threshold file at `path`, which must be of one of the models in use.
///
/// # Errors
/// A sentence that names the file, and both models where it was chosen for another.
pub fn thresholds(path: &Path, models: &[&Manifest]) -> Result<ThresholdFile, Failure> {
    let at = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let text = read_bounded(path, MANIFEST_BYTES_MAX).map_err(|e| at(&e))?;
    let file = ThresholdFile::parse(&String::from_utf8(text).map_err(|e| at(&e))?).map_err(|e| at(&e))?;
    let refused = models.iter().map(|m| file.check(m)).collect::<Result<Vec<()>, _>>();
    match models.iter().any(|m| file.check(m).is_ok()) {
        true => Ok(file),
        false => Err(at(&refused.err().map(|e| e.to_string()).unwrap_or_default()).into()),
    }
}

/// The key that patients' ids and UIDs are hashed with; `option` is how the user named the file.
///
/// # Errors
/// A sentence that says how to make one.
pub fn hash_key(option: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    let at = format!("{option} {}", path.display());
    let make = format!("make one of {DEIDENTIFY_KEY_BYTES_MIN} bytes or more, for example: head -c 32 /dev/urandom > key");
    let key = read_bounded(path, MANIFEST_BYTES_MAX).map_err(|e| WrongCommandLine(format!("{at}: {e}; {make}")))?;
    if key.len() < DEIDENTIFY_KEY_BYTES_MIN {
        let what = format!("{at}: {} bytes, at least {DEIDENTIFY_KEY_BYTES_MIN} are needed; {make}", key.len());
        return Err(WrongCommandLine(what).into());
    }
    Ok(key)
}

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// What the system said, or that the file is larger.
pub fn read_bounded(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    // A device, a pipe or a folder has no size to check and may never end; opening a pipe may wait for ever.
    let about = std::fs::metadata(path)?;
    if !about.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    let (size, file) = (about.len(), std::fs::File::open(path)?);
    if size > limit {
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, format!("{size} bytes, at most {limit} are allowed")));
    }
    let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    file.take(limit).read_to_end(&mut content)?;
    Ok(content)
}
