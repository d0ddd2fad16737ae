//! `chexbox read`, on films drawn by the program's own code: what goes in, what comes out, and how it ends.

use super::run::{Scratch, chexbox, records, run, stderr, stdout};
use chexbox::model::{Bundle, Options, Precision, Session};
use chexbox::radiograph::drawn::DrawnFilm;
use chexbox::{input, reading};
use serde_json::Value;
use std::path::PathBuf;

fn drawn(width: usize, height: usize, seed: u64) -> Vec<u8> {
    DrawnFilm { width, height, seed }.png()
}

/// A folder with drawn films and two files that are none.
fn mixed(scratch: &Scratch) -> Vec<PathBuf> {
    std::fs::create_dir_all(scratch.join("films/sub")).unwrap();
    let files: Vec<PathBuf> = ["films/a.png", "films/b.png", "films/notes.txt", "films/sub/c.png", "films/sub/short.png"]
        .iter()
        .map(|f| scratch.join(f))
        .collect();
    std::fs::write(&files[0], drawn(300, 360, 1)).unwrap();
    std::fs::write(&files[1], drawn(400, 320, 2)).unwrap();
    std::fs::write(&files[2], "not a film").unwrap();
    std::fs::write(&files[3], drawn(256, 256, 3)).unwrap();
    std::fs::write(&files[4], &drawn(256, 256, 4)[..5000]).unwrap();
    files
}

