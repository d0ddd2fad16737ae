//! The DICOM objects and FHIR bundles of `read` and `watch`: `--sr`, `--sc`, `--gsps`, `--fhir`, a folder each.
//!
//! A film that names no patient and no study gets no DICOM objects: an archive could not file them. It is read all the same,
//! and the run says which films were left out and why.

use super::Failure;
use super::files::write_whole;
use super::pictures::{stem, stems};
use chexbox::lang::Lang;
use chexbox::radiograph::{Lineage, LineageError, Radiograph, uid};
use chexbox::reading::Reading;
use chexbox::report::dicom::{self, Moment, Source};
use chexbox::report::{Display, ReadView, Tile, fhir, shown};
use jiff::Zoned;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Options of `read` and `watch`.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct ObjectArgs {
    /// Write a DICOM structured report (TID 1500) of each film into this folder / DICOM 结构化报告
    #[arg(long, value_name = "DIR")]
    sr: Option<PathBuf>,
    /// Write a DICOM secondary capture with the heat maps of each film into this folder / DICOM 二次截图
    #[arg(long, value_name = "DIR")]
    sc: Option<PathBuf>,
    /// Write a DICOM grayscale presentation state of each film into this folder / DICOM 灰阶显示状态
    #[arg(long, value_name = "DIR")]
    gsps: Option<PathBuf>,
    /// Write a FHIR R4 bundle (DiagnosticReport, Observations) of each film into this folder / FHIR 报告
    #[arg(long, value_name = "DIR")]
    fhir: Option<PathBuf>,
}

/// Whose film it is, found before its bytes are let go.
pub struct Origin {
    sha256: Vec<u8>,
    lineage: Result<Lineage, LineageError>,
}

impl Origin {
    /// Of the bytes of a film's file.
    pub fn of(bytes: &[u8]) -> Self {
        Self { sha256: Sha256::digest(bytes).to_vec(), lineage: Lineage::of(bytes) }
    }

    /// The beginning of its digest.
    fn short(&self) -> String {
        self.sha256.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What was not made of a film, and why.
pub enum Filed {
    /// All that was asked for was written.
    All,
    /// The sentence says what was not.
    NotAll(String),
}

/// Where the objects of each film go.
pub struct ObjectFolders {
    args: ObjectArgs,
    stems: Vec<String>,
}

impl ObjectArgs {
    /// Makes the folders; `None` where no object was asked for.
    ///
    /// # Errors
    /// A sentence, if a folder cannot be made.
    pub fn folders(&self, films: impl Iterator<Item = String>) -> Result<Option<ObjectFolders>, Failure> {
        let named = [("--sr", &self.sr), ("--sc", &self.sc), ("--gsps", &self.gsps), ("--fhir", &self.fhir)];
        let mut any = false;
        for (option, folder) in named {
            let Some(folder) = folder else { continue };
            std::fs::create_dir_all(folder).map_err(|e| format!("{option} {}: {e}", folder.display()))?;
            any = true;
        }
        Ok(any.then(|| ObjectFolders { args: self.clone(), stems: stems(films) }))
    }
}

/// A reading with all that its objects say.
pub struct Made<'a> {
    /// The reading, as reports show it.
    pub view: &'a ReadView<'a>,
    /// The film.
    pub film: &'a Radiograph,
    /// Its findings and heat maps.
    pub reading: &'a Reading,
    /// Whose film it is.
    pub origin: &'a Origin,
    /// Language of the texts.
    pub lang: Lang,
}

impl ObjectFolders {
    /// Whether heat maps are needed.
    pub fn draws(&self) -> bool {
        self.args.sc.is_some() || self.args.gsps.is_some()
    }

