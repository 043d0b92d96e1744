//! A file that may still grow, read ahead of where it has been understood.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Read at a time.
const CHUNK: usize = 256 << 10;

/// The bytes of a file from a position on.
#[derive(Debug)]
pub(crate) struct Ahead {
    file: File,
    at: u64,
    bytes: Vec<u8>,
    passed: usize,
}

impl Ahead {
    pub(crate) fn new(file: File) -> Self {
        Self {
            file,
            at: 0,
            bytes: Vec::new(),
            passed: 0,
        }
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Where the first of [`Ahead::bytes`] is in the file.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// What has been read and not passed.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.passed..]
    }

    /// Reads on; false at the end of the file, as it is now.
    pub(crate) fn more(&mut self) -> io::Result<bool> {
        self.bytes.drain(..self.passed);
        self.passed = 0;
        let old = self.bytes.len();
        self.bytes.resize(old + CHUNK, 0);
        let read = loop {
            match self
                .file
                .read_at(&mut self.bytes[old..], self.at + old as u64)
            {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.bytes
            .truncate(old + read.as_ref().copied().unwrap_or(0));
        Ok(read? > 0)
    }

    /// Goes on behind the first `count` bytes.
    pub(crate) fn pass(&mut self, count: usize) {
        self.passed += count;
        self.at += count as u64;
    }

    /// Forgets what has not been passed: it may have been half written, and is read again.
    pub(crate) fn again(&mut self) {
        self.bytes.clear();
        self.passed = 0;
    }
}
