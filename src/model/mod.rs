//! Models: what a bundle is, which ones the binary carries, and how one is run.

mod manifest;
mod unpack;

pub use manifest::{FileSpec, FindingSpec, InputSpec, IntendedUse, Manifest, ManifestError, Operating, OutputSpec, sha256_hex};
pub use unpack::{UnpackError, dequantize_weights};
