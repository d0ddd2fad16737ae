//! The chexbox binary: parse the command line, run one verb, end with its exit code.

mod cli;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("error,chexbox=warn")).init();
    // A panic costs one film its answer; where it happened belongs into the log, its message may quote the film.
    std::panic::set_hook(Box::new(|panic| {
        log::error!("panic at {}", panic.location().map_or_else(String::new, ToString::to_string))
    }));
    let line = cli::CommandLine::parse();
    match line.run() {
        Ok(exit) => exit.into(),
        Err(error) => {
            cli::say(&format!("chexbox: {error}"));
            cli::Exit::of(error.as_ref()).into()
        }
    }
}
