//! A directory for each candidate, where it has no file system of its own (worker/layers.py). Owned by one scoring thread.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// At most one directory at a time, always below the same name, always a new one.
pub(super) struct Scratch {
    /// The worker's script has this name, too.
    candidate: PathBuf,
    removed: PathBuf,
}

impl Scratch {
    pub(super) fn new(parent: &Path) -> Self {
        Self {
            candidate: parent.join("candidate"),
            removed: parent.join("removed"),
        }
    }

    pub(super) fn make(&self) -> io::Result<()> {
        self.remove()?;
        fs::create_dir(&self.candidate)
    }

    /// Removes the directory, if it is there, with all that an enemy may have put into it. Nobody writes to it any more.
    pub(super) fn remove(&self) -> io::Result<()> {
        if !self.candidate.exists() && !self.removed.exists() {
            return Ok(());
        }
        // A recursion would need as many descriptors, or as long a path, as directories can be nested. So what a directory
        // holds is moved up beside it until nothing is nested any more.
        match fs::create_dir(&self.removed) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        let mut names = 0..;
        let mut fresh = || loop {
            let name = self
                .removed
                .join(names.next().unwrap_or(u64::MAX).to_string());
            if name.symlink_metadata().is_err() {
                return name;
            }
        };
        move_entry(&self.candidate, &fresh())?;
        loop {
            let entries = fs::read_dir(&self.removed)?.collect::<io::Result<Vec<_>>>()?;
            if entries.is_empty() {
                return fs::remove_dir(&self.removed);
            }
            for entry in entries {
                if !entry.file_type()?.is_dir() {
                    fs::remove_file(entry.path())?;
                    continue;
                }
                for inner in fs::read_dir(entry.path())? {
                    move_entry(&inner?.path(), &fresh())?;
                }
                fs::remove_dir(entry.path())?;
            }
        }
    }
}

/// Moves an entry, which takes the right to write to it if it is a directory.
fn move_entry(from: &Path, to: &Path) -> io::Result<()> {
    match from.symlink_metadata() {
        Ok(found) if found.is_dir() => {
            fs::set_permissions(from, fs::Permissions::from_mode(0o700))?;
        }
        Ok(_) => {}
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    }
    fs::rename(from, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_was_left_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let outside = parent.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "x").unwrap();
        let scratch = Scratch::new(parent.path());
        for _ in 0..2 {
            scratch.make().unwrap();
            let top = &scratch.candidate;
            assert_eq!(fs::read_dir(top).unwrap().count(), 0);
            fs::create_dir_all(top.join("a/b")).unwrap();
            fs::write(top.join("a/b/0"), "x").unwrap();
            std::os::unix::fs::symlink(&outside, top.join("link")).unwrap();
            let sealed = top.join("sealed");
            fs::create_dir(&sealed).unwrap();
            fs::set_permissions(&sealed, fs::Permissions::from_mode(0o000)).unwrap();
            // Deeper than a path is long, and than descriptors may be open.
            let (deep, around) = (top.join("deep"), top.join("around"));
            fs::create_dir(&deep).unwrap();
            for _ in 0..3000 {
                fs::create_dir(&around).unwrap();
                fs::rename(&deep, around.join("d")).unwrap();
                fs::rename(&around, &deep).unwrap();
            }
        }
        scratch.remove().unwrap();
        scratch.remove().unwrap();
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
        assert!(outside.join("kept").exists());
    }
}
