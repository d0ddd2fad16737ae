//! The service over HTTP: `gate` meets the network, `token` says who may ask, `route` answers.

pub mod failures;
pub mod token;
