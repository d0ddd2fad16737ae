//! .
#[cfg(feature = "train")]
pub mod train;
