//! `chexbox evaluate`: every figure follows from the films named, every film that takes no part is named, and operating
//! points hold for the model they were chosen for alone.

use super::run::{Scratch, chexbox, run, stderr, stdout};
use super::synthetic::{record, refused};
use chexbox::model::Bundle;
use chexbox::radiograph::drawn::DrawnFilm;
use serde_json::Value;
use std::path::Path;

const LABELS: &str = "file,patient,age,sex,view,Pneumothorax,Effusion,split\n\
    x/a.png,1,30,M,PA,1,0,val\nx/b.png,2,50,F,PA,0,1,val\nx/c.png,3,70,F,AP,0,-1,val\nx/d.png,4,20,M,PA,1,1,val\n\
    x/e.png,5,41,F,AP,0,,val\nx/f.png,6,,M,PA,0,0,train\n";

/// Labels and readings of six films, pneumothorax at a 0.9, b 0.2, c 0.1, d 0.05, e refused, f 0.3.
fn study(scratch: &Scratch) {
    std::fs::write(scratch.join("labels.csv"), LABELS).unwrap();
    let of = |file: &str, pneumothorax: f32| {
        record("findings10", &format!("/films/x/{file}.png"), move |id| if id == "pneumothorax" { pneumothorax } else { 0.25 })
    };
    let text = [
        of("a", 0.9),
        of("b", 0.2),
        of("c", 0.1),
        of("d", 0.05),
        refused("findings10", "/films/x/e.png", "blank_film"),
        of("f", 0.3),
    ];
    std::fs::write(scratch.join("readings.jsonl"), text.concat()).unwrap();
}

fn evaluate(scratch: &Scratch, more: &[&str]) -> std::process::Output {
    let labels = scratch.join("labels.csv");
    chexbox(&["evaluate", "--labels"])
        .arg(labels)
        .arg("--readings")
        .arg(scratch.join("readings.jsonl"))
        .args(more)
        .output()
        .unwrap()
}

fn json(output: &std::process::Output) -> Value {
    serde_json::from_str(&stdout(output)).unwrap_or_else(|e| panic!("{e}: {}", stderr(output)))
}

fn finding<'a>(evaluation: &'a Value, id: &str) -> &'a Value {
    evaluation["findings"].as_array().unwrap().iter().find(|f| f["id"] == id).unwrap()
}

#[test]
fn the_figures_are_those_of_the_films_named_and_a_refused_film_is_listed() {
    let scratch = Scratch::new("evaluate-figures");
    study(&scratch);
    let output = evaluate(&scratch, &["--json"]);
    assert_eq!(output.status.code(), Some(1), "a film was refused: {}", stderr(&output));
    let e = json(&output);
    let counts = &e["films"];
    assert_eq!(
        (counts["labelled"].as_u64(), counts["evaluated"].as_u64(), counts["refused"].as_u64()),
        (Some(6), Some(5), Some(1))
    );
    let out = &e["left_out"][0];
    assert_eq!((out["file"].as_str(), out["row"].as_u64(), out["why"].as_str()), (Some("x/e.png"), Some(6), Some("blank_film")));

    let found = finding(&e, "pneumothorax");
    // Positives 0.9 and 0.05 against 0.2, 0.1, 0.3: three of six pairs in order.
    assert_eq!(found["auc"], 0.5);
    // The model's own operating point, wherever it lies.
    let bundle = Bundle::embedded("findings10").unwrap().unwrap();
    let threshold = bundle.manifest().finding("pneumothorax").unwrap().1.operating.unwrap().threshold;
    let called = |scores: &[f32]| scores.iter().filter(|p| **p >= threshold).count();
    let (positives, negatives) = (called(&[0.9, 0.05]), called(&[0.2, 0.1, 0.3]));
    assert!(positives == 1 && negatives > 0, "{threshold} tells none of these films from the others");
    assert_eq!(found["counts"]["true_positives"], positives);
    assert_eq!(found["counts"]["false_positives"], negatives);
    assert_eq!(found["sensitivity"]["value"], 0.5);
    let men = e["groups"].as_array().unwrap().iter().find(|g| g["kind"] == "sex" && g["value"] == "M").unwrap();
    assert_eq!(men["films"], 3);
    // An untrained finding has no figures, whatever the file says.
    assert!(e["unavailable"].as_array().unwrap().iter().any(|u| u["id"] == "fracture" && u["why"] == "untrained"));
}

