//! .

pub mod gate;
