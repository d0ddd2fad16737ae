//! Embeds the models: every folder with a manifest below `models/`, or below `CHEXBOX_MODELS`. Their files are deflated in
//! pieces (a fifth less of the binary), which are inflated side by side when the model is asked for.
//! What does not match its manifest stops the build with a sentence that says which file and why.

use miniz_oxide::deflate::core::{
    CompressionStrategy, CompressorOxide, TDEFLFlush, TDEFLStatus, compress, create_comp_flags_from_zip_params,
};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

#[allow(dead_code)]
#[path = "src/model/declared.rs"]
mod declared;
#[allow(dead_code)]
#[path = "src/model/manifest.rs"]
mod manifest;

use manifest::{FileSpec, Manifest};

/// Bytes of a model that are deflated together: enough pieces for every core of a small machine.
const PIECE_BYTES: usize = 1 << 20;

fn main() {
    println!("cargo:rerun-if-env-changed=CHEXBOX_MODELS");
    println!("cargo:rerun-if-changed=Cargo.lock");
    if let Err(why) = embed() {
        // A build script's panic message is what cargo shows; it must read as a sentence.
        eprintln!("\nchexbox: the models cannot be embedded: {why}\n");
        std::process::exit(1);
    }
}

fn embed() -> Result<(), String> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").map_err(|e| e.to_string())?);
    let models = env::var_os("CHEXBOX_MODELS").map_or_else(|| root.join("models"), PathBuf::from);
    let models = models.canonicalize().map_err(|e| format!("folder {}: {e}", models.display()))?;
    println!("cargo:rerun-if-changed={}", models.display());
    let mut code = String::from(
        "pub(super) struct Embedded { name: &'static str, manifest: &'static str, onnx: &'static [&'static [u8]], probe_file: &'static str, probe: &'static [u8] }\n\
         static EMBEDDED: &[Embedded] = &[\n",
    );
    let out = PathBuf::from(env::var("OUT_DIR").map_err(|e| e.to_string())?);
    let mut names = Vec::new();
    for folder in folders(&models)? {
        let (manifest, onnx) = check(&folder).map_err(|why| format!("{}: {why}", folder.display()))?;
        if names.contains(&manifest.name) {
            return Err(format!("{}: another folder holds a model named {} too", folder.display(), manifest.name));
        }
        let at = |file: &str| folder.join(file).display().to_string();
        writeln!(
            code,
            "Embedded {{ name: {:?}, manifest: include_str!({:?}), onnx: &[{}], probe_file: {:?}, probe: include_bytes!({:?}) }},",
            manifest.name,
            at("manifest.toml"),
            deflated(&onnx, &out, &manifest.name)?,
            manifest.probe.name,
            at(&manifest.probe.name),
        )
        .map_err(|e| e.to_string())?;
        names.push(manifest.name);
    }
    if names.is_empty() {
        return Err(format!("{} holds no folder with a manifest.toml", models.display()));
    }
    code.push_str("];\n");
    let out = out.join("embedded_models.rs");
    fs::write(&out, code).map_err(|e| format!("{}: {e}", out.display()))?;
    check_gate(&root.join("models/gate"))?;
    println!("cargo:rustc-env=CHEXBOX_TRACT_VERSION={}", tract_version(&root)?);
    Ok(())
}

/// The folders with a manifest, by name, so that every build lists the models in one order.
fn folders(models: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(models).map_err(|e| format!("folder {}: {e}", models.display()))?;
    let mut found: Vec<_> = entries.flatten().map(|e| e.path()).filter(|p| p.join("manifest.toml").is_file()).collect();
    found.sort();
    Ok(found)
}

/// Writes a model's file in deflated pieces; gives the code that includes them.
fn deflated(onnx: &[u8], out: &Path, name: &str) -> Result<String, String> {
    let mut code = String::new();
    for (n, piece) in onnx.chunks(PIECE_BYTES).enumerate() {
        let path = out.join(format!("{name}.{n}"));
        // Codes without matches: weights do not repeat, they only cluster. What the next level saves is below a hundredth.
        let flags = create_comp_flags_from_zip_params(6, 15, CompressionStrategy::Filtered as i32);
        let mut compressor = CompressorOxide::new(flags);
        let mut deflated = vec![0; piece.len() + piece.len() / 8 + 1024];
        let (status, read, written) = compress(&mut compressor, piece, &mut deflated, TDEFLFlush::Finish);
        if status != TDEFLStatus::Done || read != piece.len() {
            return Err(format!("{name}: piece {n} cannot be deflated: {status:?}"));
        }
        let deflated = deflated.get(..written).unwrap_or_default();
        fs::write(&path, deflated).map_err(|e| format!("{}: {e}", path.display()))?;
        write!(code, "include_bytes!({:?}), ", path.display().to_string()).map_err(|e| e.to_string())?;
    }
    Ok(code)
}

fn check(folder: &Path) -> Result<(Manifest, Vec<u8>), String> {
    let read = |name: &str| {
        let path = folder.join(name);
        println!("cargo:rerun-if-changed={}", path.display());
        fs::read(&path).map_err(|e| format!("{name}: {e}"))
    };
    let text = String::from_utf8(read("manifest.toml")?).map_err(|e| format!("manifest.toml: {e}"))?;
    let manifest = Manifest::parse(&text).map_err(|e| e.to_string())?;
    let content = |spec: &FileSpec| {
        let content = read(&spec.name)?;
        Manifest::check_file(spec, &content).map_err(|e| e.to_string())?;
        Ok::<_, String>(content)
    };
    let onnx = content(&manifest.file)?;
    content(&manifest.probe)?;
    let output = &manifest.output;
    let image = [manifest.input.channels(), manifest.input.size, manifest.input.size];
    declared::check_shapes(&onnx, image, manifest.findings.len(), output.feature_channels, output.feature_side)
        .map_err(|why| format!("{}: {why}", manifest.file.name))?;
    Ok((manifest, onnx))
}

/// The pixel gate's weights against its manifest: the film's path relies on them.
fn check_gate(folder: &Path) -> Result<(), String> {
    #[derive(serde::Deserialize)]
    struct Gate {
        file: FileSpec,
    }
    let fail = |why: String| format!("{}: {why}", folder.display());
    let read = |name: &str| {
        let path = folder.join(name);
        println!("cargo:rerun-if-changed={}", path.display());
        fs::read(&path).map_err(|e| fail(format!("{name}: {e}")))
    };
    let text = String::from_utf8(read("gate.toml")?).map_err(|e| fail(format!("gate.toml: {e}")))?;
    let gate: Gate = toml::from_str(&text).map_err(|e| fail(format!("gate.toml: {e}")))?;
    Manifest::check_file(&gate.file, &read(&gate.file.name)?).map_err(|e| fail(e.to_string()))
}

/// The version of tract that the lock file pins: it stands in every record's provenance.
fn tract_version(root: &Path) -> Result<String, String> {
    let lock = fs::read_to_string(root.join("Cargo.lock")).map_err(|e| format!("Cargo.lock: {e}"))?;
    let mut lines = lock.lines().skip_while(|l| *l != "name = \"tract-core\"").skip(1);
    let version = lines.next().and_then(|l| l.strip_prefix("version = \"")).and_then(|l| l.strip_suffix('"'));
    version.map(str::to_owned).ok_or_else(|| "Cargo.lock names no tract-core".to_owned())
}
