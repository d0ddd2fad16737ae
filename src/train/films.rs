//! The pixels of the label file's films, by the chain of inference: decode, reduce to `detail` px.
//!
//! A film `128/a.jpg` is read from the folder `128`, or from the archive `128.tar` beside it where
//! there is no such folder. Films smaller than `detail` are left out: enlarged, they would be less
//! sharp than the others, and the network would learn where a film came from. Where they are asked for in
//! training all the same, a share of the sharp films must be blurred as they are ([`Films::plane_as_small`]).

use super::TrainError;
use super::data::{Part, Record, Records};
use super::origin::Origin;
use super::random::Random;
use crate::input::{Plane, enlarge, reduce};
use crate::labels::Faults;
use crate::model::Fit;
use crate::radiograph::{Grey, Samples, linear_tone};
use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::{Path, PathBuf};

/// What becomes of films stored smaller than `detail`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Smaller {
    /// They are left out.
    LeaveOut,
    /// Those of the part `train` are enlarged and learnt from; this share of the sharp films is blurred as they are.
    Blur {
        /// 0 to 1.
        share: f32,
    },
}

/// Films in memory, each `detail` x `detail` greys of 16 bit (a step of 1/65535 is far below a JPEG's noise).
pub struct Films {
    /// Side of each film, pixels.
    pub detail: usize,
    /// The films that were kept, in the order of the label file.
    pub records: Vec<Record>,
    planes: Vec<Vec<u16>>,
    /// For each film the side it was stored with where that is less than `detail`.
    small: Vec<Option<usize>>,
    /// Films left out because they are smaller than `detail`.
    pub too_small: usize,
    /// What became of smaller films.
    pub smaller: Smaller,
}

impl Films {
    /// Reads every film of `records`; one that is missing or cannot be decoded is added to the faults of its origin.
    ///
    /// # Errors
    /// [`TrainError`] where an archive cannot be read.
    pub fn load(
        records: &Records,
        origins: &[Origin],
        detail: usize,
        smaller: Smaller,
        faults: &mut [Faults],
        mut seen: impl FnMut(usize),
    ) -> Result<Self, TrainError> {
        let mut wanted: BTreeMap<Source, HashMap<String, usize>> = BTreeMap::new();
        for (i, film) in records.films.iter().enumerate() {
            let origin = &origins[film.origin];
            let root = if film.part == Part::Test { &origin.test_images } else { &origin.train_images };
            let file = origin.plain(&film.file);
            wanted.entry(Source::of(root, file)).or_default().insert(file.to_owned(), i);
        }
        let mut planes: Vec<Option<(Vec<u16>, Option<usize>)>> = vec![None; records.films.len()];
        let (mut too_small, mut count) = (0, 0);
        for (source, files) in wanted {
            source.read(files, |i, bytes| {
                match bytes.and_then(|b| decode(&b)) {
                    Ok(film) => {
                        let side = Some(film.width().min(film.height())).filter(|side| *side < detail);
                        if side.is_some() && (smaller == Smaller::LeaveOut || records.films[i].part != Part::Train) {
                            too_small += 1;
                        } else {
                            planes[i] = Some((stored(&reduce(&film, detail, Fit::Stretch)), side));
                        }
                    }
                    Err(what) => {
                        let film = &records.films[i];
                        faults[film.origin].add(film.row, format!("{}: {what}", origins[film.origin].plain(&film.file)));
                    }
                }
                count += 1;
                seen(count);
            })?;
        }
        let kept = records.films.iter().zip(planes).filter_map(|(r, p)| Some((r.clone(), p?)));
        let (records, planes): (Vec<_>, Vec<_>) = kept.unzip();
        let (planes, small) = planes.into_iter().unzip();
        Ok(Self { detail, records, planes, small, too_small, smaller })
    }