#[test]
fn with_no_path_the_drawn_film_is_read_and_the_user_is_told() {
    let output = run(&["read"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("built-in test film"), "{}", stderr(&output));
    assert!(stdout(&output).contains("Pleural effusion"));
    assert!(stdout(&output).contains("not a diagnosis"));
}

#[test]
fn a_record_names_every_finding_in_order_and_an_untrained_one_without_numbers() {
    for name in ["findings25", "findings10"] {
        let output = run(&["read", "--json", "--model", name]);
        let record = &records(&output)[0];
        let bundle = Bundle::embedded(name).unwrap().unwrap();
        let manifest = bundle.manifest();
        assert_eq!(record["status"], "read");
        assert_eq!(record["refusal"], Value::Null);
        assert_eq!(record["model"]["name"], name);
        assert_eq!(record["model"]["sha256"], manifest.file.sha256.as_str());
        let findings = record["findings"].as_array().unwrap();
        assert_eq!(findings.len(), manifest.findings.len());
        for (found, spec) in findings.iter().zip(&manifest.findings) {
            assert_eq!(found["id"], spec.id.as_str());
            assert_eq!(found["trained"], spec.trained);
            for key in ["probability", "threshold", "positive"] {
                assert_eq!(found[key].is_null(), !spec.trained, "{} {key}", spec.id);
            }
            if spec.trained {
                let (p, t) = (found["probability"].as_f64().unwrap(), found["threshold"].as_f64().unwrap());
                assert!((0.0..=1.0).contains(&p));
                assert_eq!(found["positive"], p >= t);
            }
        }
        let steps: Vec<&str> =
            record["provenance"]["steps"].as_array().unwrap().iter().map(|s| s["step"].as_str().unwrap()).collect();
        for step in ["decode", "gate", "reduce", "normalise"] {
            assert!(steps.contains(&step), "{steps:?} lacks {step}");
        }
    }
}

#[test]
fn untrained_findings_are_listed_as_unavailable_in_the_table() {
    let bundle = Bundle::embedded("findings25").unwrap().unwrap();
    let untrained: Vec<_> = bundle.manifest().findings.iter().filter(|f| !f.trained).collect();
    assert!(!untrained.is_empty());
    for (lang, word) in [("en", "Unavailable (untrained)"), ("zh", "不可用（未训练）")] {
        let text = stdout(&run(&["read", "--lang", lang]));
        let (_, after) = text.split_once(word).unwrap_or_else(|| panic!("{word} is not in {text}"));
        // Long lists are wrapped between words.
        let after = after.split_whitespace().collect::<String>();
        for f in &untrained {
            let name = if lang == "en" { &f.en } else { &f.zh };
            let name = name.split_whitespace().collect::<String>();
            assert!(after.contains(&name), "{name} is missing in {after}");
        }
    }
}

#[test]
fn a_folder_is_walked_every_file_has_a_record_and_refusals_say_why() {
    let scratch = Scratch::new("walk");
    let files = mixed(&scratch);
    let output = chexbox(&["read", "--json"]).arg(scratch.join("films")).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let records = records(&output);
    let named: Vec<&str> = records.iter().map(|r| r["file"].as_str().unwrap()).collect();
    assert_eq!(named, files.iter().map(|f| f.to_str().unwrap()).collect::<Vec<_>>());
    let codes: Vec<&str> = records.iter().map(|r| r["refusal"]["code"].as_str().unwrap_or("")).collect();
    assert_eq!(codes, ["", "", "unknown_format", "", "damaged_file"]);
    for record in &records {
        assert_eq!(record["status"] == "refused", record["findings"].is_null());
    }
    assert!(stderr(&output).contains("5 films: 3 read, 2 refused"), "{}", stderr(&output));
}

#[test]
fn the_same_films_give_the_same_bytes_whatever_the_number_of_threads() {
    let scratch = Scratch::new("threads");
    mixed(&scratch);
    let films = scratch.join("films");
    let once = |threads: &str, out: &str| {
        let out = scratch.join(out);
        let output = chexbox(&["read", "--json", "--model", "all", "--threads", threads])
            .arg(&films)
            .arg("--heatmaps")
            .arg(&out)
            .output()
            .unwrap();
        let mut pictures: Vec<_> =
            std::fs::read_dir(&out).unwrap().flatten().map(|e| (e.file_name(), std::fs::read(e.path()).unwrap())).collect();
        pictures.sort();
        (stdout(&output), pictures)
    };
    let (one, pictures_one) = once("1", "o1");
    let (many, pictures_many) = once("5", "o5");
    assert_eq!(one.replace("/o1/", "/o/"), many.replace("/o5/", "/o/"));
    assert!(pictures_one == pictures_many, "pictures differ");
    assert!(pictures_one.len() >= 6);
}

#[test]
fn a_contact_sheet_is_written_for_each_film_and_an_overlay_for_each_positive_finding() {
    let scratch = Scratch::new("maps");
    std::fs::write(scratch.join("wide.png"), drawn(420, 300, 5)).unwrap();
    let out = scratch.join("out");
    // Every operating point as low as it goes: each trained finding is positive.
    let bundle = Bundle::embedded("findings25").unwrap().unwrap();
    let trained: Vec<&str> = bundle.manifest().findings.iter().filter(|f| f.trained).map(|f| f.id.as_str()).collect();
    let mut command = chexbox(&["read", "--json"]);
    command.arg(scratch.join("wide.png")).arg("--heatmaps").arg(&out);
    trained.iter().for_each(|id| {
        command.args(["--threshold", &format!("{id}=0.000001")]);
    });
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let record = &records(&output)[0];
    let overlays = record["heatmaps"]["overlays"].as_array().unwrap();
    let ids: Vec<&str> = overlays.iter().map(|o| o["finding"].as_str().unwrap()).collect();
    assert_eq!(ids, trained);
    for overlay in overlays {
        let picture = image::open(overlay["file"].as_str().unwrap()).unwrap();
        assert!(picture.width() > picture.height(), "a wide film gives a wide picture");
    }
    assert!(image::open(record["heatmaps"]["sheet"].as_str().unwrap()).is_ok());
}

#[test]
fn films_of_the_same_name_in_two_folders_do_not_overwrite_each_others_pictures() {
    let scratch = Scratch::new("names");
    for (folder, seed) in [("x", 1), ("y", 2)] {
        std::fs::create_dir_all(scratch.join(folder)).unwrap();
        std::fs::write(scratch.join(folder).join("film.png"), drawn(256, 256, seed)).unwrap();
    }
    let out = scratch.join("out");
    let output =
        chexbox(&["read", "--json"]).arg(scratch.join("x")).arg(scratch.join("y")).arg("--heatmaps").arg(&out).output().unwrap();
    let sheets: Vec<String> = records(&output).iter().map(|r| r["heatmaps"]["sheet"].as_str().unwrap().to_owned()).collect();
    assert_eq!(sheets.len(), 2);
    assert_ne!(sheets[0], sheets[1]);
    assert_ne!(std::fs::read(&sheets[0]).unwrap(), std::fs::read(&sheets[1]).unwrap());
}

#[test]
fn with_all_there_is_one_record_a_film_and_model() {
    let output = run(&["read", "--json", "--model", "all"]);
    let models: Vec<String> = records(&output).iter().map(|r| r["model"]["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(models, ["findings10", "findings25"]);
}

#[test]
fn a_threshold_of_the_users_moves_the_call_and_nothing_else() {
    let before = &records(&run(&["read", "--json"]))[0];
    let finding = |r: &Value| r["findings"].as_array().unwrap().iter().find(|f| f["id"] == "pneumothorax").unwrap().clone();
    let p = finding(before)["probability"].as_f64().unwrap();
    for (threshold, positive) in [("0.000001", true), ("0.999999", false)] {
        let after = &records(&run(&["read", "--json", "--threshold", &format!("pneumothorax={threshold}")]))[0];
        assert_eq!(finding(after)["probability"].as_f64().unwrap(), p);
        assert_eq!(finding(after)["positive"], positive);
        assert_eq!(finding(after)["threshold"].as_f64().unwrap() as f32, threshold.parse::<f32>().unwrap());
    }
}

#[test]
fn a_wrong_command_line_says_what_is_allowed() {
    for (args, code, words) in [
        (vec!["read", "--threshold", "flu=0.3"], 2, vec!["flu", "pneumothorax"]),
        (vec!["read", "--threshold", "picc=0.3"], 2, vec!["picc", "untrained"]),
        (vec!["read", "--threshold", "pneumothorax=1.5"], 2, vec!["pneumothorax", "1.5"]),
        (vec!["read", "--threshold", "pneumothorax"], 2, vec!["FINDING=VALUE"]),
        (vec!["read", "--model", "findings99"], 2, vec!["findings99", "findings10, findings25"]),
        (vec!["read", "--lang", "fr"], 2, vec!["fr", "en and zh"]),
        (vec!["read", "--threads", "0"], 2, vec!["threads"]),
        (vec!["read", "--jobs", "0"], 2, vec!["threads"]),
        (vec!["read", "--json", "--csv"], 2, vec!["--json", "--csv"]),
    ] {
        let output = run(&args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", stderr(&output));
        assert!(words.iter().all(|w| stderr(&output).contains(w)), "{args:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn a_file_that_is_absent_is_refused_with_its_record() {
    let output = run(&["read", "--json", "/nowhere/film.dcm"]);
    assert_eq!(output.status.code(), Some(1));
    let record = &records(&output)[0];
    assert_eq!(
        (record["file"].as_str(), record["refusal"]["code"].as_str()),
        (Some("/nowhere/film.dcm"), Some("unreadable_file"))
    );
    assert!(!record["refusal"]["remedy"].as_str().unwrap().is_empty());
}

#[test]
fn csv_has_a_row_for_each_film_and_finding() {
    let scratch = Scratch::new("csv");
    mixed(&scratch);
    let output = chexbox(&["read", "--csv"]).arg(scratch.join("films")).output().unwrap();
    let text = stdout(&output);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|h| h == name).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 3 * 25 + 2);
    for row in &rows {
        let read = &row[column("status")] == "read";
        assert_eq!(read, row[column("refusal_code")].is_empty());
        let trained = &row[column("trained")] == "true";
        assert_eq!(trained, !row[column("probability")].is_empty());
    }
}

#[test]
fn chinese_is_spoken_by_locale_and_by_option() {
    let by_option = stdout(&run(&["read", "--lang", "zh"]));
    let by_locale = chexbox(&["read"]).env("LANG", "zh_CN.UTF-8").output().unwrap();
    assert_eq!(by_option, stdout(&by_locale));
    assert!(by_option.contains("气胸") && by_option.contains("不作为诊断依据"), "{by_option}");
    let refused = run(&["read", "--lang", "zh", "--json", "/nowhere"]);
    assert!(records(&refused)[0]["refusal"]["message"].as_str().unwrap().contains("无法打开"));
}

#[test]
fn a_bundle_in_a_folder_is_used_without_a_build_and_a_changed_one_is_not() {
    let scratch = Scratch::new("bundle");
    let bundle = Bundle::embedded("findings10").unwrap().unwrap();
    let mut manifest = bundle.manifest().clone();
    manifest.name = "our-site".to_owned();
    std::fs::write(scratch.join("manifest.toml"), toml::to_string(&manifest).unwrap()).unwrap();
    std::fs::write(scratch.join(&manifest.file.name), bundle.onnx()).unwrap();
    std::fs::write(scratch.join(&manifest.probe.name), bundle.probe()).unwrap();
    let read = || chexbox(&["read", "--json", "--model"]).arg(scratch.path()).output().unwrap();
    assert_eq!(records(&read())[0]["model"]["name"], "our-site");
    std::fs::write(scratch.join(&manifest.file.name), &bundle.onnx()[1..]).unwrap();
    let output = read();
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("model.onnx has "), "{}", stderr(&output));
}

#[test]
fn an_inverted_film_gives_the_same_calls_and_the_record_says_that_it_was_turned() {
    let scratch = Scratch::new("inverted");
    let film = image::load_from_memory(&drawn(512, 512, 1)).unwrap();
    let mut inverted = film.clone();
    inverted.invert();
    film.save(scratch.join("a.png")).unwrap();
    inverted.save(scratch.join("b.png")).unwrap();
    let output = chexbox(&["read", "--json"]).arg(scratch.path()).output().unwrap();
    let records = records(&output);
    let findings = |r: &Value| r["findings"].as_array().unwrap().clone();
    for (upright, turned) in findings(&records[0]).iter().zip(&findings(&records[1])) {
        assert_eq!(upright["positive"], turned["positive"], "{upright} {turned}");
    }
    // 1 - (1 - x) rounds in the last bit of an f32, which a network of integers may round to another step (`parity`); in f32 the
    // logits are the same.
    for bundle in Bundle::embedded_names().map(|name| Bundle::embedded(name).unwrap().unwrap()) {
        for (precision, apart) in [(Precision::F32, 4e-5), (Precision::AsStored, 0.02)] {
            let session = Session::load_with(&bundle, Options { precision, size: None }).unwrap();
            let logits = |file: &str| {
                let film = reading::admit(&std::fs::read(scratch.join(file)).unwrap()).unwrap();
                session.run(&input::prepare(&film.grey, session.input())).unwrap().logits
            };
            for (upright, turned) in logits("a.png").iter().zip(logits("b.png")) {
                assert!((upright - turned).abs() < apart, "{upright} {turned}, {precision:?}");
            }
        }
    }
    let polarity = |r: &Value| {
        r["provenance"]["steps"]
            .as_array()
            .unwrap()
            .iter()
            .any(|s| s["step"] == "polarity" && s["detail"].as_str().unwrap().contains("inverted"))
    };
    assert!(!polarity(&records[0]) && polarity(&records[1]), "{records:?}");
}

#[test]
fn a_thousand_films_keep_resident_memory_under_300_mb() {
    let scratch = Scratch::new("thousand");
    for seed in 0..4 {
        std::fs::write(scratch.join(&format!("{seed}.png")), drawn(1024, 1024, seed)).unwrap();
    }
    for copy in 4..1000_usize {
        std::fs::hard_link(scratch.join(&format!("{}.png", copy % 4)), scratch.join(&format!("{copy}.png"))).unwrap();
    }
    let listing = Scratch::new("thousand-records");
    let out = std::fs::File::create(listing.join("records.jsonl")).unwrap();
    let mut child =
        chexbox(&["read", "--json"]).arg(scratch.path()).stdout(out).stderr(std::process::Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kb = 0_u64;
    let exit = loop {
        if let Some(line) =
            std::fs::read_to_string(&status).ok().as_deref().and_then(|s| s.lines().find(|l| l.starts_with("VmHWM")))
        {
            peak_kb = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        }
        if let Some(exit) = child.try_wait().unwrap() {
            break exit;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    println!("peak resident memory over 1000 films: {} MB", peak_kb / 1024);
    assert_eq!(exit.code(), Some(0));
    let text = std::fs::read_to_string(listing.join("records.jsonl")).unwrap();
    assert_eq!(text.lines().filter(|l| l.contains("\"status\":\"read\"")).count(), 1000);
    assert!(peak_kb > 0 && peak_kb < 300 * 1024, "{peak_kb} kB");
}

#[test]
fn a_reader_that_goes_away_stops_the_printing_and_nothing_else() {
    let scratch = Scratch::new("pipe");
    mixed(&scratch);
    // Both streams end in a pipe that nobody reads: `chexbox read films 2>&1 | true`.
    for streams in ["2>/dev/null", "2>&1"] {
        let shell = format!("(\"$0\" read --json \"$1\" {streams}; echo \"exit $?\" > \"$2\") | true");
        let status = std::process::Command::new("sh")
            .args(["-c", &shell, env!("CARGO_BIN_EXE_chexbox")])
            .arg(scratch.join("films"))
            .arg(scratch.join("exit"))
            .status()
            .unwrap();
        assert!(status.success());
        let exit = std::fs::read_to_string(scratch.join("exit")).unwrap();
        // The first film was read before anything could be written; the refused ones may not have been reached.
        assert!(["exit 0\n", "exit 1\n"].contains(&exit.as_str()), "{streams}: {exit}");
    }
}
