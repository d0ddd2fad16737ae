//! Table E.1-1 of DICOM PS3.15: which attribute gets which action.

use dicom_core::Tag;
use std::collections::HashMap;
use std::sync::LazyLock;

/// The table as text: tag (or value/mask of a repeating group), action, keyword.
const TABLE: &str = include_str!("profile.tsv");
/// The edition of the standard that the table is of.
pub const PROFILE_EDITION: &str = "2026c";

/// What happens to an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// X: it goes.
    Remove,
    /// Z: it stays, empty.
    Empty,
    /// D: a value without meaning takes its place.
    Dummy,
    /// U: another UID, the same for the same; of a sequence, in its items.
    Uid,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The attribute, or the value that a repeating group's tag has under the mask.
    pub tag: u32,
    /// Which bits of a tag count.
    pub mask: u32,
    /// What happens to it.
    pub action: Action,
}

struct Table {
    rows: Vec<Row>,
    single: HashMap<u32, Action>,
}

static PROFILE: LazyLock<Table> = LazyLock::new(|| {
    let rows: Vec<Row> = TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(row).collect();
    let single = rows.iter().filter(|row| row.mask == u32::MAX).map(|row| (row.tag, row.action)).collect();
    Table { rows, single }
});

/// Every row, in the order of the tags.
pub fn profile() -> &'static [Row] {
    &PROFILE.rows
}

/// The action for an attribute; `None` where the table does not name it.
pub(super) fn action(tag: Tag) -> Option<Action> {
    let number = u32::from(tag.group()) << 16 | u32::from(tag.element());
    let single = PROFILE.single.get(&number).copied();
    single.or_else(|| PROFILE.rows.iter().find(|row| row.mask != u32::MAX && number & row.mask == row.tag).map(|row| row.action))
}

fn row(line: &str) -> Option<Row> {
    let mut fields = line.split('\t');
    let (tag, action) = (fields.next()?, fields.next()?);
    let (tag, mask) = tag.split_once('/').unwrap_or((tag, "ffffffff"));
    // Where the table leaves a choice by the type of the attribute, the last of them keeps every object valid.
    let action = match action.rsplit('/').next()? {
        "X" => Action::Remove,
        "Z" => Action::Empty,
        "D" => Action::Dummy,
        "U" => Action::Uid,
        _ => return None,
    };
    Some(Row { tag: u32::from_str_radix(tag, 16).ok()?, mask: u32::from_str_radix(mask, 16).ok()?, action })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_a_row() {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!((profile().len(), lines), (655, 655));
        assert!(profile().windows(2).all(|two| two[0].tag < two[1].tag));
    }

    #[test]
    fn attributes_get_the_action_of_the_table() {
        for (tag, want) in [
            (Tag(0x0010, 0x0010), Some(Action::Empty)),  // Patient's Name, Z
            (Tag(0x0010, 0x1010), Some(Action::Remove)), // Patient's Age, X
            (Tag(0x0008, 0x0018), Some(Action::Uid)),    // SOP Instance UID, U
            (Tag(0x0008, 0x0016), None),                 // SOP Class UID
            (Tag(0x0008, 0x0012), Some(Action::Dummy)),  // Instance Creation Date, X/D
            (Tag(0x0008, 0x0022), Some(Action::Empty)),  // Acquisition Date, X/Z
            (Tag(0x0008, 0x2112), Some(Action::Uid)),    // Source Image Sequence, X/Z/U
            (Tag(0x5004, 0x0110), Some(Action::Remove)), // a curve
            (Tag(0x6002, 0x3000), Some(Action::Remove)), // an overlay
            (Tag(0x6002, 0x0010), None),                 // Overlay Rows
            (Tag(0x0028, 0x0010), None),                 // Rows
        ] {
            assert_eq!(action(tag), want, "{tag}");
        }
    }
}
