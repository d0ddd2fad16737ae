//! Where the real radiographs are: `CHEXBOX_DATA`, or `../shared/data` beside the repository.
//! They may be absent; a test then says that it skipped them.

use std::path::PathBuf;

/// The folder of real data with `below` in it, or `None` and a line that says what was skipped.
pub fn real(below: &str, what: &str) -> Option<PathBuf> {
    let root = std::env::var_os("CHEXBOX_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let path = root.join(below);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {what} ({} is absent)", path.display());
    None
}
