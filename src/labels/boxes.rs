//! Boxes that a reader drew around findings, as label files carry them: JSON `[[label, x, y, w, h], ...]` or
//! `[[x, y, w, h], ...]`, from the top left corner, in the pixels of a film of 1024 x 1024.

use serde::Deserialize;

/// Side of the film that box coordinates refer to, pixels: that of the public NIH and RSNA films.
pub const BOX_FILM_SIDE: f64 = 1024.0;

/// Names that a public box list writes differently from its own label file (NIH BBox_List_2017.csv).
const ALIASES: [(&str, &str); 1] = [("Infiltrate", "Infiltration")];

/// Most boxes of one film.
const BOXES_MAX: usize = 64;

/// A column with boxes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoxColumn {
    /// Name of the column.
    pub column: String,
    /// What boxes without a label of their own show: a label column or the id of a finding.
    pub label: Option<String>,
}

impl std::str::FromStr for BoxColumn {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (column, label) = text.split_once('=').map_or((text, None), |(c, l)| (c, Some(l.to_owned())));
        Ok(Self { column: column.to_owned(), label })
    }
}

/// One box, as shares of the film's width and height.
#[derive(Clone, Debug, PartialEq)]
pub struct FindingBox {
    /// What it shows.
    pub label: String,
    /// Left edge, in [0, 1].
    pub left: f64,
    /// Upper edge, in [0, 1].
    pub top: f64,
    /// Right edge, in [0, 1].
    pub right: f64,
    /// Lower edge, in [0, 1].
    pub bottom: f64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Named(String, f64, f64, f64, f64),
    Bare(f64, f64, f64, f64),
}

/// The boxes in one cell; none in a blank one.
///
/// # Errors
/// A sentence that says what is allowed.
pub fn parse(cell: &str, column: &BoxColumn) -> Result<Vec<FindingBox>, String> {
    if cell.trim().is_empty() {
        return Ok(Vec::new());
    }
    let form = || format!("{} is {cell:?}, allowed are [[label, x, y, w, h], ...] and [[x, y, w, h], ...]", column.column);
    let written: Vec<Written> = serde_json::from_str(cell).map_err(|_| form())?;
    if written.len() > BOXES_MAX {
        return Err(format!("{} holds {} boxes, allowed are {BOXES_MAX}", column.column, written.len()));
    }
    written.into_iter().map(|b| one(b, column)).collect()
}

fn one(written: Written, column: &BoxColumn) -> Result<FindingBox, String> {
    let (label, x, y, w, h) = match written {
        Written::Named(label, x, y, w, h) => (label, x, y, w, h),
        Written::Bare(x, y, w, h) => {
            let label = column.label.clone().ok_or_else(|| {
                format!(
                    "the boxes of {0} do not say what they show: name the finding, for example --boxes {0}=Pneumonia",
                    column.column
                )
            })?;
            (label, x, y, w, h)
        }
    };
    let label = ALIASES.iter().find(|(from, _)| *from == label).map_or(label, |(_, to)| (*to).to_owned());
    let share = |v: f64| (v / BOX_FILM_SIDE).clamp(0.0, 1.0);
    let found = FindingBox { label, left: share(x), top: share(y), right: share(x + w), bottom: share(y + h) };
    // NaN fails the comparison too.
    if found.right > found.left && found.bottom > found.top {
        Ok(found)
    } else {
        Err(format!("{} has a box x {x}, y {y}, w {w}, h {h}, allowed is one inside a film of 1024 x 1024", column.column))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_with_and_without_a_label_are_shares_of_the_film() {
        let named = parse(r#"[["Infiltrate", 0, 256.0, 512, 512]]"#, &"nih_boxes".parse().unwrap()).unwrap();
        let want = FindingBox { label: "Infiltration".into(), left: 0.0, top: 0.25, right: 0.5, bottom: 0.75 };
        assert_eq!(named, [want]);
        let bare = parse("[[0, 0, 1024, 2000]]", &"rsna_boxes=Pneumonia".parse().unwrap()).unwrap();
        assert_eq!((bare[0].label.as_str(), bare[0].bottom), ("Pneumonia", 1.0));
        assert_eq!(parse(" ", &"x".parse().unwrap()), Ok(vec![]));
    }

    #[test]
    fn what_is_no_box_is_said() {
        let column: BoxColumn = "b".parse().unwrap();
        for (cell, what) in [
            ("[[1,2,3,4]]", "--boxes b=Pneumonia"),
            ("[1,2,3,4]", "allowed are [[label"),
            (r#"[["M",1,2,3]]"#, "allowed are [[label"),
            (r#"[["M",2000,2,3,4]]"#, "inside a film"),
            (r#"[["M",1,2,-3,4]]"#, "inside a film"),
        ] {
            assert!(parse(cell, &column).unwrap_err().contains(what), "{cell}");
        }
    }
}
