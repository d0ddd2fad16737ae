//! .
mod cli;
use clap::Parser;
#[derive(Parser)]
enum Verb {
    #[cfg(feature = "train")]
    Train(cli::train::TrainArgs),
}
fn main() -> Result<(), String> {
    match Verb::parse() {
        #[cfg(feature = "train")]
        Verb::Train(args) => cli::train::run(args),
    }
}
