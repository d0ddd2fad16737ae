//! `chexbox models`: what the binary, or a folder, can find, and where its operating points lie.

use super::{Exit, Failure, load};
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
    for bundle in load::bundles(&args.model)? {
        print(&bundle);
    }
    Ok(Exit::Done)
}

fn print(bundle: &Bundle) {
    let m = bundle.manifest();
    println!("{} {}  {} / {}", m.name, m.version, m.title_en, m.title_zh);
    println!("  sha256 {}  {} bytes", m.file.sha256, m.file.bytes);
    println!(
        "  input {0} x {0} px, detail {1} px; patients of {2} years and over",
        m.input.size, m.input.detail, m.intended_use.minimum_age_years
    );
    for f in &m.findings {
        match f.operating {
            Some(o) => println!("  {:<34} {:<8} operating point {:.3}", f.id, f.variable, o.threshold),
            None => println!("  {:<34} {:<8} not trained / 未训练", f.id, f.variable),
        }
    }
    println!();
}
