//! The promises of chexbox, a module each. One binary, so that linking happens once.

mod allocation;
mod data;
mod decoding;
mod dicom_file;
mod hostile;
mod intended_use;
mod layers;
mod memory;
mod models;
mod parity;
mod pictures;
mod public_files;
mod reading;
mod real;
mod run;
mod statistics;
