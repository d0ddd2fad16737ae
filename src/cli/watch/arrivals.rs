//! Which files of a folder have arrived: a decision over what was seen and when, apart from the folder itself.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Endings that programs give files which they are still writing.
const UNFINISHED: [&str; 7] = [".part", ".partial", ".tmp", ".temp", ".filepart", ".crdownload", "~"];

/// What was seen of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Size, bytes.
    pub bytes: u64,
    /// When it was last written to.
    pub modified: SystemTime,
}

/// How long a file must rest.
#[derive(Clone, Copy, Debug)]
pub struct Rest {
    /// Before it is read.
    pub settle: Duration,
    /// Before what looks damaged, and may be half a file, is refused.
    pub patience: Duration,
}

/// The files that wait, and since when they have not changed.
#[derive(Debug, Default)]
pub struct Arrivals {
    waiting: HashMap<PathBuf, (Seen, Duration)>,
}

impl Arrivals {
    /// Takes in what the folder holds at `now` (since the start of the watch).
    pub fn observe(&mut self, found: &[(PathBuf, Seen)], now: Duration) {
        self.waiting.retain(|path, _| found.iter().any(|(other, _)| other == path));
        for (path, seen) in found {
            let since = match self.waiting.get(path) {
                Some((before, since)) if before == seen => *since,
                _ => now,
            };
            self.waiting.insert(path.clone(), (*seen, since));
        }
    }

    /// The files that have rested long enough to be read, the longest first; an empty file is half a file.
    pub fn ready(&self, rest: Rest, now: Duration) -> Vec<PathBuf> {
        let rested = |bytes: u64, since: Duration| {
            let wanted = if bytes == 0 { rest.patience.max(rest.settle) } else { rest.settle };
            now.saturating_sub(since) >= wanted
        };
        let mut ready: Vec<(Duration, &PathBuf)> = self
            .waiting
            .iter()
            .filter(|(_, (seen, since))| rested(seen.bytes, *since))
            .map(|(path, (_, since))| (*since, path))
            .collect();
        ready.sort();
        ready.into_iter().map(|(_, path)| path.clone()).collect()
    }

    /// Whether a file that looks damaged has rested so long that it is no half file.
    pub fn is_final(&self, path: &Path, rest: Rest, now: Duration) -> bool {
        self.waiting.get(path).is_none_or(|(_, since)| now.saturating_sub(*since) >= rest.patience)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// Whether a file's name says that it is no film yet: hidden, or still being written.
pub fn is_unfinished(name: &str) -> bool {
    let name = name.to_lowercase();
    name.starts_with('.') || UNFINISHED.iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Rest = Rest { settle: Duration::from_secs(2), patience: Duration::from_secs(60) };

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn seen(bytes: u64, modified: u64) -> Seen {
        Seen { bytes, modified: SystemTime::UNIX_EPOCH + seconds(modified) }
    }

    #[test]
    fn a_file_that_grows_is_not_read_before_it_rests() {
        let (mut arrivals, path) = (Arrivals::default(), PathBuf::from("a.dcm"));
        for (now, bytes, ready) in [(0, 10, false), (1, 20, false), (2, 30, false), (3, 30, false), (4, 30, true)] {
            arrivals.observe(&[(path.clone(), seen(bytes, 0))], seconds(now));
            assert_eq!(!arrivals.ready(REST, seconds(now)).is_empty(), ready, "second {now}");
        }
        arrivals.observe(&[(path.clone(), seen(30, 9))], seconds(5));
        assert_eq!(arrivals.ready(REST, seconds(5)), Vec::<PathBuf>::new());
        arrivals.observe(&[], seconds(6));
        assert!(arrivals.is_empty());
    }

    #[test]
    fn an_empty_or_damaged_file_has_until_patience_ends() {
        let (mut arrivals, path) = (Arrivals::default(), PathBuf::from("a.dcm"));
        for (now, is_final) in [(0, false), (59, false), (60, true)] {
            arrivals.observe(&[(path.clone(), seen(0, 0))], seconds(now));
            assert_eq!(arrivals.is_final(&path, REST, seconds(now)), is_final);
            assert_eq!(!arrivals.ready(REST, seconds(now)).is_empty(), is_final);
        }
    }

    #[test]
    fn what_is_still_being_written_is_known_by_its_name() {
        for (name, unfinished) in
            [("a.dcm", false), (".a.dcm", true), ("a.dcm.part", true), ("A.TMP", true), ("a~", true), ("party", false)]
        {
            assert_eq!(is_unfinished(name), unfinished, "{name}");
        }
    }
}
