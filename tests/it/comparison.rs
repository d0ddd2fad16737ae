//! `chexbox compare`: model and readers are compared on the films that all of them have, and no other film is passed over.

use super::run::{Scratch, chexbox, stderr, stdout};
use super::synthetic::{record, refused};
use serde_json::Value;

/// Twenty films, ten with a pneumothorax; the model misses none and calls one too many, reader A misses four, B misses none.
fn study(scratch: &Scratch, readers: &str) {
    let (mut truth, mut readings) = (String::from("file,Pneumothorax\n"), String::new());
    for i in 0..20 {
        truth += &format!("{i}.png,{}\n", u8::from(i < 10));
        readings +=
            &record("findings10", &format!("/films/{i}.png"), move |id| if id == "pneumothorax" && i < 11 { 0.9 } else { 0.01 });
    }
    std::fs::write(scratch.join("truth.csv"), truth).unwrap();
    std::fs::write(scratch.join("readings.jsonl"), readings).unwrap();
    std::fs::write(scratch.join("readers.csv"), readers).unwrap();
}

fn calls(reader: &str, positive: impl Fn(usize) -> bool) -> String {
    (0..20).map(|i| format!("{i}.png,{reader},{}\n", u8::from(positive(i)))).collect()
}

fn compare(scratch: &Scratch, more: &[&str]) -> std::process::Output {
    let mut command = chexbox(&["compare", "--labels"]);
    command.arg(scratch.join("truth.csv")).arg("--model-readings").arg(scratch.join("readings.jsonl"));
    command.arg("--readers").arg(scratch.join("readers.csv")).args(more).output().unwrap()
}

fn rows(output: &std::process::Output) -> Value {
    serde_json::from_str(&stdout(output)).unwrap_or_else(|e| panic!("{e}: {}", stderr(output)))
}

#[test]
fn a_row_has_both_accuracies_their_difference_a_verdict_and_a_test() {
    let scratch = Scratch::new("compare-row");
    study(&scratch, &("file,reader,pneumothorax\n".to_owned() + &calls("A", |i| (4..10).contains(&i))));
    let page = scratch.join("page.html");
    let output = compare(&scratch, &["--json", "--html", page.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let compared = rows(&output);
    let row = &compared["rows"][0];
    assert_eq!((row["films"].as_u64(), row["positives"].as_u64()), (Some(20), Some(10)));
    assert_eq!(
        (row["model"]["accuracy"]["value"].as_f64(), row["readers"]["accuracy"]["value"].as_f64()),
        (Some(0.95), Some(0.8))
    );
    assert!((row["difference_points"].as_f64().unwrap() - 15.0).abs() < 1e-9);
    assert_eq!(row["verdict"], "CNN");
    // Right alone: the model on 4 films, the reader on 1; 2 * (1 + 5) / 32.
    assert!((row["mcnemar_p"].as_f64().unwrap() - 0.375).abs() < 1e-12);
    // Calls agree on 6 + 9 of 20; the model calls 11, the reader 6: (0.75 - 0.48) / 0.52.
    assert!((row["kappa"].as_f64().unwrap() - 0.27 / 0.52).abs() < 1e-12);
    let table = stdout(&compare(&scratch, &[]));
    assert!(table.contains("95.0 (76.4-99.1)") && table.contains("80.0 (58.4-91.9)") && table.contains("+15.0"), "{table}");
    let csv = stdout(&compare(&scratch, &["--csv"]));
    assert!(csv.contains(",A,pneumothorax,20,10,0.95,"), "{csv}");
    let html = std::fs::read_to_string(page).unwrap();
    assert!(html.contains("verdict-CNN") && html.contains("95.0 %<small>76.4–99.1</small>") && html.contains("气胸"));
}

#[test]
fn several_readers_have_a_row_each_and_one_for_their_majority() {
    let scratch = Scratch::new("compare-majority");
    let readers = [
        "file,reader,Pneumothorax\n".to_owned(),
        calls("A", |i| (4..10).contains(&i)),
        calls("B", |i| i < 10),
        calls("C", |i| i < 5),
    ];
    study(&scratch, &readers.concat());
    let compared = rows(&compare(&scratch, &["--json"]));
    let found: Vec<(&str, f64, &str)> = compared["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| {
            (r["reader"].as_str().unwrap(), r["readers"]["accuracy"]["value"].as_f64().unwrap(), r["verdict"].as_str().unwrap())
        })
        .collect();
    // A and B or B and C see each of the ten.
    let want = [("A", 0.8, "CNN"), ("B", 1.0, "Near"), ("C", 0.75, "CNN"), ("Radiologists (majority)", 1.0, "Near")];
    assert_eq!(found, want);
}

#[test]
fn films_that_one_side_lacks_are_listed_and_not_compared() {
    let scratch = Scratch::new("compare-common");
    let some: String = calls("A", |i| i < 10).lines().take(18).map(|l| format!("{l}\n")).collect();
    study(&scratch, &format!("file,reader,Pneumothorax\n{some}extra.png,A,1\n"));
    let text = std::fs::read_to_string(scratch.join("readings.jsonl")).unwrap();
    let others: String = text.lines().skip(1).map(|l| format!("{l}\n")).collect();
    std::fs::write(scratch.join("readings.jsonl"), refused("findings10", "/films/0.png", "too_small") + &others).unwrap();
    let output = compare(&scratch, &["--json"]);
    let compared = rows(&output);
    assert_eq!((compared["films"].as_u64(), compared["rows"][0]["films"].as_u64()), (Some(17), Some(17)));
    let left: Vec<String> = compared["left_out"].as_array().unwrap().iter().map(|l| format!("{} {}", l[0], l[1])).collect();
    let want = [
        "\"0.png\" \"refused by the model: too_small\"",
        "\"18.png\" \"no call of A\"",
        "\"19.png\" \"no call of A\"",
        "\"extra.png\" \"no label; read by A\"",
    ];
    assert_eq!(left, want);
    let table = stdout(&compare(&scratch, &[]));
    assert!(table.contains("0.png: refused by the model: too_small"), "{table}");
}

#[test]
fn files_with_nothing_in_common_are_an_error_that_says_why() {
    let scratch = Scratch::new("compare-nothing");
    study(&scratch, "file,Pneumothorax\nother.png,1\n");
    let output = compare(&scratch, &[]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(3), ""));
    assert!(
        stderr(&output).contains("0 films are common") && stderr(&output).contains("no call of Radiologists"),
        "{}",
        stderr(&output)
    );
}
