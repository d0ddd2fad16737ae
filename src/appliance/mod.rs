//! The machine the appliance runs on: its configuration, its identity, and how it speaks to systemd.

pub mod config;
pub mod destinations;
pub mod dicom_in;
pub mod machine;
pub mod notify;
pub mod patients;
