//! Films shown after their reading: the latest ones, in bounded memory, gone with the process.

use chexbox::limits::PREVIEW_BYTES_MAX;
use chexbox::report::Display;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The latest films, by the digest of their file; the one asked for last is kept longest.
#[derive(Default)]
pub struct Previews(Mutex<Shelf>);

#[derive(Default)]
struct Shelf {
    films: VecDeque<(String, Arc<Display>)>,
    bytes: usize,
}

impl Previews {
    /// Keeps a film for a while.
    pub fn put(&self, film_sha256: &str, film: Display) {
        let mut shelf = self.lock();
        shelf.take(film_sha256);
        shelf.bytes += film.greys().len();
        shelf.films.push_back((film_sha256.to_owned(), Arc::new(film)));
        while shelf.bytes > PREVIEW_BYTES_MAX {
            let Some((_, oldest)) = shelf.films.pop_front() else { break };
            shelf.bytes -= oldest.greys().len();
        }
    }

    /// The film, if it is still there.
    pub fn get(&self, film_sha256: &str) -> Option<Arc<Display>> {
        let mut shelf = self.lock();
        let film = shelf.take(film_sha256)?;
        shelf.bytes += film.greys().len();
        shelf.films.push_back((film_sha256.to_owned(), Arc::clone(&film)));
        Some(film)
    }

    /// Whether the film is still there.
    pub fn has(&self, film_sha256: &str) -> bool {
        self.lock().films.iter().any(|(sha256, _)| sha256 == film_sha256)
    }

    /// Forgets a film.
    pub fn drop_film(&self, film_sha256: &str) {
        self.lock().take(film_sha256);
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn take(&mut self, film_sha256: &str) -> Option<Arc<Display>> {
        let at = self.films.iter().position(|(sha256, _)| sha256 == film_sha256)?;
        let (_, film) = self.films.remove(at)?;
        self.bytes -= film.greys().len();
        Some(film)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chexbox::radiograph::{Grey, Samples, linear_tone};

    #[test]
    fn the_film_asked_for_last_is_kept_longest_within_the_bound() {
        let film = || Display::of(&Grey::new(1024, 1024, Samples::U8(vec![9; 1 << 20]), linear_tone(256)).unwrap());
        let (previews, room) = (Previews::default(), PREVIEW_BYTES_MAX >> 20);
        for i in 0..room {
            previews.put(&i.to_string(), film());
        }
        assert!(previews.get("0").is_some());
        previews.put("new", film());
        assert!(previews.has("0") && previews.has("new") && !previews.has("1") && previews.has("2"));
        previews.put("new", film());
        assert_eq!(previews.lock().bytes, PREVIEW_BYTES_MAX);
        previews.drop_film("new");
        assert_eq!(previews.lock().bytes, PREVIEW_BYTES_MAX - (1 << 20));
    }
}
