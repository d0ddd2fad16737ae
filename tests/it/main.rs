//! The promises of chexbox, a module each. One binary, so that linking happens once.

mod allocation;
mod bench_verb;
mod beside_films;
mod comparison;
mod data;
mod decoding;
mod densenet;
mod dicom_file;
mod evaluation;
mod fusion;
mod hostile;
mod import;
mod intended_use;
mod labels;
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
mod statistics;
mod synthetic;