#[test]
fn uncertain_labels_count_as_the_policy_says_and_only_the_rows_asked_for_take_part() {
    let scratch = Scratch::new("evaluate-uncertain");
    study(&scratch);
    for (policy, films, positives) in [("ignore", 3, 2), ("zeros", 4, 2), ("pleural_effusion=ones", 4, 3)] {
        let e = json(&evaluate(&scratch, &["--json", "--only", "split=val", "--uncertain", policy]));
        let found = finding(&e, "pleural_effusion");
        assert_eq!((found["films"].as_u64(), found["positives"].as_u64()), (Some(films), Some(positives)), "{policy}");
        assert_eq!((e["films"]["labelled"].as_u64(), e["films"]["not_asked_for"].as_u64()), (Some(5), Some(1)));
    }
}

#[test]
fn every_form_of_output_has_the_same_figures() {
    let scratch = Scratch::new("evaluate-forms");
    study(&scratch);
    let page = scratch.join("page.html");
    let table = evaluate(&scratch, &["--html", page.to_str().unwrap()]);
    let row = stdout(&table).lines().find(|l| l.trim_start().starts_with("pneumothorax")).unwrap().to_owned();
    assert!(row.contains("0.500 ("), "{row}");
    assert!(stdout(&table).contains("1 x blank_film"));
    let csv = stdout(&evaluate(&scratch, &["--csv"]));
    assert!(csv.lines().any(|l| l.contains(",all,pneumothorax,5,2,0.5,")), "{csv}");
    assert!(csv.lines().any(|l| l.contains(",sex=M,pneumothorax,3,2,")), "{csv}");
    let html = std::fs::read_to_string(page).unwrap();
    for part in ["0.500<small>", "x/e.png", "气胸", "Pneumothorax", "</html>"] {
        assert!(html.contains(part), "{part}");
    }
    assert!(!html.contains("http://") && !html.contains("https://"), "the page asks nothing of a network");
    let chinese = stdout(&evaluate(&scratch, &["--lang", "zh"]));
    assert!(chinese.contains("灵敏度") && chinese.contains("气胸"), "{chinese}");
}

#[test]
fn all_faults_of_a_label_file_are_reported_at_once_and_nothing_is_evaluated() {
    let scratch = Scratch::new("evaluate-faults");
    study(&scratch);
    std::fs::write(scratch.join("labels.csv"), "file,age,Pneumothorax\nx/a.png,30,2\nx/a.png,300,0\n,1,1\n").unwrap();
    let output = evaluate(&scratch, &[]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(3), ""));
    let said = stderr(&output);
    for what in
        ["4 faults", "row 2: Pneumothorax is 2", "row 3: age is 300", "row 3: x/a.png stands in row 2", "row 4: file is blank"]
    {
        assert!(said.contains(what), "{what} not in\n{said}");
    }
}

/// A folder `x` with drawn films a to d, and a file e that is none.
fn drawn(scratch: &Scratch) {
    std::fs::create_dir_all(scratch.join("x")).unwrap();
    for (seed, name) in ["a", "b", "c", "d"].iter().enumerate() {
        let film = DrawnFilm { width: 200, height: 240, seed: seed as u64 + 1 };
        std::fs::write(scratch.join(&format!("x/{name}.png")), film.png()).unwrap();
    }
    std::fs::write(scratch.join("x/e.png"), "not a film").unwrap();
    std::fs::write(scratch.join("labels.csv"), LABELS).unwrap();
}

