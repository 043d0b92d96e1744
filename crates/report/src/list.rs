//! The runs below a directory.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};

use crate::read::{Depth, is_run, read};
use crate::summary::Summary;

/// How deep a run may lie below the directory, and how many directories are looked into.
const DEPTH: usize = 8;
const MOST: usize = 100_000;

/// The runs below `dir`, itself included: the latest first, those without a date last. A run that cannot be read is listed
/// with what can be. Symbolic links to directories are not followed, hidden directories are not looked into.
pub fn runs(dir: &Path) -> std::io::Result<Vec<Summary>> {
    let mut found: Vec<Summary> = directories(dir)?
        .iter()
        .filter_map(|dir| read(dir, Depth::Line).ok())
        .map(|run| Summary::of(&run))
        .collect();
    found.sort_by_cached_key(|run| {
        (
            run.date.is_none(),
            Reverse(run.date.clone()),
            run.dir.clone(),
        )
    });
    Ok(found)
}

fn directories(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut looked_into = 0;
    let mut ahead = vec![(dir.to_path_buf(), 0)];
    // What cannot be opened is an error only where it was named.
    std::fs::read_dir(dir)?;
    while let Some((dir, depth)) = ahead.pop() {
        if is_run(&dir) {
            found.push(dir.clone());
        }
        looked_into += 1;
        if depth == DEPTH || looked_into > MOST {
            continue;
        }
        let entries = std::fs::read_dir(&dir).into_iter().flatten().flatten();
        for entry in entries {
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            if !hidden && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                ahead.push((entry.path(), depth + 1));
            }
        }
    }
    Ok(found)
}
