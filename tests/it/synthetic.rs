//! Records as `read --json` writes them, with probabilities that a test chooses.

use chexbox::model::Bundle;
use serde_json::{Value, json};

/// The record of a film on an embedded model: `probability` gives that of each trained finding by its id.
pub fn record(model: &str, file: &str, probability: impl Fn(&str) -> f32) -> String {
    let bundle = Bundle::embedded(model).unwrap().unwrap();
    let manifest = bundle.manifest();
    let finding = |f: &chexbox::model::FindingSpec| {
        let p = f.operating.map(|_| probability(&f.id));
        let threshold = f.operating.map(|o| o.threshold);
        json!({"id": f.id, "name": f.en, "trained": f.trained, "probability": p, "threshold": threshold,
               "positive": p.zip(threshold).map(|(p, t)| p >= t)})
    };
    let findings: Vec<Value> = manifest.findings.iter().map(finding).collect();
    let name = json!({"name": manifest.name, "version": manifest.version, "sha256": manifest.file.sha256});
    json!({"file": file, "status": "read", "refusal": null, "model": name, "findings": findings}).to_string() + "\n"
}

/// The record of a refused film.
pub fn refused(model: &str, file: &str, code: &str) -> String {
    let bundle = Bundle::embedded(model).unwrap().unwrap();
    let m = bundle.manifest();
    json!({"file": file, "status": "refused", "refusal": {"code": code, "message": "a sentence", "remedy": ""},
           "model": {"name": m.name, "version": m.version, "sha256": m.file.sha256}, "findings": null})
    .to_string()
        + "\n"
}
