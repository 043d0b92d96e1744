//! The temporary name that a file or a directory has while it is made: `.NAME.ossmark-part`, beside its final name.
//!
//! Whoever makes it holds a lock on it. So two that would make the same thing at the same time find each other, and what a
//! killed process left, which nobody holds, is known as such and cleaned away by the next.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Error, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;

const SUFFIX: &str = ".ossmark-part";

/// Whether a file or directory of this name is something that ossmark was making, or was killed while it made it.
pub fn is_part(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(b".") && name.ends_with(SUFFIX.as_bytes())
}

/// All of this process.
static PARTS: Mutex<Vec<(PathBuf, Kind)>> = Mutex::new(Vec::new());

/// Removes everything that was begun and has no name yet: for a process that ends without dropping it.
pub fn abandon_parts() {
    abandon_below(Path::new(""));
}

/// [`abandon_parts`], of a directory.
pub(crate) fn abandon_below(directory: &Path) {
    parts().retain(|(path, kind)| {
        let is_there = path.starts_with(directory);
        if is_there {
            let _ = remove(path, *kind);
        }
        !is_there
    });
}

fn parts() -> MutexGuard<'static, Vec<(PathBuf, Kind)>> {
    PARTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
}

/// A locked temporary name; removed when it is dropped, unless [`PartFile::keep`] came first.
#[derive(Debug)]
pub(crate) struct PartFile {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    kind: Kind,
    kept: bool,
}

impl PartFile {
    /// Begins `target`: an empty file or directory under its temporary name.
    ///
    /// # Errors
    ///
    /// `ResourceBusy` when another process is making it, `InvalidInput` for a path without a name, and those of `open(2)`.
    pub(crate) fn begin(target: &Path, kind: Kind) -> io::Result<Self> {
        let name = target.file_name().ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidInput,
                "found no name at the end of the path",
            )
        })?;
        let mut part = OsString::from(".");
        part.push(name);
        part.push(SUFFIX);
        let path = target.with_file_name(part);
        loop {
            match make(&path, kind) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => clean(&path, kind)?,
                Err(error) => return Err(error),
                Ok(file) => {
                    lock(&file)?;
                    // Between the making and the lock somebody may have taken it for a leftover.
                    if is_at(&file, &path) {
                        parts().push((path.clone(), kind));
                        return Ok(Self {
                            path,
                            file,
                            kind,
                            kept: false,
                        });
                    }
                }
            }
        }
    }

    /// It has its final name now.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        parts().retain(|(path, _)| *path != self.path);
        if !self.kept {
            let _ = remove(&self.path, self.kind);
        }
    }
}

fn make(path: &Path, kind: Kind) -> io::Result<File> {
    let flags = match kind {
        Kind::File => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
        Kind::Directory => {
            rustix::fs::mkdir(path, Mode::from_raw_mode(0o777))?;
            OFlags::RDONLY | OFlags::DIRECTORY
        }
    };
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(rustix::fs::open(path, flags, Mode::from_raw_mode(0o666))?.into())
}

/// Removes what a killed process left.
fn clean(path: &Path, kind: Kind) -> io::Result<()> {
    let flags = match kind {
        Kind::File => OFlags::RDWR,
        Kind::Directory => OFlags::RDONLY | OFlags::DIRECTORY,
    };
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let left: File = match rustix::fs::open(path, flags, Mode::empty()) {
        // Just gone.
        Err(Errno::NOENT) => return Ok(()),
        opened => opened?.into(),
    };
    lock(&left)?;
    match is_at(&left, path) {
        true => remove(path, kind),
        false => Ok(()),
    }
}

fn remove(path: &Path, kind: Kind) -> io::Result<()> {
    match kind {
        Kind::File => std::fs::remove_file(path),
        Kind::Directory => std::fs::remove_dir_all(path),
    }
}

/// Takes the lock that says "this is being made", for as long as the file is open.
///
/// # Errors
///
/// `ResourceBusy` when another has it. A file system without locks is no error: there the last step, a rename that
/// replaces nothing, decides between two.
pub(crate) fn lock(file: &File) -> io::Result<()> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Err(Error::new(
            ErrorKind::ResourceBusy,
            "another process (ossmark), or another option of this command, is writing it just now; wait for its end, or give \
             another name",
        )),
        Err(Errno::NOSYS | Errno::NOTSUP | Errno::NOLCK | Errno::BADF | Errno::INVAL) | Ok(()) => {
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether the open file is (still) what lies at `path`.
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    let id = |found: io::Result<std::fs::Metadata>| found.map(|m| (m.dev(), m.ino())).ok();
    let open = id(file.metadata());
    open.is_some() && open == id(std::fs::symlink_metadata(path))
}
