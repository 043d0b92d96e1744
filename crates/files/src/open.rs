//! Opening a file that somebody named.
//!
//! `open(2)` of a named pipe waits for a writer, which may never come; reading a terminal or `/dev/zero` never ends. So a
//! file is opened without blocking, looked at, and refused by what it is. The same goes for what git-lfs leaves in a file's
//! place: it is told here, so that no reader of a format has to know it.

use std::fs::{File, FileType};
use std::io::{self, Error, ErrorKind, Read};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// Opens a regular file for reading. Symbolic links are followed.
///
/// # Errors
///
/// Those of `open(2)`; `InvalidInput` that names what was found when `path` is a directory, a named pipe, a socket or a
/// device, or a git-lfs pointer instead of the file itself. Never waits.
pub fn open(path: &Path) -> io::Result<File> {
    let file = regular(path, OFlags::RDONLY)?;
    match pointer(&file)? {
        None => Ok(file),
        Some(text) => Err(Error::new(ErrorKind::InvalidInput, text)),
    }
}

/// Opens a regular file for reading and for writing at its end; it is made where there is none.
///
/// # Errors
///
/// As [`open`].
pub fn open_to_append(path: &Path) -> io::Result<File> {
    regular(path, OFlags::RDWR | OFlags::APPEND | OFlags::CREATE)
}

pub(crate) fn regular(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mode = Mode::from_raw_mode(0o666);
    let file = match rustix::fs::open(path, flags, mode) {
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

/// What stands in a repository for a file that git-lfs keeps elsewhere; `git clone` leaves it there when git-lfs is not
/// installed. Source: git-lfs, docs/spec.md, which gives these first bytes and allows less than 1024.
fn pointer(file: &File) -> io::Result<Option<String>> {
    const HEAD: &[u8] = b"version https://git-lfs.github.com/spec/v1\n";
    const MAX_BYTES: u64 = 1024;
    let len = file.metadata()?.len();
    if len < HEAD.len() as u64 || len >= MAX_BYTES {
        return Ok(None);
    }
    let mut text = vec![0; len as usize];
    // Whatever cannot be read here is said by whoever reads the file.
    if file.read_exact_at(&mut text, 0).is_err() || !text.starts_with(HEAD) {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&text);
    let bytes = text
        .lines()
        .find_map(|line| line.strip_prefix("size ")?.trim().parse::<u64>().ok())
        .map_or(String::new(), |bytes| format!(" of {bytes} bytes"));
    Ok(Some(format!(
        "found a git-lfs pointer, which only stands for the file{bytes}: get that with `git lfs install` and `git lfs pull` \
         in its repository, or download it by itself"
    )))
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
/// Those of [`open`] and of reading; `InvalidData` for what is not UTF-8. A byte order mark is left out.
pub fn read_to_string(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    open(path)?.read_to_string(&mut text)?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    Ok(text)
}

/// A text without the byte order mark that editors and spreadsheet programs of Windows begin files with.
pub fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
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
            let to = tmp.path().join("to");
            for error in [
                open(path).unwrap_err(),
                read(path).unwrap_err(),
                read_to_string(path).unwrap_err(),
                crate::copy_whole(path, &to).unwrap_err(),
            ] {
                assert!(error.to_string().contains(found), "{path:?}: {error}");
            }
            assert!(!to.exists(), "{path:?}");
            open_to_append(path).unwrap_err();
        }
    }

    #[test]
    fn a_pointer_of_git_lfs_is_named_and_what_only_looks_like_one_is_read() {
        let tmp = tempfile::tempdir().unwrap();
        let file = tmp.path().join("model.safetensors");
        let text = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 4792272488\n";
        std::fs::write(&file, text).unwrap();
        let error = read(&file).unwrap_err().to_string();
        for part in ["git-lfs pointer", "4792272488 bytes", "git lfs pull"] {
            assert!(error.contains(part), "{error}");
        }
        // Copied as it is: a tree may hold one on purpose.
        let to = tmp.path().join("to");
        crate::copy_whole(&file, &to).unwrap();
        assert_eq!(std::fs::read_to_string(&to).unwrap(), text);
        let notes = format!("# how pointers look\n{text}");
        std::fs::write(&file, &notes).unwrap();
        assert_eq!(read_to_string(&file).unwrap(), notes);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_text() {
        let tmp = tempfile::tempdir().unwrap();
        let file = tmp.path().join("file");
        std::fs::write(&file, "\u{feff}{}").unwrap();
        assert_eq!(read_to_string(&file).unwrap(), "{}");
        assert_eq!(without_mark(&read(&file).unwrap()), b"{}");
        assert_eq!(without_mark(b"\xef\xbb"), b"\xef\xbb");
    }

    #[test]
    fn what_is_appended_to_is_made_and_read() {
        use std::io::Write;
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("new");
        for text in ["a", "ab"] {
            let mut file = open_to_append(&path).unwrap();
            file.write_all(b"ab").unwrap();
            assert!(read_to_string(&path).unwrap().starts_with(text));
        }
        assert_eq!(read_to_string(&path).unwrap(), "abab");
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
