//! The crate inventory, but for what it would keep in the binary without being asked for.
//!
//! What is submitted to an inventory is registered before `main`, so that no linker may drop it. tract submits its
//! kernels, which are needed, and its transforms of whole models (to half precision, by patches in its own text format),
//! which only its command line asks for; the last of them holds the whole of tract-nnef. This crate stands in the place of
//! inventory (`[patch.crates-io]`) and hands on everything but those.

pub use original::*;

#[doc(hidden)]
pub mod by_type {
    pub use original::submit;
}

/// As [`original::submit`], and nothing for a transform of tract's.
#[macro_export]
macro_rules! submit {
    (ModelTransformFactory $($rest:tt)*) => {};
    ($root:tt :: transform :: ModelTransformFactory $($rest:tt)*) => {};
    ($($item:tt)*) => { $crate::by_type::submit! { $($item)* } };
}
