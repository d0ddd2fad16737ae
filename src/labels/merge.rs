//! Two label files merged: reports mined from text below, a better source (CT, a second reading) above.
//!
//! In: the base and the override, CSV with a header. Out: every row and column of both; where the override says 0 or 1 it
//! goes before the base, and where the base is blank even its "uncertain" and its other columns do. Beside each label column stands another,
//! `COLUMN@source`, which says where the label is from; each label that was replaced by a different one is listed with both
//! values. Never: a value that is lost, a row that is dropped; agreement is counted before anything is replaced.

use super::faults::Faults;
use super::path::{FilmIndex, Found};
use super::table::{SOURCE_SUFFIX, Table, said};
use crate::stats::Agreement;
use std::collections::BTreeMap;

/// A label file and the name of its source.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The labels.
    pub table: &'a Table,
    /// What the source columns call it: `reports`, `ct`.
    pub name: &'a str,
}

/// How the two files agree on one label column, over the films that both know.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnAgreement {
    /// Label column.
    pub column: String,
    /// Base against override, where both say 0 or 1.
    pub both_known: Agreement,
    /// Known to the base alone.
    pub base_only: usize,
    /// Known to the override alone.
    pub override_only: usize,
    /// Labels that were replaced by a different one.
    pub replaced: usize,
}

/// A label that was replaced by a different one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// Film, or what else the files are joined by.
    pub key: String,
    /// Label column.
    pub column: String,
    /// What the base said.
    pub base: String,
    /// What the override says.
    pub by: String,
}

/// Two label files merged.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    /// The merged labels.
    pub table: Table,
    /// Agreement of each column that both have.
    pub agreement: Vec<ColumnAgreement>,
    /// Labels that were replaced by a different one.
    pub replaced: Vec<Replaced>,
    /// Rows that only the override has; they were added.
    pub added: usize,
    /// Rows that both have.
    pub matched: usize,
}

/// Merges `above` over `base`, joined by the film or by the column `by`.
///
/// # Errors
/// A sentence that names the file, where it lacks the column to join by or has no label; faults of rows go to the two `faults`.
pub fn merge(base: Source, above: Source, by: Option<&str>, faults: [&mut Faults; 2]) -> Result<Merged, String> {
    let key = base.table.key(by).map_err(|e| format!("--base {e}"))?;
    let above_key = above.table.key(by).map_err(|e| format!("--override {e}"))?;
    let (base_labels, above_labels) = (base.table.labels(key), above.table.labels_or_faults(above_key, faults[1]));
    if above_labels.is_empty() {
        return Err("--override has no column with labels: 0, 1, -1 and blanks".to_owned());
    }
    above.table.unique(above_key, faults[1]);
    if by.is_none() {
        base.table.unique(key, faults[0]);
    }
    let mut merged = Merger::new(base, key, &base_labels, above, above_key, &above_labels);
    let match_rows = rows_of(base.table, key, above.table, above_key, by, faults[1]);
    for (a, rows) in match_rows.into_iter().enumerate() {
        if rows.is_empty() {
            merged.add(&above.table.rows[a], above_key);
        }
        for b in rows {
            merged.over(b, &above.table.rows[a]);
        }
    }
    Ok(merged.done)
}

/// For each row of the override, the rows of the base it speaks of: one film, or all that share the value of `by`.
fn rows_of(base: &Table, key: usize, above: &Table, above_key: usize, by: Option<&str>, faults: &mut Faults) -> Vec<Vec<usize>> {
    if by.is_some() {
        let mut of: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (i, row) in base.rows.iter().enumerate() {
            of.entry(row[key].trim()).or_default().push(i);
        }
        return above.rows.iter().map(|r| of.get(r[above_key].trim()).cloned().unwrap_or_default()).collect();
    }
    let index = FilmIndex::new(base.rows.iter().map(|r| r[key].trim()));
    let mut find = |(i, row): (usize, &Vec<String>)| match index.find(row[above_key].trim()) {
        Found::One(b) => vec![b],
        Found::None => Vec::new(),
        Found::Several(all) => {
            faults.add(i + 2, format!("{} fits {} films of the base", row[above_key], all.len()));
            Vec::new()
        }
    };
    above.rows.iter().enumerate().map(&mut find).collect()
}

