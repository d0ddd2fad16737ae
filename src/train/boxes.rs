//! Heat maps of the shipped file against boxes that readers drew, on films that no weight was learnt from.
//!
//! In: columns of the label files with boxes. Out: for each trained finding the pointing game and the share of energy
//! ([`crate::evaluation`]). Never: a film of the training part.

use super::TrainError;
use super::data::Part;
use super::evaluate::Head;
use super::label_set::LabelSet;
use super::origin::Origin;
use super::rounding::{Pair, each};
use super::study::Study;
use crate::evaluation::{BoxFigures, MapOnFilm, box_figures, judge};
use crate::labels::{self, BoxColumn, Faults, FindingBox, Request};
use std::collections::HashMap;

/// Figures of the heat maps.
pub struct Boxed {
    /// The columns, as the user named them.
    pub columns: Vec<String>,
    /// [findings]; `None` where no film of val or test has a box of it, or where it is not trained.
    pub figures: Vec<Option<BoxFigures>>,
}

/// The heat maps of `pair`'s integers on the films of val and test that have boxes; `head` holds the classifier's weights,
/// [findings, channels].
///
/// # Errors
/// [`TrainError`] where no label file has one of these columns, a box is not sound, or the network cannot be run.
pub fn boxed(study: &Study, pair: &Pair, head: &[f32], heads: &[Head], columns: &[BoxColumn]) -> Result<Boxed, TrainError> {
    let boxes = read(&study.origins, &study.set, columns)?;
    let films = [Part::Val, Part::Test].into_iter().flat_map(|part| study.films.of(part));
    let films: Vec<(usize, &Vec<FindingBox>)> =
        films.filter_map(|film| Some((film, boxes.get(&study.films.records[film].file)?))).collect();
    let of = |at: usize| -> Result<Vec<Option<MapOnFilm>>, TrainError> {
        let (film, boxes) = films[at];
        let maps = pair.heat_maps(study, film, head)?;
        let judged = study.set.findings.iter().zip(heads).zip(&maps).map(|((finding, head), map)| {
            let shown: Vec<&FindingBox> = boxes.iter().filter(|b| finding.shows(&b.label)).collect();
            (head.operating.is_some() && !shown.is_empty()).then(|| judge(map, &shown))
        });
        Ok(judged.collect())
    };
    let judged = each(films.len(), of)?;
    let figures = (0..heads.len()).map(|f| box_figures(&judged.iter().filter_map(|film| film[f]).collect::<Vec<_>>()));
    let name = |c: &BoxColumn| c.label.as_ref().map_or(c.column.clone(), |label| format!("{} ({label})", c.column));
    Ok(Boxed { columns: columns.iter().map(name).collect(), figures: figures.collect() })
}

/// The boxes by film; a source without one of the columns has none.
fn read(origins: &[Origin], set: &LabelSet, columns: &[BoxColumn]) -> Result<HashMap<String, Vec<FindingBox>>, TrainError> {
    let mut all: HashMap<String, Vec<FindingBox>> = HashMap::new();
    for column in columns {
        let mut anywhere = false;
        for origin in origins {
            let text = std::fs::read_to_string(&origin.labels).map_err(|e| TrainError::file(&origin.labels, e))?;
            if !text.lines().next().unwrap_or_default().split(',').any(|name| name.trim() == column.column) {
                continue;
            }
            anywhere = true;
            let request = Request { boxes: vec![column.clone()], ..Request::default() };
            let mut faults = Faults::default();
            let file = labels::read(text.as_bytes(), set, &request, &mut faults)
                .map_err(|what| TrainError::content(&origin.labels, what))?;
            faults.check(origin.labels.display())?;
            for film in file.films.into_iter().filter(|film| !film.boxes.is_empty()) {
                all.entry(origin.qualify(&film.file)).or_default().extend(film.boxes);
            }
        }
        if !anywhere {
            return Err(TrainError::Run(format!("--boxes {}: no label file has this column", column.column)));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(folder: &std::path::Path, name: &str, text: &str) -> Origin {
        let labels = folder.join(format!("{name}.csv"));
        std::fs::write(&labels, text).unwrap();
        let (train_images, test_images) = (folder.to_owned(), folder.to_owned());
        Origin { name: name.to_owned(), labels, train_images, test_images, loss_weight: 1.0, sampling: 1.0 }
    }

    #[test]
    fn boxes_of_several_columns_and_sources_come_together_by_film() {
        let folder = std::env::temp_dir().join(format!("chexbox-train-boxes-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let set: LabelSet = toml::from_str(
            "name='x'\ntitle_en='x'\ntitle_zh='x'\n[[finding]]\nid='a'\nvariable='var_0'\nen='a'\nzh='a'\ncolumns=['Mass']\n",
        )
        .unwrap();
        let boxes = "file,patient,Mass,named,bare\na,1,1,\"[[\"\"Mass\"\",0,0,512,512]]\",\"[[512,512,512,512]]\"\nb,2,0,,\n";
        let without = "file,patient,Mass\na,1,1\n";
        let sources = [source(&folder, "", boxes), source(&folder, "further", without)];
        let columns: Vec<BoxColumn> = ["named", "bare=Mass"].iter().map(|c| c.parse().unwrap()).collect();
        let found = read(&sources, &set, &columns).unwrap();
        assert_eq!(found.len(), 1, "a film without a box and one of a source without the column have none");
        let of_a: Vec<_> = found["a"].iter().map(|b| (b.left, b.top, set.findings[0].shows(&b.label))).collect();
        assert_eq!(of_a, [(0.0, 0.0, true), (0.5, 0.5, true)]);
        let refused = read(&sources, &set, &["absent".parse().unwrap()]).unwrap_err().to_string();
        assert!(refused.contains("--boxes absent: no label file has this column"), "{refused}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
