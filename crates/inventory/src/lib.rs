//! The part of inventory's interface that tract uses, but for what would stay in the binary without being asked for.
//!
//! What is submitted to an inventory is registered before `main`, so that no linker may drop it. tract submits its
//! kernels, which are needed, and its transforms of whole models (to half precision, by patches in its own text format),
//! which only its command line asks for; the last of them holds the whole of tract-nnef. This crate stands in the place of
//! inventory (`[patch.crates-io]`) and takes everything but those. Linux alone: a pointer in `.init_array`.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::{Mutex, PoisonError};

/// A type that values can be submitted of: see [`collect`].
pub trait Collect: Sync + Sized + 'static {
    #[doc(hidden)]
    fn registry() -> &'static Registry<Self>;
}

#[doc(hidden)]
pub struct Registry<T: 'static>(Mutex<Vec<&'static T>>);

impl<T> Registry<T> {
    /// Nothing submitted yet.
    #[doc(hidden)]
    pub const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[doc(hidden)]
pub trait Submitted: Sync {
    fn register(&'static self);
}

impl<T: Collect> Submitted for T {
    fn register(&'static self) {
        T::registry().0.lock().unwrap_or_else(PoisonError::into_inner).push(self);
    }
}

#[doc(hidden)]
pub enum Never {}

/// `iter::<T>()` or `iter::<T>`: everything of type `T` that was submitted, the last first.
#[allow(non_camel_case_types, clippy::manual_non_exhaustive)]
pub enum iter<T> {
    #[doc(hidden)]
    iter,
    #[doc(hidden)]
    Unused(Never, PhantomData<T>),
}

mod value {
    #[doc(hidden)]
    pub use super::iter::iter;
}

// By `*`, so that the variant is `iter` among the values and the enum above stays `iter` among the types.
#[doc(hidden)]
pub use value::*;

/// The submitted values.
pub type Iter<T> = std::iter::Rev<std::vec::IntoIter<&'static T>>;

fn submitted<T: Collect>() -> Iter<T> {
    T::registry().0.lock().unwrap_or_else(PoisonError::into_inner).clone().into_iter().rev()
}

impl<T: Collect> IntoIterator for iter<T> {
    type Item = &'static T;
    type IntoIter = Iter<T>;

    fn into_iter(self) -> Iter<T> {
        submitted()
    }
}

impl<T: Collect> Deref for iter<T> {
    type Target = fn() -> Iter<T>;

    fn deref(&self) -> &Self::Target {
        &(submitted::<T> as fn() -> Iter<T>)
    }
}

/// Makes a type one that values can be submitted of.
#[macro_export]
macro_rules! collect {
    ($type:ty) => {
        impl $crate::Collect for $type {
            fn registry() -> &'static $crate::Registry<Self> {
                static REGISTRY: $crate::Registry<$type> = $crate::Registry::new();
                &REGISTRY
            }
        }
    };
}

/// Registers a value before `main`; nothing for a transform of tract's.
#[macro_export]
macro_rules! submit {
    (ModelTransformFactory $($rest:tt)*) => {};
    ($root:tt :: transform :: ModelTransformFactory $($rest:tt)*) => {};
    ($value:expr) => {
        const _: () = {
            static SUBMITTED: &dyn $crate::Submitted = &{ $value };
            extern "C" fn register() {
                SUBMITTED.register();
            }
            #[used]
            #[unsafe(link_section = ".init_array")]
            static BEFORE_MAIN: extern "C" fn() = register;
        };
    };
}

#[cfg(test)]
mod tests {
    struct Word(&'static str);
    #[allow(dead_code)]
    struct ModelTransformFactory(&'static str);

    collect!(Word);
    submit! { Word("one") }
    submit! { Word("two") }
    submit! { ModelTransformFactory("no type that is collected, and no error either") }

    #[test]
    fn what_was_submitted_is_there_in_both_spellings() {
        let mut words: Vec<&str> = crate::iter::<Word>().map(|w| w.0).collect();
        words.sort_unstable();
        assert_eq!(words, ["one", "two"]);
        assert_eq!(crate::iter::<Word>.into_iter().count(), 2);
    }
}
