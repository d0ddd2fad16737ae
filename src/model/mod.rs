//! Models: what a bundle is, which ones the binary carries, and how one is run.

pub mod architecture;
mod bundle;
mod declared;
pub mod densenet_file;
mod embedded;
mod fuse;
mod head;
pub mod import;
pub mod kernels;
mod manifest;
mod network;
pub(crate) mod onnx;
mod operators;
mod probe;
pub mod quantize;
mod session;
mod unpack;
pub mod weights;

pub use bundle::{Bundle, BundleError, MANIFEST_FILE, Origin};
pub use declared::{Declared, check_shapes, declared};
pub use fuse::{Arithmetic, Fusions};
pub use head::Head;
pub use manifest::{
    Colour, FileSpec, FindingSpec, Fit, InputSpec, IntendedUse, Manifest, ManifestError, Operating, OutputSpec, Point,
    Quantization, sha256_hex,
};
pub use network::{Activations, Engine, Network, NetworkError};
pub use probe::{Probe, ProbeError};
pub use session::{ModelError, Options, Precision, Session};
pub use unpack::{UnpackError, dequantize_weights, remove_quantization};
