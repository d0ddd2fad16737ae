//! `chexbox models`: what the binary, or a folder, can find, and where its operating points lie.

use super::{Exit, Failure, load, print};
use chexbox::model::Bundle;

/// Options of `models`.
#[derive(clap::Args)]
pub struct ModelsArgs {
    /// findings25, findings10, all, or a folder with a bundle / 模型名或文件夹
    #[arg(long, default_value = "all")]
    model: String,
}

/// Runs the verb.
///
/// # Errors
/// A sentence, if a model is not accepted.
pub fn run(args: &ModelsArgs) -> Result<Exit, Failure> {
    let text: String = load::bundles(&args.model)?.iter().map(describe).collect();
    print(text.as_bytes())?;
    Ok(Exit::Done)
}

fn describe(bundle: &Bundle) -> String {
    let m = bundle.manifest();
    let (size, detail, age) = (m.input.size, m.input.detail, m.intended_use.minimum_age_years);
    let mut lines = vec![
        format!("{} {}  {} / {}", m.name, m.version, m.title_en, m.title_zh),
        format!("  sha256 {}  {} bytes", m.file.sha256, m.file.bytes),
        format!("  input {size} x {size} px, detail {detail} px; patients of {age} years and over"),
    ];
    lines.extend(m.findings.iter().map(|f| match f.operating {
        Some(o) => format!("  {:<34} {:<8} operating point {:.3}", f.id, f.variable, o.threshold),
        None => format!("  {:<34} {:<8} not trained / 未训练", f.id, f.variable),
    }));
    lines.join("\n") + "\n\n"
}
