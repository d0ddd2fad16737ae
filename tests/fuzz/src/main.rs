//! `cargo run -- --seconds 120 [--seed N] [--only NAME]` mutates the corpus, or the files whose names
//! hold NAME, and checks the property on each mutation;
//! `cargo run -- --target token --executions 10000000 [--seed N]` does so for a target of small inputs (small.rs names them);
//! `cargo run -- --draw` draws the corpus anew; `cargo run -- FILE` checks one file.
//! The film that is being checked lies in `last_input` meanwhile, so that even an abort leaves it; a working folder in memory
//! (`/dev/shm`) makes that cheap.

use chexbox_fuzz::mutation::{Dice, mutated};
use chexbox_fuzz::small::{TARGETS, Target};
use chexbox_fuzz::{corpus, property::radiograph_never_lies};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

/// A file that takes longer is kept and reported: hostile files are to be refused in well under a second.
const SLOW: Duration = Duration::from_millis(700);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| arguments.iter().position(|a| a == name).and_then(|i| arguments.get(i + 1));
    let number = |name: &str| -> Option<u64> { option(name).and_then(|n| n.parse().ok()) };
    match arguments.first().map(String::as_str) {
        Some("--draw") => {
            for (name, bytes) in corpus::files() {
                std::fs::write(corpus::folder().join(name), bytes)?;
            }
            TARGETS.iter().try_for_each(|target| Ok(target.redraw()?))
        }
        Some("--target") => {
            let name = option("--target").map_or("", String::as_str);
            let target = Target::named(name)
                .ok_or_else(|| format!("no target {name:?}, there are {}", TARGETS.map(|t| t.name).join(", ")))?;
            target.fuzz(number("--executions").unwrap_or(100_000), number("--seed").unwrap_or(1))
        }
        Some(path) if !path.starts_with("--") => {
            let bytes = std::fs::read(path)?;
            let start = Instant::now();
            radiograph_never_lies(&bytes);
            let took = start.elapsed();
            let outcome = chexbox::radiograph::decode(&bytes).map(|film| film.facts);
            println!("{outcome:?} in {took:?} for two readings, an identity and a copy");
            Ok(())
        }
        _ => {
            let time = Duration::from_secs(number("--seconds").unwrap_or(10));
            fuzz(time, number("--seed").unwrap_or(1), option("--only").map_or("", String::as_str))
        }
    }
}

fn fuzz(time: Duration, seed: u64, only: &str) -> Result<(), Box<dyn Error>> {
    let mut files = corpus::read()?;
    files.retain(|(name, _)| name.contains(only));
    if files.is_empty() {
        return Err(format!("no corpus file has {only} in its name").into());
    }
    let mut dice = Dice::new(seed);
    let mut outcomes: BTreeMap<&str, u64> = BTreeMap::new();
    let (start, mut slowest) = (Instant::now(), Duration::ZERO);
    let mut executions = 0_u64;
    while start.elapsed() < time {
        let (_, file) = &files[dice.below(files.len())];
        let (_, other) = &files[dice.below(files.len())];
        let input = mutated(file, other, &mut dice);
        std::fs::write("last_input", &input)?;
        let begin = Instant::now();
        let kept = std::panic::catch_unwind(|| radiograph_never_lies(&input));
        let took = begin.elapsed();
        executions += 1;
        let Ok(outcome) = kept else {
            return Err(format!("the property does not hold, see last_input (seed {seed}, execution {executions})").into());
        };
        if took > SLOW {
            let name = format!("slow_{executions}");
            std::fs::copy(Path::new("last_input"), &name)?;
            println!("{name}: {took:?}");
        }
        slowest = slowest.max(took);
        *outcomes.entry(outcome).or_default() += 1;
    }
    std::fs::remove_file("last_input")?;
    println!(
        "{executions} executions in {:?}, the slowest {slowest:?} for two readings, an identity and a copy",
        start.elapsed()
    );
    for (outcome, count) in outcomes {
        println!("{count:9} {outcome}");
    }
    Ok(())
}
