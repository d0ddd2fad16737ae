//! The models that the binary carries, deflated by `build.rs` in pieces.
//!
//! In: the name of a model. Out: its files as they lie in `models/`. Only the model asked for is inflated. Never: a byte that
//! `build.rs` did not see; who takes a file checks its digest.

use crate::threads;
use std::borrow::Cow;

include!(concat!(env!("OUT_DIR"), "/embedded_models.rs"));

/// Names of the models, in alphabetical order.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    EMBEDDED.iter().map(|e| e.name)
}

/// The model of this name.
pub(super) fn find(name: &str) -> Option<&'static Embedded> {
    EMBEDDED.iter().find(|e| e.name == name)
}

impl Embedded {
    /// Text of the manifest.
    pub(super) fn manifest(&self) -> &'static str {
        self.manifest
    }

    /// The probe, or the model inflated.
    pub(super) fn file(&self, name: &str) -> Result<Cow<'static, [u8]>, String> {
        if name == self.probe_file { Ok(Cow::Borrowed(self.probe)) } else { inflate(self.onnx).map(Cow::Owned) }
    }
}

/// The pieces inflated and joined, on as many threads as the machine has: starting is what a technician waits for.
fn inflate(pieces: &[&[u8]]) -> Result<Vec<u8>, String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let inflated = threads::with(threads, || {
        threads::map(pieces.len(), |n| pieces.get(n).map_or(Ok(Vec::new()), |piece| fdeflate::decompress_to_vec(piece)))
    });
    let mut joined = Vec::new();
    for piece in inflated {
        joined.extend(piece.map_err(|e| format!("the binary is damaged: {e:?}"))?);
    }
    Ok(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_is_what_the_build_saw_and_a_damaged_piece_is_said() {
        for name in names() {
            let model = find(name).unwrap();
            let whole = inflate(model.onnx).unwrap();
            let deflated: usize = model.onnx.iter().map(|p| p.len()).sum();
            assert!(deflated < whole.len(), "{name}: {deflated} of {}", whole.len());
            let first = model.onnx.first().unwrap();
            let cut = first.get(..first.len() / 2).unwrap();
            assert!(inflate(&[cut]).unwrap_err().contains("damaged"));
        }
        assert!(find("no-such-model").is_none());
    }
}