    /// Writes the objects of the film at this place of the run.
    ///
    /// # Errors
    /// A sentence, if an object cannot be made or written.
    pub fn write(&self, index: usize, made: &Made) -> Result<Filed, Failure> {
        match self.stems.get(index) {
            Some(stem) => self.write_as(stem, made),
            // Films of one name may come every day: what they are keeps them apart.
            None => self.write_as(&format!("{}-{}", stem(made.view.file), made.origin.short()), made),
        }
    }

    fn write_as(&self, stem: &str, made: &Made) -> Result<Filed, Failure> {
        let (model, at) = (&made.view.manifest.name, now()?);
        let path = |folder: &Path, rest: &str| folder.join(format!("{stem}.{model}.{rest}"));
        if let Some(folder) = &self.args.fhir {
            let bundle =
                fhir::bundle(&fhir::Reading::of(made.view, made.origin.lineage.as_ref().ok(), &made.id(), at, made.lang));
            write_whole(&path(folder, "fhir.json"), &serde_json::to_vec_pretty(&bundle)?)?;
        }
        let lineage = match &made.origin.lineage {
            Ok(lineage) => lineage,
            Err(_) if !(self.draws() || self.args.sr.is_some()) => return Ok(Filed::All),
            Err(why) => return Ok(Filed::NotAll(not_filed(why, made.lang))),
        };
        let source = Source { view: made.view, lineage, film_sha256: &made.origin.sha256, at, lang: made.lang };
        if let Some(folder) = &self.args.sr {
            write_whole(&path(folder, "sr.dcm"), &dicom::structured_report(&source)?.file)?;
        }
        if let Some(folder) = &self.args.sc {
            let object = dicom::secondary_capture(&source, &Display::of(&made.film.grey), &tiles(made.reading))?;
            write_whole(&path(folder, "sc.dcm"), &object.file)?;
        }
        if let Some(folder) = &self.args.gsps {
            match dicom::presentation_state(&source, &made.film.grey, &tiles(made.reading)) {
                Ok(object) => write_whole(&path(folder, "gsps.dcm"), &object.file)?,
                Err(why @ dicom::ObjectError::NotGrey) => return Ok(Filed::NotAll(format!("--gsps: {why}"))),
                Err(why) => return Err(why.into()),
            }
        }
        Ok(Filed::All)
    }
}

impl Made<'_> {
    /// The id of the reading in FHIR: of film and model.
    fn id(&self) -> String {
        uid::derived(&[&self.origin.sha256, self.view.manifest.file.sha256.as_bytes()]).replace("2.25.", "reading-")
    }
}

fn not_filed(why: &LineageError, lang: Lang) -> String {
    match lang {
        Lang::En => format!(
            "read, but no DICOM objects were made: {why}; an archive could not file them. Read the DICOM file of the modality"
        ),
        Lang::Zh => format!("已阅片，但未生成 DICOM 对象：{why}，影像归档系统无法归档。请读取设备输出的 DICOM 文件"),
    }
}

/// The local time.
fn now() -> Result<Moment, Failure> {
    moment(&Zoned::now()).ok_or_else(|| "the clock of this machine shows no date that DICOM can write".into())
}

/// A time as objects have it; none where DICOM cannot write it.
pub fn moment(at: &Zoned) -> Option<Moment> {
    let part = |value: i8| u8::try_from(value).unwrap_or(0);
    let date = (u16::try_from(at.year()).unwrap_or(0), part(at.month()), part(at.day()));
    let time = (part(at.hour()), part(at.minute()), part(at.second()));
    Moment::new(date, time, i16::try_from(at.offset().seconds() / 60).unwrap_or(0))
}

/// The heat maps that objects show.
pub fn tiles(reading: &Reading) -> Vec<Tile<'_>> {
    let heat_of = |at: usize| reading.heat_maps.iter().find(|(i, _)| *i == at).map(|(_, heat)| heat);
    let tile = |at: usize| Some(Tile { finding: reading.findings.get(at)?, heat: heat_of(at)? });
    shown(&reading.findings).into_iter().filter_map(tile).collect()
}
