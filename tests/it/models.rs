//! A model is used only if its files are what its manifest says and it computes here what it computed where it was made.

use chexbox::model::{Bundle, BundleError, Session};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The files of an embedded bundle, by name.
fn files(name: &str) -> BTreeMap<String, Vec<u8>> {
    let bundle = Bundle::embedded(name).unwrap().unwrap();
    let manifest = bundle.manifest();
    BTreeMap::from([
        ("manifest.toml".to_owned(), toml::to_string(manifest).unwrap().into_bytes()),
        (manifest.file.name.clone(), bundle.onnx().to_vec()),
        (manifest.probe.name.clone(), bundle.probe().to_vec()),
    ])
}

fn checked(files: &BTreeMap<String, Vec<u8>>) -> Result<Bundle, BundleError> {
    let manifest = String::from_utf8(files["manifest.toml"].clone()).unwrap();
    Bundle::checked(&manifest, |name| files.get(name).cloned().map(Cow::Owned).ok_or_else(|| "absent".to_owned()))
}

#[test]
fn the_binary_carries_both_label_sets_in_the_order_of_the_original_project() {
    let ids = |name: &str| -> Vec<String> {
        let bundle = Bundle::embedded(name).unwrap().unwrap();
        let findings = &bundle.manifest().findings;
        assert!(findings.iter().enumerate().all(|(i, f)| f.variable == format!("var_{i}")));
        findings.iter().map(|f| f.id.clone()).collect()
    };
    let twenty_five = [
        "pneumothorax",
        "emphysema",
        "lung_calcification",
        "picc",
        "aortic_unfolding",
        "aortic_arch_calcification",
        "aortic_abnormality",
        "small_consolidation",
        "cardiomegaly",
        "patchy_consolidation",
        "consolidation",
        "cavity",
        "mass",
        "prominent_bronchovascular_marking",
        "pulmonary_edema",
        "nodule",
        "hilar_adenopathy",
        "pleural_effusion",
        "pleural_thickening",
        "pleural_adhesion",
        "pleural_calcification",
        "pleural_abnormality",
        "scoliosis",
        "pacemaker_implant",
        "interstitial_involvement",
    ];
    assert_eq!(ids("findings25"), twenty_five);
    let ten = [
        "atelectasis",
        "consolidation",
        "cardiomegaly",
        "pneumothorax",
        "pulmonary_edema",
        "lung_lesion",
        "pneumonia",
        "pleural_effusion",
        "fracture",
        "var_9",
    ];
    assert_eq!(ids("findings10"), ten);
}

#[test]
fn every_embedded_model_loads_and_passes_its_probe() {
    for name in Bundle::embedded_names() {
        let bundle = Bundle::embedded(name).unwrap().unwrap();
        Session::load(&bundle).unwrap_or_else(|e| panic!("{e}"));
    }
}

#[test]
fn a_probe_with_another_answer_stops_the_model() {
    let mut files = files("findings10");
    let mut manifest = Bundle::embedded("findings10").unwrap().unwrap().manifest().clone();
    let mut probe: serde_json::Value = serde_json::from_slice(&files[&manifest.probe.name]).unwrap();
    probe["logits"][3] = (probe["logits"][3].as_f64().unwrap() + 0.1).into();
    let probe = probe.to_string().into_bytes();
    manifest.probe.bytes = probe.len() as u64;
    manifest.probe.sha256 = chexbox::model::sha256_hex(&probe);
    files.insert(manifest.probe.name.clone(), probe);
    files.insert("manifest.toml".to_owned(), toml::to_string(&manifest).unwrap().into_bytes());
    let error = Session::load(&checked(&files).unwrap()).err().unwrap().to_string();
    assert!(error.contains("findings10 failed its probe: logit 3"), "{error}");
}

#[test]
fn one_changed_byte_of_a_model_is_found_and_named() {
    let mut files = files("findings25");
    assert!(checked(&files).is_ok());
    let onnx = files.get_mut("model.onnx").unwrap();
    let middle = onnx.len() / 2;
    onnx[middle] ^= 1;
    let error = checked(&files).unwrap_err().to_string();
    assert!(error.starts_with("model.onnx has sha256 ") && error.contains("its manifest says"), "{error}");
    files.get_mut("model.onnx").unwrap().pop();
    let error = checked(&files).unwrap_err().to_string();
    assert!(error.starts_with("model.onnx has ") && error.contains(" bytes, its manifest says "), "{error}");
    files.remove("model.onnx");
    assert_eq!(checked(&files).unwrap_err().to_string(), "model.onnx: absent");
}

