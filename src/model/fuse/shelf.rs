//! Maps that are used again: a map of the first block is several megabytes, and the system would hand out and clear
//! new pages for it at every film.

use std::sync::{Mutex, PoisonError};
use tract_onnx::tract_hir::internal::*;

/// Most maps kept: as many as films are likely to be read side by side. More are given back to the system.
const KEPT_MAX: usize = 64;

/// Maps of one shape, f32, [1, H, W, channels].
#[derive(Debug)]
pub(super) struct Shelf {
    shape: [usize; 4],
    maps: Mutex<Vec<Tensor>>,
}

impl Shelf {
    pub(super) fn of(shape: [usize; 4]) -> Self {
        Self { shape, maps: Mutex::new(Vec::new()) }
    }

    pub(super) fn shape(&self) -> [usize; 4] {
        self.shape
    }

    /// A map with any content.
    pub(super) fn take(&self) -> TractResult<Tensor> {
        let kept = self.lock().pop();
        kept.map_or_else(|| Tensor::zero::<f32>(&self.shape), Ok)
    }

    /// Takes a map back that nobody needs any more.
    pub(super) fn give_back(&self, map: TValue) {
        // A map that somebody else holds, as a debugging caller of the plan may, stays theirs.
        if !map.is_exclusive() || map.shape() != self.shape {
            return;
        }
        let mut maps = self.lock();
        if maps.len() < KEPT_MAX {
            maps.push(map.into_tensor());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Tensor>> {
        self.maps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
