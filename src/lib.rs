//! chexbox reads chest radiographs: a film goes in; findings with calibrated
//! probabilities, a heat map per finding and a report come out.
//!
//! Start at [`reading`]: it is the whole chain on one screen.
//! A screening aid for trained staff, not a diagnosis.

#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod appliance;
pub mod dicom_net;
pub mod evaluation;
pub mod findings;
pub mod grad_cam;
pub mod http;
pub mod input;
pub mod labels;
pub mod lang;
pub mod limits;
pub mod model;
pub mod radiograph;
pub mod reading;
pub mod report;
pub mod stats;
pub mod store;
pub mod threads;

#[cfg(feature = "train")]
pub mod train;
