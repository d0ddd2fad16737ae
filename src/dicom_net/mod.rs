//! DICOM over the network: films in by C-STORE, results out to a PACS.

pub mod scp;
