//! What `model verify` looks at, one question after another; a question that cannot be asked because an earlier one
//! failed is left out.

use super::{Failure, load};
use chexbox::limits::{MANIFEST_BYTES_MAX, MODEL_BYTES_MAX};
use chexbox::model::quantize::{PAIR_MAX, Precision, Summary};
use chexbox::model::{Bundle, FileSpec, MANIFEST_FILE, Manifest, Session};
use prost::Message;
use std::path::Path;
use tract_onnx::pb::ModelProto;

/// What came of one question.
#[derive(serde::Serialize)]
pub struct Check {
    /// What was looked at, English.
    pub what: &'static str,
    /// The same, Chinese.
    #[serde(skip)]
    pub what_zh: &'static str,
    /// Whether it is as it must be.
    pub ok: bool,
    /// What was found.
    pub found: String,
    /// What to do, English, where something is wrong.
    pub fix: Option<&'static str>,
    /// The same, Chinese.
    #[serde(skip)]
    pub fix_zh: &'static str,
}

/// English and Chinese.
type Words = (&'static str, &'static str);

const COPY_AGAIN: Words = (
    "copy the bundle again from where it was exported; a model that was changed on purpose must be exported again",
    "请从导出处重新复制模型包；若有意修改了模型，请重新导出",
);
const BINARY_AGAIN: Words = ("this binary is damaged: install it again", "程序已损坏，请重新安装");
const EXPORT_AGAIN: Words =
    ("export the bundle again: its manifest and its model are not of one export", "请重新导出：清单与模型不是同一次导出的");
const QUANTIZE_AGAIN: Words =
    ("quantize the f32 model again: chexbox model quantize --help", "请从 f32 模型重新量化：chexbox model quantize --help");
const ANOTHER_MACHINE: Words = (
    "run verify on another machine: where it passes there, this machine computes wrongly and must not read films",
    "请在另一台机器上检查：若通过，则本机计算有误，不得用于读片",
);

struct Checks(Vec<Check>);

impl Checks {
    /// Notes an answer, and hands on what was found out.
    fn add<T, E: ToString>(&mut self, what: Words, answer: Result<(T, String), E>, fix: Words) -> Option<T> {
        let (value, ok, found) = match answer {
            Ok((value, found)) => (Some(value), true, found),
            Err(why) => (None, false, why.to_string()),
        };
        self.0.push(Check { what: what.0, what_zh: what.1, ok, found, fix: (!ok).then_some(fix.0), fix_zh: fix.1 });
        value
    }
}

/// Looks at the model of this name in the binary, or at the bundle in this folder.
///
/// # Errors
/// A sentence, if there is neither.
pub fn checks(name: &str) -> Result<Vec<Check>, Failure> {
    let mut checks = Checks(Vec::new());
    let folder = Path::new(name);
    let bundle = match Bundle::embedded(name) {
        Some(bundle) => {
            let bundle = bundle.map(|b| {
                let found = format!("{} bytes, sha256 {}", b.manifest().file.bytes, b.manifest().file.sha256);
                (b, found)
            });
            checks.add(("files, digests and shapes", "文件、摘要与形状"), bundle, BINARY_AGAIN)
        }
        None if folder.is_dir() => of_folder(&mut checks, folder),
        // The sentence that names what there is.
        None => load::one(name).map(Some)?,
    };
    if let Some(bundle) = bundle {
        of_network(&mut checks, &bundle);
    }
    Ok(checks.0)
}

fn of_folder(checks: &mut Checks, folder: &Path) -> Option<Bundle> {
    let read = |name: &str, limit: u64| load::read_bounded(&folder.join(name), limit).map_err(|e| format!("{name}: {e}"));
    let manifest = read(MANIFEST_FILE, MANIFEST_BYTES_MAX)
        .and_then(|bytes| String::from_utf8(bytes).map_err(|e| e.to_string()))
        .and_then(|text| Manifest::parse(&text).map_err(|e| e.to_string()))
        .map(|m| (m.clone(), format!("{} {}, {} findings", m.name, m.version, m.findings.len())));
    let manifest = checks.add(("manifest", "清单"), manifest, EXPORT_AGAIN)?;
    for (what, file) in [(("model file", "模型文件"), &manifest.file), (("probe file", "自检文件"), &manifest.probe)] {
        checks.add(what, digest(file, read(&file.name, MODEL_BYTES_MAX)), COPY_AGAIN);
    }
    if checks.0.iter().any(|c| !c.ok) {
        return None;
    }
    let output = &manifest.output;
    let shapes = format!(
        "image {0} x {0}, {1} logits, features {2} x {3} x {3}",
        manifest.input.size,
        manifest.findings.len(),
        output.feature_channels,
        output.feature_side
    );
    let bundle = load::one(&folder.display().to_string()).map(|bundle| (bundle, shapes));
    checks.add(("shapes", "形状"), bundle, EXPORT_AGAIN)
}

fn digest(file: &FileSpec, content: Result<Vec<u8>, String>) -> Result<((), String), String> {
    Manifest::check_file(file, &content?).map_err(|e| e.to_string())?;
    Ok(((), format!("{}: {} bytes, sha256 {}", file.name, file.bytes, file.sha256)))
}

fn of_network(checks: &mut Checks, bundle: &Bundle) {
    let summary = ModelProto::decode(bundle.onnx()).map_err(|e| e.to_string());
    let summary = summary.and_then(|proto| Summary::of(&proto).map_err(|e| e.to_string()));
    let summary = summary.map(|s| {
        let found = format!("ONNX operators {}, {} nodes", s.opset, s.operators.values().sum::<usize>());
        (s, found)
    });
    let Some(summary) = checks.add(("graph", "计算图"), summary, EXPORT_AGAIN) else { return };
    if summary.precision == Precision::Int8 {
        let answer = match summary.breach() {
            None => Ok(((), format!("{} convolutions, neighbours add up to at most {PAIR_MAX}", summary.quantized.len()))),
            Some(breach) => Err(format!("{breach}, allowed is {PAIR_MAX}: processors without VNNI would compute other numbers")),
        };
        checks.add(("pair rule of the integers", "整数权重相邻规则"), answer, QUANTIZE_AGAIN);
    }
    let session = Session::load(bundle).map(|session| {
        let found = format!("the logits are those of the export, computed by {}", session.engine());
        (session, found)
    });
    let Some(session) = checks.add(("probe", "自检"), session, ANOTHER_MACHINE) else { return };
    let fusion = match session.fusions() {
        Ok(fusions) => Ok(((), format!("dense layers {:?} run on the program's own operators", fusions.layers))),
        Err(why) => Err(format!("{why}: the model runs on tract alone, correctly but several times slower")),
    };
    let fix = (
        "nothing is wrong with its answers; export it as DenseNet with chexbox train export or model quantize to have it run fast",
        "结果无误，仅速度较慢；用 chexbox train export 或 model quantize 导出可加速",
    );
    checks.add(("fused operators", "融合算子"), fusion, fix);
}
