//! The most that one core can do: multiply-adds on registers alone. What the kernels' times are held against.
//!
//! In: an instruction set and how many turns. Out: operations done, a multiply-add counted as two. Nothing here reads
//! a clock.

use super::cpu::InstructionSet;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;
use std::hint::black_box;

/// Sums that are independent of each other: more than latency times ports of any of these instructions.
#[cfg(target_arch = "x86_64")]
const SUMS: u64 = 12;

/// What is multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Factors {
    /// Unsigned by signed bytes, summed in 32 bits.
    Int8,
    /// f32.
    F32,
}

/// Multiplies and adds for so many turns; the operations done. `None` where the CPU lacks the instructions, or they are plain loops.
#[must_use]
pub fn peak(set: InstructionSet, factors: Factors, turns: u64) -> Option<u64> {
    #[cfg(target_arch = "x86_64")]
    if set.is_present() {
        // SAFETY: the instruction set is present.
        let lanes = unsafe {
            match (set, factors) {
                (InstructionSet::Portable, _) => return None,
                (InstructionSet::Sse41, Factors::Int8) => pairs_128(turns),
                (InstructionSet::Sse41, Factors::F32) => floats_128(turns),
                (InstructionSet::Avx512Vnni, Factors::Int8) => bytes_512(turns),
                (InstructionSet::Avx512Vnni, Factors::F32) => floats_512(turns),
                (InstructionSet::AvxVnni, Factors::Int8) => bytes_256(turns),
                (InstructionSet::Avx2, Factors::Int8) => pairs_256(turns),
                (InstructionSet::AvxVnni | InstructionSet::Avx2, Factors::F32) => floats_256(turns),
            }
        };
        return Some(2 * lanes * SUMS * turns);
    }
    let _ = black_box((set, factors, turns));
    None
}

/// Repeats one instruction on sums that stay in registers; gives the products of one instruction.
#[cfg(target_arch = "x86_64")]
macro_rules! repeated {
    ($name:ident, $features:literal, $products:literal, $zero:expr, $value:expr, |$sum:ident, $factor:ident| $next:expr) => {
        #[target_feature(enable = $features)]
        fn $name(turns: u64) -> u64 {
            let $factor = black_box($value);
            let mut sums = [$zero; SUMS as usize];
            for _ in 0..turns {
                for sum in &mut sums {
                    let $sum = *sum;
                    *sum = $next;
                }
            }
            black_box(sums);
            $products
        }
    };
}

#[cfg(target_arch = "x86_64")]
repeated!(bytes_512, "avx512f,avx512vnni", 64, _mm512_setzero_si512(), _mm512_set1_epi8(3), |sum, factor| {
    _mm512_dpbusd_epi32(sum, factor, factor)
});
#[cfg(target_arch = "x86_64")]
repeated!(bytes_256, "avx2,avxvnni", 32, _mm256_setzero_si256(), _mm256_set1_epi8(3), |sum, factor| {
    _mm256_dpbusd_avx_epi32(sum, factor, factor)
});
#[cfg(target_arch = "x86_64")]
repeated!(pairs_256, "avx2", 32, _mm256_setzero_si256(), _mm256_set1_epi8(3), |sum, factor| {
    // The sum is a factor too, so that the products are not taken out of the loop.
    _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(sum, factor), factor))
});
#[cfg(target_arch = "x86_64")]
repeated!(floats_512, "avx512f", 16, _mm512_setzero_ps(), _mm512_set1_ps(1e-3), |sum, factor| {
    _mm512_fmadd_ps(factor, factor, sum)
});
#[cfg(target_arch = "x86_64")]
repeated!(floats_256, "avx2,fma", 8, _mm256_setzero_ps(), _mm256_set1_ps(1e-3), |sum, factor| {
    _mm256_fmadd_ps(factor, factor, sum)
});
#[cfg(target_arch = "x86_64")]
repeated!(pairs_128, "sse4.1", 16, _mm_setzero_si128(), _mm_set1_epi8(3), |sum, factor| {
    _mm_add_epi32(sum, _mm_madd_epi16(_mm_maddubs_epi16(sum, factor), factor))
});
#[cfg(target_arch = "x86_64")]
repeated!(floats_128, "sse4.1", 4, _mm_setzero_ps(), _mm_set1_ps(1e-3), |sum, factor| {
    _mm_add_ps(_mm_mul_ps(sum, factor), factor)
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_grow_with_the_turns_and_plain_loops_have_no_peak() {
        for factors in [Factors::Int8, Factors::F32] {
            assert_eq!(peak(InstructionSet::Portable, factors, 10), None);
            for set in InstructionSet::ALL.into_iter().filter(|s| *s != InstructionSet::Portable && s.is_present()) {
                let (one, ten) = (peak(set, factors, 1).unwrap(), peak(set, factors, 10).unwrap());
                assert_eq!(10 * one, ten, "{set} {factors:?}");
            }
        }
    }
}
