//! The promises of chexbox, a module each. One binary, so that linking happens once.

mod data;
mod layers;
mod models;
mod parity;
mod pictures;
mod reading;
mod real;
mod run;
