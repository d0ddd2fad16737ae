//! Third-party decoders at arm's length: a panic inside one costs one answer, not the program, and
//! prints nothing.

use super::refusal::{Code, Refusal};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// How many contained calls this thread is in; the panic hook is silent inside one.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

static HOOK: Once = Once::new();

/// Crates whose decoders start threads of their own, where `DEPTH` does not reach.
const THREADED: [&str; 1] = ["jpeg-decoder-"];

/// Runs `decode`; a panic inside becomes a refusal that names `what`.
///
/// # Errors
/// `DamagedFile` where it panicked: decoders panic on bytes that no encoder writes.
pub(super) fn contained<T>(what: &str, decode: impl FnOnce() -> T) -> Result<T, Refusal> {
    HOOK.call_once(|| {
        let others = take_hook();
        set_hook(Box::new(move |panic| {
            let threaded = panic.location().is_some_and(|at| THREADED.iter().any(|name| at.file().contains(name)));
            if DEPTH.get() == 0 && !threaded {
                others(panic);
            }
        }));
    });
    DEPTH.set(DEPTH.get() + 1);
    // A decoder owns all it changes: on a panic its state is dropped with it.
    let outcome = catch_unwind(AssertUnwindSafe(decode));
    DEPTH.set(DEPTH.get() - 1);
    outcome.map_err(|_| Refusal::new(Code::DamagedFile, format!("the {what} decoder failed on this file")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_inside_becomes_a_refusal_and_the_next_call_works() {
        let refusal = contained("test", || panic!("on purpose")).map(|(): ()| ()).unwrap_err();
        assert_eq!(refusal.code(), Code::DamagedFile);
        assert_eq!(refusal.detail(), "the test decoder failed on this file");
        assert_eq!(contained("test", || 7), Ok(7));
        assert_eq!(DEPTH.get(), 0);
    }
}