    /// Films drawn by code, for the smoke test: those of `records`, each the plane that `draw` gives.
    pub fn drawn(records: Vec<Record>, detail: usize, draw: impl Fn(&Record) -> Plane) -> Self {
        let planes: Vec<Vec<u16>> = records.iter().map(|r| stored(&draw(r))).collect();
        let small = vec![None; planes.len()];
        Self { detail, records, planes, small, too_small: 0, smaller: Smaller::LeaveOut }
    }

    /// Film `i` at `side` x `side`, greys in [0, 1].
    pub fn plane(&self, i: usize, side: usize) -> Plane {
        enlarge(&self.stored(i), side)
    }

    /// Film `i` as it would be had it been stored with `small` pixels a side.
    pub fn plane_as_small(&self, i: usize, small: usize, side: usize) -> Plane {
        enlarge(&enlarge(&enlarge(&self.stored(i), small), self.detail), side)
    }

    fn stored(&self, i: usize) -> Plane {
        Plane { side: self.detail, values: self.planes[i].iter().map(|v| f32::from(*v) / 65535.0).collect() }
    }

    /// Film `i` as training sees it: of the sharp ones, the stated share as small as a random one of the small.
    pub fn plane_to_learn(&self, i: usize, side: usize, random: &mut Random) -> Plane {
        let Smaller::Blur { share } = self.smaller else { return self.plane(i, side) };
        let (lot, which) = (random.unit(), random.bits());
        if self.small[i].is_some() || lot >= share {
            return self.plane(i, side);
        }
        let sides: Vec<usize> = self.small.iter().flatten().copied().collect();
        match sides.len() {
            0 => self.plane(i, side),
            n => self.plane_as_small(i, sides[(which % n as u64) as usize], side),
        }
    }

    /// Films that are learnt from though they are smaller than `detail`.
    pub fn small(&self) -> usize {
        self.small.iter().flatten().count()
    }

    /// Indices of a part's films.
    pub fn of(&self, part: Part) -> Vec<usize> {
        (0..self.records.len()).filter(|&i| self.records[i].part == part).collect()
    }

    /// The records of the films that were kept, as a label file of their own.
    pub fn kept(&self, columns: &[Vec<String>]) -> Records {
        Records { films: self.records.clone(), columns: columns.to_vec(), laterals: 0 }
    }
}

fn stored(plane: &Plane) -> Vec<u16> {
    plane.values.iter().map(|v| (v.clamp(0.0, 1.0) * 65535.0).round() as u16).collect()
}

/// Where films are read from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Folder(PathBuf),
    Archive(PathBuf),
}

impl Source {
    fn of(root: &Path, file: &str) -> Self {
        if let Some((first, _)) = file.split_once('/') {
            let archive = root.join(format!("{first}.tar"));
            if !root.join(first).is_dir() && archive.is_file() {
                return Self::Archive(archive);
            }
        }
        Self::Folder(root.to_owned())
    }

    /// Gives the bytes of each wanted file to `take`, or why there are none.
    fn read(
        self,
        mut files: HashMap<String, usize>,
        mut take: impl FnMut(usize, Result<Vec<u8>, String>),
    ) -> Result<(), TrainError> {
        match self {
            Self::Folder(root) => {
                for (file, i) in files {
                    take(i, std::fs::File::open(root.join(file)).and_then(bounded).map_err(|e| e.to_string()));
                }
            }
            Self::Archive(path) => {
                let file = std::fs::File::open(&path).map_err(|e| TrainError::file(&path, e))?;
                let mut archive = tar::Archive::new(std::io::BufReader::with_capacity(1 << 20, file));
                for entry in archive.entries().map_err(|e| TrainError::file(&path, e))? {
                    let entry = entry.map_err(|e| TrainError::file(&path, e))?;
                    let name = entry.path().map(|p| p.to_string_lossy().into_owned()).unwrap_or_default();
                    if let Some(i) = files.remove(&name) {
                        take(i, bounded(entry).map_err(|e| e.to_string()));
                    }
                }
                for i in files.into_values() {
                    take(i, Err(format!("not in {}", path.display())));
                }
            }
        }
        Ok(())
    }
}

