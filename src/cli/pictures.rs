//! The pictures of `read --heatmaps DIR`: an overlay for each positive finding and a contact sheet for each film.

use super::Failure;
use chexbox::lang::Lang;
use chexbox::radiograph::Radiograph;
use chexbox::reading::Reading;
use chexbox::report::record::{HeatMapFiles, OverlayFile};
use chexbox::report::{Display, ReadView, Tile, overlay, sheet, shown};
use chexbox::threads;
use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Longest stem taken from a film's name, characters: file systems end at 255 bytes.
const STEM_CHARS_MAX: usize = 60;

/// Where the pictures of each film go: a stem of its own for every film, whatever the folders they lie in.
pub struct PictureNames {
    folder: PathBuf,
    stems: Vec<String>,
}

impl PictureNames {
    /// Makes the folder and gives each film, in order, a stem.
    ///
    /// # Errors
    /// A sentence, if the folder cannot be made.
    pub fn new(folder: &Path, films: impl Iterator<Item = String>) -> Result<Self, Failure> {
        std::fs::create_dir_all(folder).map_err(|e| format!("--heatmaps {}: {e}", folder.display()))?;
        Ok(Self { folder: folder.to_owned(), stems: stems(films) })
    }

    fn path(&self, film: usize, rest: &str) -> PathBuf {
        let stem = self.stems.get(film).map_or("film", String::as_str);
        self.folder.join(format!("{stem}.{rest}.png"))
    }
}

/// Writes the pictures of one reading; gives the names of the files.
///
/// # Errors
/// A sentence, if a picture cannot be drawn or written.
pub fn write(
    names: &PictureNames,
    index: usize,
    film: &Radiograph,
    view: &ReadView,
    reading: &Reading,
    lang: Lang,
) -> Result<HeatMapFiles, Failure> {
    let display = Display::of(&film.grey);
    let model = &view.manifest.name;
    let save = |rest: &str, png: Vec<u8>| -> Result<String, Failure> {
        let path = names.path(index, rest);
        replace(&path, &png).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(path.display().to_string())
    };
    let positive: Vec<_> = reading
        .heat_maps
        .iter()
        .filter_map(|(at, heat)| Some((heat, reading.findings.get(*at).filter(|finding| finding.is_positive())?)))
        .collect();
    let drawn = threads::map(positive.len(), |i| {
        let (heat, finding) = positive[i];
        overlay(&display, heat, finding, view.manifest, lang)
    });
    let mut overlays = Vec::new();
    for ((_, finding), png) in positive.iter().zip(drawn) {
        overlays.push(OverlayFile { finding: finding.id.clone(), file: save(&format!("{model}.{}", finding.id), png?)? });
    }
    let heat_of = |at: usize| reading.heat_maps.iter().find(|(i, _)| *i == at).map(|(_, heat)| heat);
    let tiles: Vec<Tile> = shown(&reading.findings)
        .into_iter()
        .filter_map(|at| Some(Tile { finding: reading.findings.get(at)?, heat: heat_of(at)? }))
        .collect();
    let sheet = save(&format!("{model}.sheet"), sheet(view, &display, &tiles, lang)?)?;
    Ok(HeatMapFiles { sheet, overlays })
}

/// A stem for each film, in order, that no other of them has.
pub fn stems(films: impl Iterator<Item = String>) -> Vec<String> {
    distinct(films.map(|f| stem(&f)).collect())
}

/// Writes a file in place of what stands there, whole or not at all; a link is replaced and not followed.
fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let part = path.with_extension("png.part");
    match std::fs::remove_file(&part) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = std::fs::File::create_new(&part)?;
    file.write_all(content)?;
    std::fs::rename(&part, path)
}

/// The name of a film's file without folders and last extension, letters and digits of any script kept; whatever else
/// stands there (line ends, terminal codes, marks that turn the text round) becomes an underscore.
pub fn stem(film: &str) -> String {
    let stem = Path::new(film).file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
    let plain = |c: char| if c.is_alphanumeric() || "-_. ()+".contains(c) { c } else { '_' };
    let short: String = stem.chars().take(STEM_CHARS_MAX).map(plain).collect();
    if short.is_empty() { "film".to_owned() } else { short }
}

/// Numbers the names that occur more than once, also against those that look numbered already.
fn distinct(stems: Vec<String>) -> Vec<String> {
    // Compared without case: the folder may lie on a stick that does not tell cases apart.
    let mut taken: HashMap<String, usize> = HashMap::new();
    for stem in &stems {
        *taken.entry(stem.to_lowercase()).or_default() += 1;
    }
    let mut used: HashMap<String, usize> = HashMap::new();
    stems
        .into_iter()
        .map(|stem| {
            let count = used.entry(stem.to_lowercase()).or_default();
            *count += 1;
            let mut number = *count;
            let mut name = if number == 1 { stem.clone() } else { format!("{stem}-{number}") };
            while number > 1 && taken.contains_key(&name.to_lowercase()) {
                number += 1;
                name = format!("{stem}-{number}");
            }
            taken.insert(name.to_lowercase(), 1);
            name
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_films_share_a_stem() {
        let films = ["a/x.png", "b/x.dcm", "x-2.png", "c/X.png", "日本/胸.dcm", "/", "y.tar.gz", "x.png"];
        let names = distinct(films.iter().map(|f| stem(f)).collect());
        let mut lower: Vec<String> = names.iter().map(|n| n.to_lowercase()).collect();
        lower.sort();
        lower.dedup();
        assert_eq!(lower.len(), films.len(), "{names:?}");
        assert_eq!((names[0].as_str(), names[2].as_str(), names[4].as_str(), names[6].as_str()), ("x", "x-2", "胸", "y.tar"));
    }

    #[test]
    fn a_link_in_the_folder_is_replaced_and_not_followed() {
        let folder = std::env::temp_dir().join(format!("chexbox-link-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (precious, link) = (folder.join("precious"), folder.join("a.png"));
        std::fs::write(&precious, b"precious").unwrap();
        std::os::unix::fs::symlink(&precious, &link).unwrap();
        replace(&link, b"picture").unwrap();
        assert_eq!(
            (std::fs::read(&precious).unwrap(), std::fs::read(&link).unwrap()),
            (b"precious".to_vec(), b"picture".to_vec())
        );
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_name_holds_no_codes_for_a_terminal() {
        assert_eq!(stem("a\n\u{1b}[31m\u{202e}b.dcm"), "a___31m_b");
    }

    #[test]
    fn a_long_name_is_cut() {
        assert_eq!(stem(&format!("{}.png", "肺".repeat(300))).chars().count(), STEM_CHARS_MAX);
    }
}
