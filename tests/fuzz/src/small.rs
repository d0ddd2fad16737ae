//! Targets whose inputs are small texts: each has a corpus in `corpora/NAME`, a property, and a drawing.

use crate::mutation::{Dice, mutated};
use crate::texts;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

/// A parser of outside bytes, and what must hold of it.
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// Panics where it does not hold; otherwise one word for what came of the input.
    pub property: fn(&[u8]) -> &'static str,
    /// Names and bytes of the corpus files.
    pub draw: fn() -> Vec<(String, Vec<u8>)>,
}

/// Every small target.
pub const TARGETS: [Target; 9] = [
    crate::archive_answer::TARGET,
    crate::config::TARGET,
    crate::multipart::TARGET,
    crate::request_head::TARGET,
    crate::token::TARGET,
    text::<0>(),
    text::<1>(),
    text::<2>(),
    text::<3>(),
];

/// A file beside films as a target: its corpus is committed and not drawn.
const fn text<const AT: usize>() -> Target {
    Target { name: texts::TARGETS[AT].name, property: text_property::<AT>, draw: Vec::new }
}

fn text_property<const AT: usize>(bytes: &[u8]) -> &'static str {
    if (texts::TARGETS[AT].check)(bytes) { "accepted" } else { "refused" }
}

impl Target {
    /// The target of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        const KNOWN: &[Target] = &TARGETS;
        KNOWN.iter().find(|target| target.name == name)
    }

    /// Where its corpus lies.
    pub fn folder(&self) -> PathBuf {
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/corpora")).join(self.name)
    }

    /// The committed corpus, by name.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn corpus(&self) -> std::io::Result<Vec<(String, Vec<u8>)>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(self.folder())? {
            let entry = entry?;
            files.push((entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path())?));
        }
        files.sort();
        Ok(files)
    }

    /// Draws the corpus anew.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn redraw(&self) -> std::io::Result<()> {
        std::fs::create_dir_all(self.folder())?;
        (self.draw)().into_iter().try_for_each(|(name, bytes)| std::fs::write(self.folder().join(name), bytes))
    }

    /// Checks the property on so many mutations of the corpus, and prints what came of them.
    ///
    /// # Errors
    /// Where the property does not hold; the input then lies in `failed_input`.
    pub fn fuzz(&self, executions: u64, seed: u64) -> Result<(), Box<dyn Error>> {
        let files = self.corpus()?;
        let mut dice = Dice::new(seed);
        let mut outcomes: BTreeMap<&str, u64> = BTreeMap::new();
        let start = Instant::now();
        for execution in 0..executions {
            let (_, file) = &files[dice.below(files.len())];
            let (_, other) = &files[dice.below(files.len())];
            let input = mutated(file, other, &mut dice);
            let Ok(outcome) = std::panic::catch_unwind(|| (self.property)(&input)) else {
                std::fs::write("failed_input", &input)?;
                return Err(format!("the property does not hold, see failed_input (seed {seed}, execution {execution})").into());
            };
            *outcomes.entry(outcome).or_default() += 1;
        }
        println!("{executions} executions in {:?}", start.elapsed());
        outcomes.iter().for_each(|(outcome, count)| println!("{count:10} {outcome}"));
        Ok(())
    }
}
