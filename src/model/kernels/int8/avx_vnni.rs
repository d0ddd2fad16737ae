//! int8 with 256-bit dot products of bytes.

use std::arch::x86_64::*;

use super::super::arithmetic::{NARROW, Operations, PANEL, Product, Tile, WIDE, products};
use super::super::loops;
use super::{Int8, ymm};

ymm::operations!("avx2,fma,avxvnni", _mm256_dpbusd_avx_epi32);
