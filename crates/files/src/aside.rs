//! Making room for a file or a directory without losing what lies there.

use std::ffi::OsString;
use std::io::{self, Error, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

/// Old ones beside a name, at most.
const MOST: u32 = 10_000;

/// Renames `path` to the first free one of `path.old.1`, `path.old.2`, and so on, and returns that name.
///
/// # Errors
///
/// `InvalidInput` for a device, a named pipe or a socket: only regular files, directories and links are ever moved. Those of
/// `rename(2)`.
pub fn move_aside(path: &Path) -> io::Result<PathBuf> {
    let kind = std::fs::symlink_metadata(path)?.file_type();
    if !(kind.is_file() || kind.is_dir() || kind.is_symlink()) {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            "found a device, a named pipe or a socket, which is never moved aside",
        ));
    }
    let name = path.file_name().ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidInput,
            "has no name of its own to move it aside under",
        )
    })?;
    for n in 1..=MOST {
        let mut free = OsString::from(name);
        free.push(format!(".old.{n}"));
        let free = path.with_file_name(free);
        match rename_new(path, &free) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(()) => return Ok(free),
        }
    }
    Err(Error::other(format!(
        "{MOST} old ones lie beside it; clean up"
    )))
}

/// Renames, unless `to` exists.
///
/// # Errors
///
/// `AlreadyExists`, and those of `rename(2)`.
pub(crate) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system has it (NFS, some of FUSE); there the look and the rename are two steps.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            if std::fs::symlink_metadata(to).is_ok() {
                return Err(ErrorKind::AlreadyExists.into());
            }
            rename(from, to)
        }
        result => Ok(result?),
    }
}

#[expect(clippy::disallowed_methods, reason = "this is what all others call")]
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)
}
