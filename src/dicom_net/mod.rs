//! DICOM over the network: films in by C-STORE, results out to a PACS.

mod elements;
pub mod scp;
mod scu;
pub mod send;
mod socket;
pub mod stow;
mod wire;
