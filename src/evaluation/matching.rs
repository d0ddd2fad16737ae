//! Which reading belongs to which labelled film.

use super::readings::Readings;
use crate::labels::path::{FilmIndex, Found};
use crate::labels::{Faults, LabelledFilm};

/// The films of a label file and the readings that belong to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matched {
    /// Positions of the labelled film and of its reading, which may be a refusal.
    pub pairs: Vec<(usize, usize)>,
    /// Labelled films without a reading.
    pub unread: Vec<usize>,
    /// Readings of films that the label file does not name.
    pub unlabelled: Vec<usize>,
}

/// Finds the reading of each labelled film by its path; a path that fits several is a fault.
pub fn match_films(labelled: &[LabelledFilm], readings: &Readings, faults: &mut Faults) -> Matched {
    let index = FilmIndex::new(readings.films.iter().map(|f| f.file.as_str()));
    let mut matched = Matched::default();
    let mut taken: Vec<Option<usize>> = vec![None; readings.films.len()];
    for (i, film) in labelled.iter().enumerate() {
        match index.find(&film.file) {
            Found::One(r) => match taken[r].replace(i) {
                None => matched.pairs.push((i, r)),
                Some(first) => faults.add(
                    film.row,
                    format!("{} and row {} both fit the reading of {}", film.file, labelled[first].row, readings.films[r].file),
                ),
            },
            Found::None => matched.unread.push(i),
            Found::Several(all) => {
                let names: Vec<&str> = all.iter().take(3).map(|&r| readings.films[r].file.as_str()).collect();
                faults.add(film.row, format!("{} fits {} readings: {}", film.file, all.len(), names.join(", ")));
            }
        }
    }
    matched.unlabelled = (0..taken.len()).filter(|&r| taken[r].is_none()).collect();
    matched
}
