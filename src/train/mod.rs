//! Training (feature `train`): a label file and a folder of films go in, a bundle that the program
//! reads comes out. The appliance never contains this module.
//!
//! The line, a file each: [`label_set`], [`origin`] and [`data`] (what is learnt from), [`films`] (pixels, by the same chain as
//! inference), [`folds`] and [`stratify`] (the parts on disk), [`auxiliary`], [`soft`], [`normals`], [`provenance`] and
//! [`targets`] (what each head shall say), [`selection`] and [`study`] (all of it, checked), [`augment`], [`order`] and
//! [`batches`], [`densenet`], [`init`] (weights to start from), [`schedule`], [`objective`], [`optimiser`], `replicas`, `beginning` and [`fit`] (the
//! loop), [`snapshot`], [`log`], [`page`]; [`ensemble`] of folds; then [`evaluate`], [`onnx`], [`rounding`] (to 8-bit integers), [`boxes`], [`probe`], [`card`]
//! and [`bundle`]. [`smoke`] runs the line in seconds.

pub use crate::model::architecture;

pub mod augment;
pub mod auxiliary;
pub mod batches;
mod beginning;
pub mod boxes;
pub mod bundle;
pub mod card;
pub mod data;
pub mod densenet;
pub mod ensemble;
pub mod evaluate;
pub mod films;
pub mod fit;
pub mod folds;
pub mod gate;
pub mod init;
pub mod label_set;
pub mod log;
pub mod normals;
pub mod objective;
pub mod onnx;
pub mod optimiser;
pub mod order;
pub mod origin;
pub mod page;
pub mod probe;
pub mod provenance;
pub mod random;
pub mod replicas;
pub mod rounding;
pub mod schedule;
pub mod selection;
pub mod smoke;
pub mod snapshot;
pub mod soft;
pub mod stratify;
pub mod study;
pub mod targets;

/// Why a training run stops.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A file of the user's that cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file of the user's whose content is not what it must be.
    #[error("{path}: {what}")]
    Content {
        /// The file.
        path: String,
        /// Field, value and what was allowed.
        what: String,
    },
    /// Faults of the label file, all of them.
    #[error(transparent)]
    Labels(#[from] crate::labels::FaultList),
    /// libtorch refuses.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
    /// The run cannot go on.
    #[error("{0}")]
    Run(String),
}

impl TrainError {
    /// An error of the file at `path`.
    pub fn file(path: &std::path::Path, source: std::io::Error) -> Self {
        Self::File { path: path.display().to_string(), source }
    }

    /// A content fault of the file at `path`.
    pub fn content(path: &std::path::Path, what: impl Into<String>) -> Self {
        Self::Content { path: path.display().to_string(), what: what.into() }
    }
}
