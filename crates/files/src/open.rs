//! Opening a file that somebody named.
//!
//! `open(2)` of a named pipe waits for a writer, which may never come; reading a terminal or `/dev/zero` never ends. So a
//! file is opened without blocking, looked at, and refused by what it is.

use std::fs::{File, FileType};
use std::io::{self, Error, ErrorKind, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// Opens a regular file for reading. Symbolic links are followed.
///
/// # Errors
///
/// Those of `open(2)`; `InvalidInput` that names what was found when `path` is a directory, a named pipe, a socket or a
/// device. Never waits.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(descriptor) => File::from(descriptor),
        // What open(2) says of a socket, "No such device or address", helps nobody.
        Err(rustix::io::Errno::NXIO) => return Err(refused(std::fs::metadata(path)?.file_type())),
        Err(error) => return Err(error.into()),
    };
    let kind = file.metadata()?.file_type();
    if !kind.is_file() {
        return Err(refused(kind));
    }
    Ok(file)
}

/// [`std::fs::read`] of a regular file.
///
/// # Errors
///
/// Those of [`open`] and of reading.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// [`std::fs::read_to_string`] of a regular file.
///
/// # Errors
///
/// Those of [`open`] and of reading; `InvalidData` for what is not UTF-8.
pub fn read_to_string(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

fn refused(kind: FileType) -> Error {
    let found = if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_char_device() || kind.is_block_device() {
        "a device"
    } else {
        "something that is no file"
    };
    Error::new(
        ErrorKind::InvalidInput,
        format!("found {found}, expected a regular file"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_regular_file_is_refused_by_kind_and_at_once() {
        let tmp = tempfile::tempdir().unwrap();
        let pipe = tmp.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        let socket = tmp.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for (path, found) in [
            (pipe.as_path(), "a named pipe"),
            (&socket, "a socket"),
            (Path::new("/dev/zero"), "a device"),
            (tmp.path(), "a directory"),
        ] {
            let error = open(path).unwrap_err();
            assert!(error.to_string().contains(found), "{path:?}: {error}");
        }
    }

    #[test]
    fn a_regular_file_is_read_through_a_link() {
        let tmp = tempfile::tempdir().unwrap();
        let (file, link) = (tmp.path().join("file"), tmp.path().join("link"));
        std::fs::write(&file, "text").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(read_to_string(&link).unwrap(), "text");
        assert_eq!(read(&link).unwrap(), b"text");
        assert_eq!(
            open(&tmp.path().join("none")).unwrap_err().kind(),
            ErrorKind::NotFound
        );
    }
}
