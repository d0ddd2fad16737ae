//! The public pool of chest films: `labels.csv` and a tar of JPEG files for each stored size.
//!
//! In: the folder. Out: each film reduced to the gate's coarse plane, with its part of the split.
//! A film that the table does not know is left out.

use super::GateTrainError;
use crate::input::{Plane, reduce};
use crate::limits;
use crate::model::Fit;
use crate::radiograph::gate::COARSE;
use crate::radiograph::{Grey, Samples, linear_tone};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The tars, one for each stored size.
const TARS: [&str; 3] = ["64.tar", "128.tar", "256.tar"];

/// Which part of the pool a film belongs to; no patient is in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Split {
    /// Films to learn from.
    Train,
    /// Films to choose thresholds on.
    Val,
}

/// A film of the pool.
pub(super) struct PoolFilm {
    /// Name in the table, for example `64/00000001_000.jpg`.
    pub name: String,
    /// Its part.
    pub split: Split,
    /// Greys, 96 x 96.
    pub plane: Plane,
}

/// Hands every film to `take`, in the order of the tars.
pub(super) fn each_film(pool: &Path, mut take: impl FnMut(PoolFilm)) -> Result<(), GateTrainError> {
    let splits = read_splits(&pool.join("labels.csv"))?;
    for tar in TARS {
        let path = pool.join(tar);
        let failed = |e: std::io::Error| GateTrainError::Pool { path: path.clone(), why: e.to_string() };
        let mut archive = tar::Archive::new(File::open(&path).map_err(failed)?);
        for entry in archive.entries().map_err(failed)? {
            let mut entry = entry.map_err(failed)?;
            let name = entry.path().map_err(failed)?.to_string_lossy().into_owned();
            let Some(split) = splits.get(name.trim_start_matches("./")) else { continue };
            let mut bytes = Vec::new();
            entry.by_ref().take(limits::FILE_BYTES).read_to_end(&mut bytes).map_err(failed)?;
            let plane = decode(&bytes).map_err(|why| GateTrainError::Film { name: name.clone(), why })?;
            take(PoolFilm { name, split: *split, plane });
        }
    }
    Ok(())
}

fn read_splits(path: &Path) -> Result<HashMap<String, Split>, GateTrainError> {
    #[derive(serde::Deserialize)]
    struct Row {
        file: String,
        split: String,
    }
    let failed = |why: String| GateTrainError::Pool { path: path.to_owned(), why };
    let mut table = csv::Reader::from_path(path).map_err(|e| failed(e.to_string()))?;
    let mut splits = HashMap::new();
    for row in table.deserialize::<Row>() {
        let row = row.map_err(|e| failed(e.to_string()))?;
        let split = match row.split.as_str() {
            "train" => Split::Train,
            "val" => Split::Val,
            other => return Err(failed(format!("split of {} is {other:?}, allowed are train and val", row.file))),
        };
        splits.insert(row.file, split);
    }
    Ok(splits)
}

fn decode(jpeg: &[u8]) -> Result<Plane, String> {
    let picture = image::load_from_memory_with_format(jpeg, image::ImageFormat::Jpeg).map_err(|e| e.to_string())?.into_luma8();
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let film = Grey::new(width, height, Samples::U8(picture.into_raw()), linear_tone(256)).ok_or("the picture is empty")?;
    Ok(reduce(&film, COARSE, Fit::Stretch))
}
