//! Whether two paths name one film: a label file says `128/a.jpg`, a record `/data/pool/128/a.jpg`.

use std::collections::BTreeMap;

/// The parts of a path from its last to its first.
fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.rsplit(['/', '\\']).filter(|p| !p.is_empty() && *p != ".")
}

/// Whether one path ends with the whole of the other.
pub fn same_film(a: &str, b: &str) -> bool {
    parts(a).next().is_some() && parts(b).next().is_some() && parts(a).zip(parts(b)).all(|(x, y)| x == y)
}

/// Films by their paths, to find one that another file names in its own way.
#[derive(Debug)]
pub struct FilmIndex<'a> {
    by_name: BTreeMap<&'a str, Vec<(usize, &'a str)>>,
}

/// What an index says about a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The film at this position.
    One(usize),
    /// No film.
    None,
    /// Several films end like this path.
    Several(Vec<usize>),
}

impl<'a> FilmIndex<'a> {
    /// An index of the films at these paths.
    pub fn new(paths: impl IntoIterator<Item = &'a str>) -> Self {
        let mut by_name: BTreeMap<&str, Vec<(usize, &str)>> = BTreeMap::new();
        for (i, path) in paths.into_iter().enumerate() {
            by_name.entry(parts(path).next().unwrap_or("")).or_default().push((i, path));
        }
        Self { by_name }
    }

    /// The film that `path` names: the one written just so, else the one that ends like it.
    pub fn find(&self, path: &str) -> Found {
        let none = Vec::new();
        let named = self.by_name.get(parts(path).next().unwrap_or("")).unwrap_or(&none);
        if let Some((i, _)) = named.iter().find(|(_, p)| *p == path) {
            return Found::One(*i);
        }
        let fits: Vec<usize> = named.iter().filter(|(_, p)| same_film(p, path)).map(|(i, _)| *i).collect();
        match fits[..] {
            [] => Found::None,
            [one] => Found::One(one),
            _ => Found::Several(fits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_film_is_found_by_the_end_of_its_path() {
        for (a, b, same) in [
            ("128/a.jpg", "/pool/128/a.jpg", true),
            ("a.jpg", "128/a.jpg", true),
            ("./a.jpg", "a.jpg", true),
            ("256/a.jpg", "128/a.jpg", false),
            ("a.jpg", "aa.jpg", false),
            ("", "a.jpg", false),
        ] {
            assert_eq!(same_film(a, b), same, "{a} {b}");
        }
        let index = FilmIndex::new(["x/128/a.jpg", "x/256/a.jpg", "b.jpg"]);
        assert_eq!(index.find("256/a.jpg"), Found::One(1));
        assert_eq!(index.find("/far/b.jpg"), Found::One(2));
        assert_eq!(index.find("a.jpg"), Found::Several(vec![0, 1]));
        assert_eq!(index.find("c.jpg"), Found::None);
    }
}
