//! Models: what a bundle is, which ones the binary carries, and how one is run.

mod bundle;
mod declared;
pub mod kernels;
mod manifest;
pub(crate) mod onnx;
mod probe;
pub mod quantize;
mod session;
mod unpack;

pub use bundle::{Bundle, BundleError, MANIFEST_FILE};
pub use declared::{Declared, check_shapes, declared};
pub use manifest::{FileSpec, FindingSpec, InputSpec, IntendedUse, Manifest, ManifestError, Operating, OutputSpec, sha256_hex};
pub use probe::{Probe, ProbeError};
pub use session::{Activations, ModelError, Session};
pub use unpack::{UnpackError, dequantize_weights};