/// A merge under way.
struct Merger<'a> {
    done: Merged,
    key: usize,
    above: Source<'a>,
    /// Column of the override, its column in the merged table, that of its source, and the position of its agreement.
    labels: Vec<(usize, usize, usize, Option<usize>)>,
    /// Other columns of the override and where they stand in the merged table.
    others: Vec<(usize, usize)>,
    width: usize,
}

impl<'a> Merger<'a> {
    fn new(base: Source, key: usize, base_labels: &[usize], above: Source<'a>, above_key: usize, above_labels: &[usize]) -> Self {
        let mut table = base.table.clone();
        let mut add = |name: String| {
            table.columns.push(name);
            table.columns.len() - 1
        };
        let mut source_of: BTreeMap<usize, usize> = BTreeMap::new();
        for &c in base_labels {
            let name = format!("{}{SOURCE_SUFFIX}", base.table.columns[c]);
            source_of.insert(c, base.table.at(&name).unwrap_or_else(|| add(name)));
        }
        let (mut labels, mut agreement) = (Vec::new(), Vec::new());
        for &c in above_labels {
            let name = &above.table.columns[c];
            let at = base.table.at(name).unwrap_or_else(|| add(name.clone()));
            let source = *source_of.entry(at).or_insert_with(|| {
                let name = format!("{name}{SOURCE_SUFFIX}");
                base.table.at(&name).unwrap_or_else(|| add(name))
            });
            let counted = base.table.at(name).map(|_| agreement.len());
            if counted.is_some() {
                let both_known = Agreement::default();
                agreement.push(ColumnAgreement { column: name.clone(), both_known, base_only: 0, override_only: 0, replaced: 0 });
            }
            labels.push((c, at, source, counted));
        }
        let is_other = |c: usize| !above_labels.contains(&c) && c != above_key;
        let others = (0..above.table.columns.len()).filter(|c| is_other(*c));
        let others =
            others.map(|c| (c, base.table.at(&above.table.columns[c]).unwrap_or_else(|| add(above.table.columns[c].clone()))));
        let others = others.collect();
        let width = table.columns.len();
        for row in &mut table.rows {
            row.resize(width, String::new());
            // A source named by an earlier merge stays.
            for (&label, &source) in source_of.iter().filter(|(label, _)| **label < base.table.columns.len()) {
                if !row[label].trim().is_empty() && row[source].is_empty() {
                    base.name.clone_into(&mut row[source]);
                }
            }
        }
        let done = Merged { table, agreement, replaced: Vec::new(), added: 0, matched: 0 };
        Self { done, key, above, labels, others, width }
    }

    /// Lays a row of the override over row `b`.
    fn over(&mut self, b: usize, row: &[String]) {
        self.done.matched += 1;
        for &(c, at) in &self.others {
            let cell = &mut self.done.table.rows[b][at];
            if cell.trim().is_empty() {
                cell.clone_from(&row[c]);
            }
        }
        for &(c, at, source, counted) in &self.labels {
            let (old, new) = (self.done.table.rows[b][at].clone(), row[c].trim());
            let (before, now) = (said(&old), said(new));
            if let Some(stats) = counted.and_then(|i| self.done.agreement.get_mut(i)) {
                stats.count(before.flatten(), now.flatten());
            }
            let better = matches!(now, Some(Some(_))) || (now.is_some() && old.trim().is_empty());
            if !better {
                continue;
            }
            if before.is_some() && before != now {
                let key = self.done.table.rows[b][self.key].clone();
                let column = self.done.table.columns[at].clone();
                self.done.replaced.push(Replaced { key, column, base: old, by: new.to_owned() });
                if let Some(stats) = counted.and_then(|i| self.done.agreement.get_mut(i)) {
                    stats.replaced += 1;
                }
            }
            new.clone_into(&mut self.done.table.rows[b][at]);
            self.above.name.clone_into(&mut self.done.table.rows[b][source]);
        }
    }

    /// Adds a row that only the override has, with all of its cells.
    fn add(&mut self, row: &[String], above_key: usize) {
        let mut new = vec![String::new(); self.width];
        new[self.key].clone_from(&row[above_key]);
        for &(c, at) in &self.others {
            new[at].clone_from(&row[c]);
        }
        for &(c, at, source, _) in &self.labels {
            new[at].clone_from(&row[c]);
            if !row[c].trim().is_empty() {
                self.above.name.clone_into(&mut new[source]);
            }
        }
        self.done.table.rows.push(new);
        self.done.added += 1;
    }
}