fn on_films(scratch: &Scratch, more: &[&str]) -> std::process::Output {
    let labels = scratch.join("labels.csv");
    let mut command = chexbox(&["evaluate", "--model", "findings10", "--labels"]);
    command.arg(labels).arg("--images").arg(scratch.path()).args(more).output().unwrap()
}

#[test]
fn a_film_of_the_label_file_that_is_not_there_is_named_before_any_film_is_read() {
    let scratch = Scratch::new("evaluate-missing");
    drawn(&scratch);
    let output = on_films(&scratch, &[]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        stderr(&output).contains("row 7: x/f.png is not below") && stderr(&output).contains("--skip-missing"),
        "{}",
        stderr(&output)
    );
    let e = json(&on_films(&scratch, &["--json", "--skip-missing"]));
    assert_eq!(
        (e["films"]["evaluated"].as_u64(), e["films"]["unread"].as_u64(), e["films"]["refused"].as_u64()),
        (Some(4), Some(1), Some(1))
    );
}

#[test]
fn films_read_now_from_a_folder_or_a_tar_and_records_made_earlier_give_the_same_evaluation() {
    let scratch = Scratch::new("evaluate-same");
    drawn(&scratch);
    let now = json(&on_films(&scratch, &["--json", "--only", "split=val"]));

    let read = chexbox(&["read", "--json", "--model", "findings10"]).arg(scratch.join("x")).output().unwrap();
    std::fs::write(scratch.join("readings.jsonl"), &read.stdout).unwrap();
    let earlier = json(&evaluate(&scratch, &["--json", "--only", "split=val"]));
    assert_eq!(now["findings"], earlier["findings"]);
    assert_eq!(now["films"], earlier["films"]);

    let mut tar = tar::Builder::new(std::fs::File::create(scratch.join("x.tar")).unwrap());
    tar.append_dir_all("x", scratch.join("x")).unwrap();
    tar.finish().unwrap();
    std::fs::remove_dir_all(scratch.join("x")).unwrap();
    let packed = json(&on_films(&scratch, &["--json", "--only", "split=val"]));
    assert_eq!(packed, now);
}

#[test]
fn heat_maps_are_measured_on_the_films_with_boxes_of_a_trained_finding() {
    let scratch = Scratch::new("evaluate-boxes");
    drawn(&scratch);
    let labels = "file,Pneumothorax,Fracture,boxes,bare\n\
        x/a.png,1,0,\"[[\"\"Pneumothorax\"\", 0, 0, 1024, 1024]]\",\nx/b.png,1,0,\"[[\"\"Pneumothorax\"\", 0, 0, 1, 1]]\",\n\
        x/c.png,0,1,\"[[\"\"Fracture\"\", 0, 0, 9, 9]]\",\"[[0, 0, 512, 1024]]\"\nx/d.png,0,0,,\n";
    std::fs::write(scratch.join("labels.csv"), labels).unwrap();
    let e = json(&on_films(&scratch, &["--json", "--boxes", "boxes", "--boxes", "bare=Effusion"]));
    let of = |id: &str| e["boxes"].as_array().unwrap().iter().find(|b| b["id"] == id).cloned();
    let found = of("pneumothorax").unwrap();
    assert_eq!(found["films"], 2);
    // The whole film holds the maximum and all energy, unless the map is cold; a box of one pixel covers nothing of the grid.
    let warm = 2.0 - found["cold"].as_f64().unwrap();
    assert!(found["pointing"]["value"].as_f64().unwrap() <= 0.5 && warm >= 0.0);
    assert!((found["chance"].as_f64().unwrap() - 0.5).abs() < 1e-4);
    assert!((of("pleural_effusion").unwrap()["chance"].as_f64().unwrap() - 0.5).abs() < 1e-9);
    assert!(of("fracture").is_none(), "an untrained finding has no heat map");
    let said = stderr(&on_films(&scratch, &["--boxes", "bare"]));
    assert!(said.contains("row 4") && said.contains("--boxes bare=Pneumonia"), "{said}");
}

fn probability(record: &Value, key: &str) -> f64 {
    record["findings"].as_array().unwrap().iter().find(|f| f["id"] == "pneumothorax").unwrap()[key].as_f64().unwrap()
}