/// Each breach of a manifest and the words its refusal must hold.
#[test]
fn a_manifest_with_a_wrong_value_is_refused_by_field_value_and_what_is_allowed() {
    for (from, to, words) in [
        ("mean = ", "mean = nan #", vec!["input.mean", "NaN", "a finite number"]),
        ("minimum_age_years = 16", "minimum_age_years = 200", vec!["minimum_age_years", "200", "0 to 120"]),
        ("feature_channels = 1024", "feature_channels = 512", vec!["model.onnx: features has shape", "[1, 512, "]),
        ("id = \"mass\"", "id = \"nodule\"", vec!["finding.id", "nodule", "each id once"]),
        ("id = \"mass\"", "id = \"Mass\"", vec!["Mass", "snake_case"]),
        ("name = \"findings25\"", "name = \"../x\"", vec!["name", "../x"]),
        ("version = ", "colour = 1\nversion = ", vec!["unknown field", "colour"]),
    ] {
        let mut files = files("findings25");
        let manifest = String::from_utf8(files["manifest.toml"].clone()).unwrap();
        assert!(manifest.contains(from), "{from} is not in the manifest");
        files.insert("manifest.toml".to_owned(), manifest.replacen(from, to, 1).into_bytes());
        let error = checked(&files).unwrap_err().to_string();
        assert!(words.iter().all(|w| error.contains(w)), "{to}: {error}");
    }
}

/// Runs the build script as cargo would, on a folder of models.
fn build_script(models: &Path) -> (bool, String) {
    let out = models.join("out");
    std::fs::create_dir_all(&out).unwrap();
    let script = build_script_binary();
    let done = Command::new(script)
        .env("CHEXBOX_MODELS", models)
        .env("CARGO_MANIFEST_DIR", env!("CARGO_MANIFEST_DIR"))
        .env("OUT_DIR", &out)
        .output()
        .unwrap();
    (done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned())
}

/// The newest build script of this package below the target folder.
fn build_script_binary() -> PathBuf {
    let profile = Path::new(env!("CARGO_BIN_EXE_chexbox")).parent().unwrap();
    let folders = std::fs::read_dir(profile.join("build")).unwrap().flatten().map(|e| e.path());
    let scripts = folders
        .filter(|p| p.file_name().unwrap().to_string_lossy().starts_with("chexbox-"))
        .map(|p| p.join("build-script-build"))
        .filter(|p| p.is_file());
    scripts.max_by_key(|p| p.metadata().and_then(|m| m.modified()).unwrap()).expect("the build script that built this test")
}

#[test]
fn a_model_that_does_not_match_its_manifest_fails_the_build_with_a_sentence_that_says_which_and_why() {
    let models = std::env::temp_dir().join(format!("chexbox-build-{}", std::process::id()));
    let folder = models.join("site");
    std::fs::create_dir_all(&folder).unwrap();
    let write = |files: &BTreeMap<String, Vec<u8>>| files.iter().for_each(|(n, c)| std::fs::write(folder.join(n), c).unwrap());
    let good = files("findings10");
    write(&good);
    let (built, said) = build_script(&models);
    assert!(built, "{said}");

    let mut bad = good.clone();
    bad.get_mut("model.onnx").unwrap()[1000] ^= 1;
    write(&bad);
    let (built, said) = build_script(&models);
    assert!(!built && said.contains("site: model.onnx has sha256 ") && said.contains("its manifest says"), "{said}");

    let shape = String::from_utf8(good["manifest.toml"].clone()).unwrap().replace("feature_side = ", "feature_side = 1");
    write(&good);
    std::fs::write(folder.join("manifest.toml"), shape).unwrap();
    let (built, said) = build_script(&models);
    assert!(!built && said.contains("features has shape"), "{said}");

    std::fs::remove_file(folder.join("manifest.toml")).unwrap();
    let (built, said) = build_script(&models);
    assert!(!built && said.contains("holds no folder with a manifest.toml"), "{said}");
    std::fs::remove_dir_all(models).unwrap();
}
