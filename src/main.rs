//! The chexbox binary: parse the command line, run one verb, end with its exit code.

mod cli;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("error")).init();
    let line = cli::CommandLine::parse();
    match line.verb.run() {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("chexbox: {error}");
            cli::Exit::CannotRun.into()
        }
    }
}