#[test]
fn chosen_operating_points_are_used_by_read_and_refused_by_another_model() {
    let scratch = Scratch::new("evaluate-choose");
    study(&scratch);
    let file = scratch.join("thresholds.toml");
    let file = file.to_str().unwrap();
    let output = evaluate(&scratch, &["--choose", "sensitivity=0.9", "--out", file]);
    assert!(Path::new(file).is_file(), "{}", stderr(&output));
    let film = scratch.join("film.png");
    std::fs::write(&film, DrawnFilm { width: 256, height: 256, seed: 3 }.png()).unwrap();
    let read = |model: &str, more: &[&str]| {
        chexbox(&["read", "--json", "--model", model, "--thresholds", file]).arg(&film).args(more).output().unwrap()
    };

    let output = read("findings10", &[]);
    let record: Value = serde_json::from_str(&stdout(&output)).unwrap();
    // The lowest positive has 0.05 and nothing lies below it.
    assert!((probability(&record, "threshold") - 0.05).abs() < 1e-6);
    assert_eq!(
        record["findings"].as_array().unwrap().iter().find(|f| f["id"] == "pneumothorax").unwrap()["positive"],
        probability(&record, "probability") >= 0.05
    );
    // What the user says on the command line goes before the file.
    let own: Value = serde_json::from_str(&stdout(&read("findings10", &["--threshold", "pneumothorax=0.6"]))).unwrap();
    assert!((probability(&own, "threshold") - 0.6).abs() < 1e-6);

    let other = read("findings25", &[]);
    assert_eq!((other.status.code(), stdout(&other).as_str()), (Some(3), ""));
    assert!(
        stderr(&other).contains("chosen for findings10") && stderr(&other).contains("in use is findings25"),
        "{}",
        stderr(&other)
    );
    // With both models in use the file holds for its own.
    let both = stdout(&read("all", &[]));
    let thresholds: Vec<f64> = both.lines().map(|l| probability(&serde_json::from_str(l).unwrap(), "threshold")).collect();
    assert!((thresholds[0] - 0.05).abs() < 1e-6 && (thresholds[1] - 0.05).abs() > 1e-3, "{thresholds:?}");
}

#[test]
fn chosen_operating_points_can_go_into_a_bundle() {
    let scratch = Scratch::new("evaluate-into");
    study(&scratch);
    let bundle = Bundle::embedded("findings10").unwrap().unwrap();
    let folder = scratch.join("bundle");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("manifest.toml"), toml::to_string(bundle.manifest()).unwrap()).unwrap();
    std::fs::write(folder.join(&bundle.manifest().file.name), bundle.onnx()).unwrap();
    std::fs::write(folder.join(&bundle.manifest().probe.name), bundle.probe()).unwrap();
    let output = evaluate(&scratch, &["--choose", "youden", "--into", folder.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let record: Value = serde_json::from_str(&stdout(&run(&["read", "--json", "--model", folder.to_str().unwrap()]))).unwrap();
    // Youden: a alone is called, halfway to the next film at 0.3.
    assert!((probability(&record, "threshold") - 0.6).abs() < 1e-6, "{record}");
}

#[test]
fn a_rule_without_a_place_to_go_or_a_wrong_one_is_said() {
    let scratch = Scratch::new("evaluate-wrong");
    study(&scratch);
    for (args, what) in [
        (vec!["--choose", "youden"], "--out FILE or --into DIR"),
        (vec!["--choose", "best"], "best-f1, youden, sensitivity=S"),
        (vec!["--uncertain", "one"], "ignore, zeros, ones"),
        (vec!["--only", "part=val"], "there is no column part"),
        (vec!["--threshold", "picc=0.2"], "no model in use has this finding"),
    ] {
        let output = evaluate(&scratch, &args);
        assert!(matches!(output.status.code(), Some(2 | 3)), "{args:?}");
        assert!(stderr(&output).contains(what), "{args:?}: {}", stderr(&output));
    }
}
