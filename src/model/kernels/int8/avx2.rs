//! int8 with what AVX2 has: pairs of products in saturating 16 bits, which the weights are checked never to saturate.

use std::arch::x86_64::*;

use super::super::arithmetic::{NARROW, Operations, PANEL, Product, Tile, WIDE, products};
use super::super::loops;
use super::{Int8, ymm};

ymm::operations!("avx2,fma", dot);

#[inline]
#[target_feature(enable = "avx2,fma")]
fn dot(sum: __m256i, values: __m256i, weights: __m256i) -> __m256i {
    let pairs = _mm256_maddubs_epi16(values, weights);
    _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
}
