//! `chexbox bench`: every field is there, what cannot be measured is refused with what can, and the stages make up the whole.

use super::run::{Scratch, run, stderr, stdout};
use chexbox::model::{Bundle, InputSpec};
use chexbox::radiograph::drawn::DrawnFilm;
use chexbox::{input, reading};
use serde_json::Value;

fn measured(arguments: &[&str]) -> Value {
    let output = run(&[&["bench", "--json"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

#[test]
fn a_bench_of_the_network_says_what_it_measured() {
    for (size, threads, precision) in [(128, 1, "int8"), (64, 2, "f32")] {
        let (size_text, threads_text) = (size.to_string(), threads.to_string());
        let found = measured(&["--size", &size_text, "--threads", &threads_text, "--runs", "2", "--precision", precision]);
        assert_eq!((&found["model"], &found["precision"]), (&Value::from("findings25"), &Value::from(precision)));
        assert_eq!(
            (found["size"].as_u64(), found["threads"].as_u64(), found["runs"].as_u64()),
            (Some(size), Some(threads), Some(2))
        );
        let number = |key: &str| found[key].as_f64().unwrap_or_else(|| panic!("{key} in {found}"));
        assert!(number("min_ms") > 0.0 && number("min_ms") <= number("median_ms") && number("median_ms") <= number("max_ms"));
        assert!(number("load_ms") > 0.0 && number("rss_mb") > 1.0);
        assert!(found["kernel"].as_str().is_some_and(|kernel| kernel.contains(precision)), "{found}");
        assert_eq!(found["logits"].as_array().map(Vec::len), Some(25));
    }
}

#[test]
fn the_input_that_is_saved_for_other_engines_is_what_the_network_saw() {
    let scratch = Scratch::new("bench-input");
    let (film, saved) = (scratch.join("film.png"), scratch.join("input.f32"));
    let png = DrawnFilm { width: 300, height: 260, seed: 3 }.png();
    std::fs::write(&film, &png).unwrap();
    let paths = ["--film", film.to_str().unwrap(), "--save-input", saved.to_str().unwrap()];
    measured(&[&["--size", "160", "--runs", "1"][..], &paths].concat());
    let bundle = Bundle::embedded("findings25").unwrap().unwrap();
    let spec = InputSpec { size: 160, ..bundle.manifest().input };
    let want = input::prepare(&reading::admit(&png).unwrap().grey, &spec).values;
    let found: Vec<f32> =
        std::fs::read(&saved).unwrap().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    assert_eq!(found, want);
}

#[test]
fn the_stages_of_a_whole_reading_make_up_its_time() {
    let scratch = Scratch::new("bench-whole");
    let film = scratch.join("film.png");
    std::fs::write(&film, DrawnFilm { width: 600, height: 700, seed: 1 }.png()).unwrap();
    let found = measured(&["--whole", film.to_str().unwrap(), "--runs", "3", "--threads", "2"]);
    let stages = found["stages"].as_array().unwrap();
    let names: Vec<&str> = stages.iter().filter_map(|s| s["stage"].as_str()).collect();
    assert_eq!(names, ["open", "decode", "gate", "prepare", "network", "heat_maps", "pictures", "record"]);
    let least: f64 = stages.iter().map(|s| s["min_ms"].as_f64().unwrap()).sum();
    let most: f64 = stages.iter().map(|s| s["max_ms"].as_f64().unwrap()).sum();
    let total = |key: &str| found["total"][key].as_f64().unwrap();
    // Of every run the total is the sum of its stages and of the little between them.
    assert!(least <= total("max_ms") && most >= 0.8 * total("min_ms"), "{found}");
    assert_eq!((found["columns"].as_u64(), found["rows"].as_u64()), (Some(600), Some(700)));
    assert!(found["overlays"].as_u64() > Some(0) && found["picture_bytes"].as_u64() > Some(0));
}

#[test]
fn what_cannot_be_measured_is_refused_with_what_can() {
    for (arguments, allowed) in [
        (["--size", "31"], "32..=2048"),
        (["--size", "4000"], "32..=2048"),
        (["--threads", "0"], "1..=64"),
        (["--threads", "65"], "1..=64"),
        (["--runs", "0"], "1..=86400"),
        (["--precision", "int4"], "int8"),
        (["--model", "all"], "name one"),
        (["--model", "nothing"], "findings25"),
    ] {
        let output = run(&[&["bench"], arguments.as_slice()].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(allowed), "{arguments:?}: {}", stderr(&output));
    }
    let output = run(&["bench", "--whole", "no-such-film.dcm"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("no-such-film.dcm"));
}

#[test]
fn people_get_a_table() {
    let output = run(&["bench", "--size", "64", "--runs", "1"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for word in ["median", "findings25", "64 x 64", "resident"] {
        assert!(stdout(&output).contains(word), "{word}: {}", stdout(&output));
    }
}
