//! `chexbox labels merge`: the better source goes before the base, every label says where it is from, and nothing is lost.

use super::run::{Scratch, chexbox, stderr, stdout};
use super::synthetic::record;
use std::process::Output;

fn merge(scratch: &Scratch, base: &str, above: &str, more: &[&str]) -> Output {
    std::fs::write(scratch.join("reports.csv"), base).unwrap();
    std::fs::write(scratch.join("ct.csv"), above).unwrap();
    let mut command = chexbox(&["labels", "merge", "--base"]);
    command.arg(scratch.join("reports.csv")).arg("--override").arg(scratch.join("ct.csv"));
    command.arg("--out").arg(scratch.join("merged.csv")).args(more).output().unwrap()
}

const BASE: &str = "file,patient,note,Mass,Nodule\na.png,1,\"one, two\",0,1\nb.png,2,,1,\nc.png,3,,0,0\n";
const CT: &str = "file,Mass\na.png,1\nb.png,1\nd.png,0\n";

#[test]
fn each_label_of_the_merged_file_says_its_source_and_replaced_ones_are_kept() {
    let scratch = Scratch::new("labels-merge");
    let output = merge(&scratch, BASE, CT, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let merged = std::fs::read_to_string(scratch.join("merged.csv")).unwrap();
    assert_eq!(
        merged,
        "file,patient,note,Mass,Nodule,Mass@source,Nodule@source\na.png,1,\"one, two\",1,1,ct,reports\nb.png,2,,1,,ct,\n\
         c.png,3,,0,0,reports,reports\nd.png,,,0,,ct,\n"
    );
    assert_eq!(
        std::fs::read_to_string(scratch.join("merged.replaced.csv")).unwrap(),
        "key,column,base,override\na.png,Mass,0,1\n"
    );
    let said = stdout(&output);
    assert!(said.contains("2 rows of ct matched, 1 added"), "{said}");
    let row: Vec<&str> = said.lines().find(|l| l.trim_start().starts_with("Mass")).unwrap().split_whitespace().collect();
    // Both 1, base alone 1, override alone 1, both 0, agreement, kappa, replaced, known to one alone.
    assert_eq!(row, ["Mass", "1", "0", "1", "0", "0.500", "0.000", "1", "0", "0"]);
}

#[test]
fn the_merged_file_is_a_label_file_like_any_other() {
    let scratch = Scratch::new("labels-use");
    merge(&scratch, BASE, CT, &[]);
    let films = ["a", "b", "c", "d"].map(|f| record("findings10", &format!("{f}.png"), |_| 0.3)).concat();
    std::fs::write(scratch.join("readings.jsonl"), films).unwrap();
    let mut command = chexbox(&["evaluate", "--csv", "--labels"]);
    let output = command.arg(scratch.join("merged.csv")).arg("--readings").arg(scratch.join("readings.jsonl")).output().unwrap();
    assert!(stdout(&output).contains(",all,lung_lesion,4,2,"), "{} {}", stdout(&output), stderr(&output));
}

#[test]
fn a_file_with_faults_writes_nothing_and_says_all_of_them() {
    let scratch = Scratch::new("labels-faults");
    let output = merge(&scratch, "file,Mass\na.png,0\n,1\na.png\n", "file,Mass\na.png,1\na.png,0\nb.png,often\nc.png,1\n", &[]);
    assert_eq!(output.status.code(), Some(3));
    for what in [
        "reports.csv has 2 faults",
        "row 3: file is blank",
        "row 4: has 1 fields",
        "row 3: a.png stands in row 2",
        "row 4: Mass is often",
    ] {
        assert!(stderr(&output).contains(what), "{what} not in\n{}", stderr(&output));
    }
    assert!(!scratch.join("merged.csv").exists());
}

#[test]
fn sources_of_one_name_are_refused_and_can_be_named() {
    let scratch = Scratch::new("labels-names");
    let output = merge(&scratch, BASE, CT, &["--base-name", "ct"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--override-name"), "{}", stderr(&output));
    merge(&scratch, BASE, CT, &["--override-name", "chest CT 2024"]);
    assert!(std::fs::read_to_string(scratch.join("merged.csv")).unwrap().contains(",chest CT 2024,"));
}
