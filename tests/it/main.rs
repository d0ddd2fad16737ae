//! The promises of chexbox, a module each. One binary, so that linking happens once.

mod allocation;
mod data;
mod decoding;
mod densenet;
mod dicom_file;
mod fusion;
mod hostile;
mod intended_use;
mod layers;
mod memory;
mod models;
mod parity;
mod pictures;
mod public_files;
mod quantized;
mod reading;
mod real;
mod run;
