//! Files of a tree that is planned as a whole before any of it is written.

use std::io;
use std::path::{Path, PathBuf};

use crate::{copy_whole, make_directories, write_whole};

/// A file that is to be written.
#[derive(Debug)]
pub enum Planned {
    /// With this text.
    Text(String),
    /// As a copy of this file.
    Copy(PathBuf),
}

/// What could not be done while files were written.
#[derive(Debug)]
pub struct WriteFailed {
    /// "create" a directory or "write" a file.
    pub doing: &'static str,
    /// The directory or file.
    pub path: PathBuf,
    /// What the operating system said.
    pub source: io::Error,
}

/// Writes files, each whole, by their paths below `root`, with the directories that they need.
///
/// # Errors
/// The first that could not be written; those before it are there.
pub fn write_all(root: &Path, files: &[(String, Planned)]) -> Result<(), WriteFailed> {
    for (name, planned) in files {
        let path = root.join(name);
        let dir = path.parent().unwrap_or(root);
        let failed = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| WriteFailed {
                doing,
                path,
                source,
            }
        };
        make_directories(dir).map_err(failed("create", dir))?;
        match planned {
            Planned::Text(text) => write_whole(&path, text.as_bytes()),
            Planned::Copy(from) => copy_whole(from, &path),
        }
        .map_err(failed("write", &path))?;
    }
    Ok(())
}