impl ColumnAgreement {
    fn count(&mut self, base: Option<bool>, above: Option<bool>) {
        match (base, above) {
            (Some(true), Some(true)) => self.both_known.both += 1,
            (Some(true), Some(false)) => self.both_known.first_only += 1,
            (Some(false), Some(true)) => self.both_known.second_only += 1,
            (Some(false), Some(false)) => self.both_known.neither += 1,
            (Some(_), None) => self.base_only += 1,
            (None, Some(_)) => self.override_only += 1,
            (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        let mut faults = Faults::default();
        let table = Table::parse(text.as_bytes(), &mut faults).unwrap();
        assert_eq!(faults.lines, Vec::<String>::new());
        table
    }

    fn merged(base: &str, above: &str, by: Option<&str>) -> (Merged, Vec<String>) {
        let (base, above) = (table(base), table(above));
        let (mut a, mut b) = (Faults::default(), Faults::default());
        let of = |table, name| Source { table, name };
        let done = merge(of(&base, "reports"), of(&above, "ct"), by, [&mut a, &mut b]).unwrap();
        (done, [a.lines, b.lines].concat())
    }

    #[test]
    fn the_better_source_goes_before_the_base_and_nothing_is_lost() {
        let (done, faults) = merged(
            "file,patient,note,Mass,Nodule\na,1,x,0,1\nb,2,y,1,\nc,3,z,1,-1\nd,4,,,0\n",
            "file,Mass,Edema\na,1,0\nb,1,\nc,-1,1\nd,-1,\ne,0,1\n",
            None,
        );
        assert_eq!(faults, Vec::<String>::new());
        let text = String::from_utf8(done.table.to_csv().unwrap()).unwrap();
        assert_eq!(
            text,
            "file,patient,note,Mass,Nodule,Mass@source,Nodule@source,Edema,Edema@source\n\
             a,1,x,1,1,ct,reports,0,ct\nb,2,y,1,,ct,,,\nc,3,z,1,-1,reports,reports,1,ct\nd,4,,-1,0,ct,reports,,\ne,,,0,,ct,,1,ct\n"
        );
        assert_eq!((done.matched, done.added), (4, 1));
        let [mass] = &done.agreement[..] else { panic!("{:?}", done.agreement) };
        assert_eq!(mass.both_known, Agreement { both: 1, second_only: 1, ..Agreement::default() });
        assert_eq!((mass.base_only, mass.override_only, mass.replaced), (1, 0, 1));
        let replaced = Replaced { key: "a".into(), column: "Mass".into(), base: "0".into(), by: "1".into() };
        assert_eq!(done.replaced, [replaced]);
    }

    #[test]
    fn a_merge_can_be_merged_again_and_keeps_its_sources() {
        let (first, _) = merged("file,Mass\na,0\nb,0\n", "file,Mass\na,1\n", None);
        let text = String::from_utf8(first.table.to_csv().unwrap()).unwrap();
        let (second, _) = merged(&text, "file,Mass\nb,1\n", None);
        assert_eq!(second.table.rows, [["a", "1", "ct"], ["b", "1", "ct"]]);
    }

    #[test]
    fn one_row_can_speak_of_every_film_of_an_examination() {
        let (done, _) = merged("file,study,Mass\na,7,0\nb,7,\nc,8,0\n", "study,Mass\n7,1\n", Some("study"));
        let labels: Vec<&str> = done.table.rows.iter().map(|r| r[2].as_str()).collect();
        assert_eq!((labels, done.matched), (vec!["1", "1", "0"], 2));
    }

    #[test]
    fn faults_are_named_with_their_rows() {
        let (_, faults) = merged("file,Mass\nx/a,0\ny/a,1\n,1\n", "file,Mass,Edema\na,1,1\nb,0,1\nb,0,many\n", None);
        let all = faults.join("\n");
        for what in ["row 4: file is blank", "row 2: a fits 2 films", "row 4: b stands in row 3", "row 4: Edema is many"] {
            assert!(all.contains(what), "{what} not in\n{all}");
        }
        let (base, above) = (table("file,Mass\na,0\n"), table("file,age\na,61\n"));
        let of = |table, name| Source { table, name };
        let error = merge(of(&base, "r"), of(&above, "c"), None, [&mut Faults::default(), &mut Faults::default()]).unwrap_err();
        assert!(error.contains("no column with labels"), "{error}");
    }
}