fn bounded(source: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(crate::limits::FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A JPEG or PNG of 8 or 16 bit as a film with a linear tone.
fn decode(bytes: &[u8]) -> Result<Grey, String> {
    let picture = image::load_from_memory(bytes).map_err(|e| e.to_string())?;
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let film = match picture {
        image::DynamicImage::ImageLuma16(p) => Grey::new(width, height, Samples::U16(p.into_raw()), linear_tone(1 << 16)),
        other => Grey::new(width, height, Samples::U8(other.into_luma8().into_raw()), linear_tone(1 << 8)),
    };
    film.ok_or_else(|| format!("{width} x {height} pixels, allowed is at least one"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::data::Truth;

    fn jpeg(side: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let picture = image::GrayImage::from_fn(side, side, |x, y| image::Luma([(x + y) as u8]));
        image::codecs::jpeg::JpegEncoder::new(&mut bytes).encode_image(&picture).unwrap();
        bytes
    }

    fn record(row: usize, file: &str) -> Record {
        Record { row, file: file.to_owned(), truths: vec![Truth::Unknown], ..Record::default() }
    }

    fn load(records: &Records, root: &Path, smaller: Smaller) -> (Films, Vec<String>) {
        let (name, labels) = (String::new(), root.join("labels.csv"));
        let (train_images, test_images) = (root.to_owned(), root.to_owned());
        let origin = Origin { name, labels, train_images, test_images, loss_weight: 1.0, sampling: 1.0 };
        let mut faults = [Faults::default()];
        let films = Films::load(records, &[origin], 48, smaller, &mut faults, |_| ()).unwrap();
        let [faults] = faults;
        (films, faults.lines)
    }

    #[test]
    fn films_come_from_an_archive_where_the_folder_is_missing_and_missing_ones_are_all_named() {
        let root = std::env::temp_dir().join(format!("chexbox-films-{}", std::process::id()));
        std::fs::create_dir_all(root.join("loose")).unwrap();
        std::fs::write(root.join("loose/b.jpg"), jpeg(64)).unwrap();
        std::fs::write(root.join("loose/small.jpg"), jpeg(32)).unwrap();
        let mut archive = tar::Builder::new(std::fs::File::create(root.join("packed.tar")).unwrap());
        let bytes = jpeg(48);
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, "packed/a.jpg", bytes.as_slice()).unwrap();
        archive.finish().unwrap();

        let films = vec![record(2, "packed/a.jpg"), record(3, "loose/b.jpg"), record(4, "loose/small.jpg")];
        let mut records = Records { films, ..Records::default() };
        let (loaded, faults) = load(&records, &root, Smaller::LeaveOut);
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!((loaded.records.len(), loaded.too_small), (2, 1));
        let (with_small, _) = load(&records, &root, Smaller::Blur { share: 1.0 });
        assert_eq!((with_small.records.len(), with_small.too_small, with_small.small()), (3, 0, 1));
        let mut random = Random::of(&[1]);
        assert_eq!(with_small.plane_to_learn(0, 48, &mut random), with_small.plane_as_small(0, 32, 48));
        assert_eq!(with_small.plane_to_learn(2, 48, &mut random), with_small.plane(2, 48));
        let plane = loaded.plane(0, 48);
        let exact = reduce(&decode(&bytes).unwrap(), 48, Fit::Stretch);
        assert!(plane.values.iter().zip(&exact.values).all(|(a, b)| (a - b).abs() < 1e-5));

        records.films.extend([record(5, "packed/none.jpg"), record(6, "loose/none.jpg")]);
        let error = load(&records, &root, Smaller::LeaveOut).1.join(
            "
",
        );
        assert!(error.contains("row 5: packed/none.jpg") && error.contains("row 6: loose/none.jpg"), "{error}");
        std::fs::remove_dir_all(root).unwrap();
    }
}
