//! A file that will be written: claimed first, so that what would be in its way shows before hours of work, then written
//! whole.

use std::fs::{File, Permissions};
use std::io::{self, Error, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::aside::{move_aside, rename, rename_new};
use crate::part::{Kind, PartFile};
use crate::stream::stream;

/// What becomes of a file that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfExists {
    /// It stays, and there is no claim.
    Refuse,
    /// It is renamed when the new one is written ([`move_aside`]).
    MoveAside,
    /// It is one's own to replace.
    Replace,
}

/// The right to write one file, which no other process has at the same time.
///
/// Pipes, terminals and other things that are no regular files are written to as they are, and never moved or replaced.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    if_exists: IfExists,
    destination: Destination,
}

#[derive(Debug)]
enum Destination {
    PartFile(PartFile),
    Stream(File),
    /// Written once; what lies there is our own.
    Written,
}

impl Claim {
    /// Claims `path`. The directory must exist. A file of a killed predecessor that never got its name is cleaned away.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` under [`IfExists::Refuse`], `ResourceBusy` when another process writes it just now, `InvalidInput` for
    /// directories, block devices and sockets, and those of `open(2)`.
    pub fn new(path: &Path, if_exists: IfExists) -> io::Result<Self> {
        let claim = |destination| Self {
            path: path.into(),
            if_exists,
            destination,
        };
        if let Some(stream) = stream(path)? {
            return Ok(claim(Destination::Stream(stream)));
        }
        let part = PartFile::begin(path, Kind::File)?;
        if if_exists == IfExists::Refuse && std::fs::symlink_metadata(path).is_ok() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        Ok(claim(Destination::PartFile(part)))
    }

    /// Claims an open stream, such as a standard output, under a name for messages.
    ///
    /// # Errors
    ///
    /// Those of `dup(2)`.
    pub fn stream(name: &Path, stream: impl AsFd) -> io::Result<Self> {
        let stream = stream.as_fd().try_clone_to_owned()?;
        Ok(Self {
            path: name.into(),
            if_exists: IfExists::Refuse,
            destination: Destination::Stream(stream.into()),
        })
    }

    /// Where it will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it goes to a pipe, a terminal or the like.
    pub fn is_stream(&self) -> bool {
        matches!(self.destination, Destination::Stream(_))
    }

    /// Writes all of it, or nothing under its name; may be called again. Returns where an earlier file was moved to.
    ///
    /// # Errors
    ///
    /// Those of writing; `AlreadyExists` when somebody else has made the file since.
    pub fn write(&mut self, content: &[u8]) -> io::Result<Option<PathBuf>> {
        self.write_with(|e| e, |file| file.write_all(content))
            .map(|((), moved)| moved)
    }

    /// [`Claim::write`] of what `fill` writes, with what it returns; `io` makes its kind of error.
    ///
    /// # Errors
    ///
    /// Those of `fill` and of [`Claim::write`].
    pub fn write_with<T, E>(
        &mut self,
        io: impl Fn(Error) -> E,
        fill: impl FnOnce(&mut File) -> Result<T, E>,
    ) -> Result<(T, Option<PathBuf>), E> {
        let mut part = match std::mem::replace(&mut self.destination, Destination::Written) {
            Destination::Stream(mut stream) => {
                let filled = fill(&mut stream);
                self.destination = Destination::Stream(stream);
                return Ok((filled?, None));
            }
            Destination::PartFile(part) => part,
            Destination::Written => {
                self.if_exists = IfExists::Replace;
                PartFile::begin(&self.path, Kind::File).map_err(&io)?
            }
        };
        let filled = fill(&mut part.file)?;
        let moved = publish(part, &self.path, self.if_exists).map_err(io)?;
        Ok((filled, moved))
    }
}

/// Replaces `path` by `content`, or leaves it as it was: a reader sees the old file or the new one, never a part.
///
/// # Errors
///
/// Those of [`Claim::new`] and [`Claim::write`].
pub fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    Claim::new(path, IfExists::Replace)?
        .write(content)
        .map(drop)
}

/// Copies a file whole, through a temporary name and to the disk.
///
/// # Errors
///
/// Those of [`crate::open()`] and of writing.
pub fn copy_whole(from: &Path, to: &Path) -> io::Result<()> {
    let mut from = crate::open::regular(from, OFlags::RDONLY)?;
    let permissions = from.metadata()?.permissions();
    let mut claim = Claim::new(to, IfExists::Replace)?;
    claim
        .write_with(
            |e| e,
            |file| {
                file.set_permissions(permissions.clone())?;
                io::copy(&mut from, file)
            },
        )
        .map(drop)
}

/// A file that others read while it grows, such as a log, in a directory of one's own.
///
/// # Errors
///
/// `AlreadyExists`, and those of `open(2)`.
#[expect(clippy::disallowed_methods, reason = "this is what all others call")]
pub fn create_new(path: &Path) -> io::Result<File> {
    File::create_new(path)
}

/// Adds a line to a file that several processes add to, in one piece.
///
/// # Errors
///
/// Those of `open(2)` and of writing.
pub fn append_line(path: &Path, line: &str) -> io::Result<()> {
    let mut file = crate::open_to_append(path)?;
    file.write_all(format!("{line}\n").as_bytes())?;
    file.sync_all()
}

/// Gives a finished part its name, in a way that survives a power cut.
pub(crate) fn publish(
    part: PartFile,
    path: &Path,
    if_exists: IfExists,
) -> io::Result<Option<PathBuf>> {
    let there = std::fs::symlink_metadata(path).ok();
    if let (IfExists::Replace, Some(there)) = (if_exists, &there)
        && there.is_file()
    {
        // Who may read it does not change with what is in it.
        let mode = there.permissions().mode() & 0o777;
        let _ = part.file.set_permissions(Permissions::from_mode(mode));
    }
    part.file.sync_all()?;
    let moved = match if_exists {
        IfExists::MoveAside if there.is_some() => Some(move_aside(path)?),
        _ => None,
    };
    match if_exists {
        IfExists::Replace => rename(&part.path, path)?,
        IfExists::Refuse | IfExists::MoveAside => rename_new(&part.path, path)?,
    }
    let directory = path.parent().filter(|d| !d.as_os_str().is_empty());
    part.keep();
    sync_directory(directory.unwrap_or(Path::new(".")));
    Ok(moved)
}

/// Some file systems cannot; the rename itself is done by then.
fn sync_directory(directory: &Path) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    if let Ok(directory) = rustix::fs::open(directory, flags, Mode::empty()) {
        let _ = rustix::fs::fsync(directory);
    }
}
