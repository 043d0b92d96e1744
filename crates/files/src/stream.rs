//! Outputs that are no regular files: pipes, terminals, standard output by its many names.

use std::fs::File;
use std::io::{self, Error, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// What is at `path`, open for writing, where that is no regular file and has to be written to as it is.
#[expect(
    clippy::disallowed_methods,
    reason = "an output file may be one of them"
)]
pub(crate) fn stream(path: &Path) -> io::Result<Option<File>> {
    let refuse = |found: &str| {
        Err(Error::new(
            ErrorKind::InvalidInput,
            format!("found {found}, expected a regular file, a pipe or a terminal"),
        ))
    };
    if let Some(number) = descriptor(path) {
        let copy = |open: BorrowedFd<'_>| open.try_clone_to_owned().map(|fd| Some(fd.into()));
        match number {
            1 => return copy(std::io::stdout().as_fd()),
            2 => return copy(std::io::stderr().as_fd()),
            _ => {}
        }
    }
    let kind = match std::fs::metadata(path) {
        Ok(found) => found.file_type(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if kind.is_dir() {
        return refuse("a directory");
    }
    if kind.is_block_device() {
        return refuse("a block device");
    }
    if kind.is_socket() {
        return refuse("a socket");
    }
    if kind.is_file() && descriptor(path).is_none() {
        return Ok(None);
    }
    // Without waiting for a reader of a pipe, who may never come.
    let flags =
        OFlags::WRONLY | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let open = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(rustix::io::Errno::NXIO) => return refuse("a named pipe that nobody reads"),
        open => open?,
    };
    // From here on it may wait: a reader is there.
    rustix::fs::fcntl_setfl(&open, OFlags::APPEND)?;
    Ok(Some(open.into()))
}

/// The number of the open file that `path` names: /dev/stdout, /dev/fd/3, /proc/self/fd/3, links to them.
fn descriptor(path: &Path) -> Option<u32> {
    const LINKS: usize = 8;
    let own = Path::new("/proc/self/fd").canonicalize().ok()?;
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        let directory = path.parent().filter(|d| !d.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new(".")).canonicalize().ok()?;
        if directory == own {
            return path.file_name()?.to_str()?.parse().ok();
        }
        path = directory.join(path.read_link().ok()?);
    }
    None
}

/// Whether `path` names this process's standard output: `-`, /dev/stdout, /dev/fd/1 and the like.
pub fn is_stdout(path: &Path) -> bool {
    path == Path::new("-") || descriptor(path) == Some(1)
}
