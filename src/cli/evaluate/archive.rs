//! Films inside a tar: where each lies, so that threads read them side by side.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A tar whose entries are known.
pub struct Archive {
    file: File,
    entries: HashMap<String, (u64, u64)>,
}

impl Archive {
    /// Lists the entries of a tar.
    ///
    /// # Errors
    /// What the system or the tar reader says.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let mut entries = HashMap::new();
        let mut archive = tar::Archive::new(BufReader::with_capacity(1 << 20, File::open(path)?));
        for entry in archive.entries()? {
            let entry = entry?;
            if entry.header().entry_type().is_file() {
                let name = entry.path()?.to_string_lossy().trim_start_matches("./").to_owned();
                entries.insert(name, (entry.raw_file_position(), entry.size()));
            }
        }
        Ok(Self { file: File::open(path)?, entries })
    }

    /// Where the entry of this name lies, and its size in bytes.
    pub fn find(&self, name: &str) -> Option<(u64, u64)> {
        self.entries.get(name).copied()
    }

    /// The bytes of an entry of at most `limit` bytes.
    ///
    /// # Errors
    /// What the system says, or that it is larger.
    pub fn read(&self, (position, size): (u64, u64), limit: u64) -> std::io::Result<Vec<u8>> {
        let fits = usize::try_from(size).ok().filter(|_| size <= limit);
        let size = fits.ok_or_else(|| {
            std::io::Error::new(std::io::ErrorKind::FileTooLarge, format!("{size} bytes, at most {limit} are allowed"))
        })?;
        let end = position.checked_add(size as u64);
        if end.is_none_or(|end| self.file.metadata().is_ok_and(|m| m.len() < end)) {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
        }
        let mut bytes = vec![0; size];
        self.file.read_exact_at(&mut bytes, position)?;
        Ok(bytes)
    }
}
