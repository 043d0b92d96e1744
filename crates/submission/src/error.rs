//! Why a command on a submission could not run. What a check finds is a [`crate::Finding`], never one of these.

use std::io;
use std::path::PathBuf;

use ossmark_files::{Escaped, WriteFailed};

/// The command could not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The directory to look at is not one.
    #[error("{path}: {found}, expected the directory that holds closed/, open/ or network/", path = Escaped::path(path))]
    NotATree {
        /// What was given.
        path: PathBuf,
        /// What is there.
        found: String,
    },
    /// A round that nobody knows.
    #[error("--round {round}: not known; known: {known}")]
    UnknownRound {
        /// What was given.
        round: String,
        /// What would have been understood.
        known: String,
    },
    /// A file or directory cannot be read or written.
    #[error("cannot {doing} {path}: {source}", path = Escaped::path(path))]
    Io {
        /// "read", "write", "create".
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// What was given cannot be used.
    #[error("{path}: {why}", path = Escaped::path(path))]
    Unusable {
        /// The file or directory.
        path: PathBuf,
        /// What was found and what was expected.
        why: String,
    },
    /// Runs or the description cannot make a submission.
    #[error("nothing was written; problems found: {}\n{}", problems.len(), problems.join("\n"))]
    Refused {
        /// All of them.
        problems: Vec<String>,
    },
    /// The originals would become part of what is submitted.
    #[error("--backup {backup} lies in {input}; give a directory outside the tree", backup = Escaped::path(backup), input = Escaped::path(input))]
    BackupInside {
        /// Where the originals were to go.
        backup: PathBuf,
        /// The tree.
        input: PathBuf,
    },
}

impl Error {
    pub(crate) fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io {
            doing,
            path,
            source,
        }
    }
}

impl From<WriteFailed> for Error {
    fn from(failed: WriteFailed) -> Self {
        Self::Io {
            doing: failed.doing,
            path: failed.path,
            source: failed.source,
        }
    }
}
