//! Directories that are written: one that fills as the work goes on ([`Directory`]), one that appears when all of it is there
//! ([`StagedDirectory`]).

use std::fs::File;
use std::io::{self, Error, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::aside::move_aside;
use crate::claim::{IfExists, publish};
use crate::part::{Kind, PartFile, is_at, lock};

/// The right to write into a directory, which no other process has at the same time.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    _lock: File,
    made: bool,
}

impl Directory {
    /// Claims a directory, which is made where there is none.
    ///
    /// # Errors
    ///
    /// `ResourceBusy` when another process has it, `NotADirectory` for a file, and those of `mkdir(2)`.
    pub fn claim(path: &Path) -> io::Result<Self> {
        make_all(path.parent())?;
        let made = match make(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
            made => made.map(|()| true)?,
        };
        Self::locked(path, made)
    }

    /// Moves the directory with all that is in it aside ([`move_aside`]) and claims an empty one of its name.
    ///
    /// # Errors
    ///
    /// As [`Directory::claim`].
    pub fn make_room(mut self) -> io::Result<(Self, PathBuf)> {
        self.made = false;
        let aside = move_aside(&self.path)?;
        make(&self.path)?;
        Ok((Self::locked(&self.path, true)?, aside))
    }

    fn locked(path: &Path, made: bool) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let held: File = rustix::fs::open(path, flags, Mode::empty())?.into();
        lock(&held)?;
        let real = path.canonicalize()?;
        if !is_at(&held, &real) {
            return Err(Error::new(
                ErrorKind::ResourceBusy,
                "another process (ossmark) has just moved it",
            ));
        }
        Ok(Self {
            path: path.into(),
            _lock: held,
            made,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if self.made {
            // Only what is empty goes: nothing came of it.
            let _ = std::fs::remove_dir(&self.path);
        }
    }
}

/// A directory that is filled under a temporary name and appears whole or not at all.
#[derive(Debug)]
pub struct StagedDirectory {
    path: PathBuf,
    if_exists: IfExists,
    part: PartFile,
}

impl StagedDirectory {
    /// Claims `path`; directories above it are made.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` unless an earlier one may be moved aside, `ResourceBusy` when another process makes it just now, and
    /// those of `mkdir(2)`.
    pub fn claim(path: &Path, if_exists: IfExists) -> io::Result<Self> {
        make_all(path.parent())?;
        let part = PartFile::begin(path, Kind::Directory)?;
        if if_exists != IfExists::MoveAside && std::fs::symlink_metadata(path).is_ok() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        Ok(Self {
            path: path.into(),
            if_exists,
            part,
        })
    }

    /// Where its content goes until it is published.
    pub fn inside(&self) -> &Path {
        &self.part.path
    }

    /// Where it will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its name. Returns where an earlier one was moved to.
    ///
    /// # Errors
    ///
    /// Those of writing to the disk and of `rename(2)`; nothing is left then.
    pub fn publish(self) -> io::Result<Option<PathBuf>> {
        // All files of it at once.
        rustix::fs::syncfs(&self.part.file)?;
        publish(self.part, &self.path, self.if_exists)
    }
}

/// Makes a directory and those above it.
///
/// # Errors
///
/// Those of `mkdir(2)`.
#[expect(clippy::disallowed_methods, reason = "this is what all others call")]
pub fn make_directories(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}

fn make_all(parent: Option<&Path>) -> io::Result<()> {
    match parent.filter(|p| !p.as_os_str().is_empty()) {
        Some(parent) => make_directories(parent),
        None => Ok(()),
    }
}

#[expect(clippy::disallowed_methods, reason = "this is what all others call")]
fn make(path: &Path) -> io::Result<()> {
    std::fs::create_dir(path)
}
