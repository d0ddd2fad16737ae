//! The service over HTTP: `gate` meets the network, `token` says who may ask, `route` answers.

pub mod backend;
pub mod desk;
pub mod failures;
pub mod gate;
pub mod page;
pub mod route;
pub mod token;
