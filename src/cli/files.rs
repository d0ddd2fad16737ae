//! From the paths of the command line to the files to read, in a stable order.

use chexbox::limits::{FILES_PER_RUN_MAX, FOLDER_DEPTH_MAX};
use std::path::{Path, PathBuf};

/// The files below the given paths.
#[derive(Debug, Default, PartialEq)]
pub struct Films {
    /// Files, those of a folder sorted by path.
    pub files: Vec<PathBuf>,
    /// Hidden files of folders (names with a leading dot), which are not read.
    pub hidden: usize,
}

/// Lists files as they are named and folders with all that lies below them. A path that does not
/// exist, or a folder that cannot be listed, stays in the list: its record must say that it could not be opened.
///
/// # Errors
/// A sentence, if a folder holds more, or nests deeper, than the limits allow.
pub fn list(paths: &[PathBuf]) -> Result<Films, String> {
    let mut films = Films::default();
    for path in paths {
        if path.is_dir() { walk(path, &mut Vec::new(), &mut films)? } else { films.files.push(path.clone()) }
    }
    Ok(films)
}

/// `above` holds the real paths of the folders that the walk is in.
fn walk(folder: &Path, above: &mut Vec<PathBuf>, films: &mut Films) -> Result<(), String> {
    if above.len() >= FOLDER_DEPTH_MAX {
        return Err(format!("{}: folders nest deeper than {FOLDER_DEPTH_MAX}; name the inner ones", folder.display()));
    }
    let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    if above.contains(&real) {
        // A link to a folder above: its films are being read already.
        return Ok(());
    }
    let entries: std::io::Result<Vec<PathBuf>> =
        std::fs::read_dir(folder).and_then(|entries| entries.map(|e| e.map(|e| e.path())).collect());
    let Ok(mut entries) = entries else {
        // A folder that cannot be listed is not passed over: it gets the record of a file that cannot be read.
        films.files.push(folder.to_owned());
        return Ok(());
    };
    entries.sort();
    above.push(real);
    for path in entries {
        let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
        match (hidden, path.is_dir()) {
            (true, _) => films.hidden += 1,
            (false, true) => walk(&path, above, films)?,
            (false, false) => films.files.push(path),
        }
        if films.files.len() > FILES_PER_RUN_MAX {
            return Err(format!("more than {FILES_PER_RUN_MAX} files; read the folders one by one"));
        }
    }
    above.pop();
    Ok(())
}

/// Writes a file under a temporary name and renames it, so that it is whole or as it was.
///
/// # Errors
/// A sentence that names the file.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<(), String> {
    let name = path.file_name().ok_or_else(|| format!("{} names no file", path.display()))?;
    let unfinished = path.with_file_name(format!(".{}.unfinished", name.to_string_lossy()));
    let written = std::fs::write(&unfinished, content).and_then(|()| std::fs::rename(&unfinished, path));
    written.map_err(|e| {
        let _ = std::fs::remove_file(&unfinished);
        format!("{} cannot be written: {e}", path.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_walked_in_order_and_hidden_files_counted() {
        let root = std::env::temp_dir().join(format!("chexbox-files-{}", std::process::id()));
        std::fs::create_dir_all(root.join("b/c")).unwrap();
        for file in ["b/c/2.dcm", "b/1.dcm", "a.png", ".hidden", "b/.DS_Store"] {
            std::fs::write(root.join(file), b"x").unwrap();
        }
        // Links to folders above end the walk there, and lose nothing.
        std::os::unix::fs::symlink(&root, root.join("b/c/up")).unwrap();
        let missing = root.join("missing.png");
        let films = list(&[root.clone(), missing.clone()]).unwrap();
        let want: Vec<PathBuf> = ["a.png", "b/1.dcm", "b/c/2.dcm"].iter().map(|f| root.join(f)).chain([missing]).collect();
        assert_eq!(films, Films { files: want, hidden: 2 });
        std::fs::remove_dir_all(root).unwrap();
    }
}
