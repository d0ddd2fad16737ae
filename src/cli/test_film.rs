//! `chexbox test-film`: writes the drawn test film.

use super::{Exit, Failure};
use chexbox::radiograph::drawn::DrawnFilm;
use std::path::PathBuf;

/// Options of `test-film`.
#[derive(clap::Args)]
pub struct TestFilmArgs {
    /// PNG file to write (16 bit grey) / 输出文件
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Columns / 宽度
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(64..=8192))]
    width: u32,
    /// Rows / 高度
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(64..=8192))]
    height: u32,
    /// Which anatomy is drawn / 随机种子
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the verb.
///
/// # Errors
/// A sentence, if the file cannot be written.
pub fn run(args: &TestFilmArgs) -> Result<Exit, Failure> {
    let film = DrawnFilm { width: args.width as usize, height: args.height as usize, seed: args.seed };
    std::fs::write(&args.out, film.png()).map_err(|e| format!("{}: {e}", args.out.display()))?;
    Ok(Exit::Done)
}
