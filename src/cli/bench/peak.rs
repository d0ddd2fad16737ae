//! The peak of one core, in the arithmetic and the instruction set that the kernels use here.

use super::{Arithmetic, BenchArgs, line, machine, rounded, timed};
use crate::cli::Failure;
use chexbox::model::kernels::{Factors, InstructionSet, peak};
use serde::Serialize;

/// Turns of one try: a few milliseconds.
const TURNS: u64 = 1_000_000;
/// Tries; the best counts, for nothing makes a core faster than it is.
const TRIES: usize = 50;

#[derive(Serialize)]
struct Measured {
    precision: Arithmetic,
    instruction_set: String,
    /// 10^9 operations a second, a multiply-add counted as two.
    giga_operations: f64,
    processor: Option<String>,
}

/// Measures, and says what was found.
///
/// # Errors
/// A sentence, if the kernels are plain loops here.
pub(super) fn report(args: &BenchArgs) -> Result<String, Failure> {
    let set = InstructionSet::chosen()?;
    let factors = match args.precision {
        Arithmetic::Int8 => Factors::Int8,
        Arithmetic::F32 => Factors::F32,
    };
    let mut best = 0.0_f64;
    for _ in 0..TRIES {
        let (operations, ms) = timed(|| peak(set, factors, TURNS));
        let operations = operations.ok_or("this processor runs the portable loops, which have no peak to measure")?;
        best = best.max(operations as f64 / ms / 1e6);
    }
    let measured = Measured {
        precision: args.precision,
        instruction_set: set.to_string(),
        giga_operations: rounded(best),
        processor: machine::processor(),
    };
    if args.json { line(&measured) } else { Ok(format!("{set}: {best:.0} GOP/s on one core / 单核\n")) }
}
