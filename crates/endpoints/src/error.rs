//! What stops a command before it has a result.

use std::io;
use std::path::PathBuf;

use ossmark_files::{Escaped, WriteFailed};

/// Situations that are no finding: there is nothing to judge.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The path leads to no directory.
    #[error(
        "{}: {found}, expected the directory of a submission: the organisation's, or the one below it that holds results/, \
         docs/ and src/; check the path",
        path.display()
    )]
    NotATree {
        /// As given.
        path: PathBuf,
        /// What is there.
        found: &'static str,
    },
    /// A directory without the points of one curve.
    #[error(
        "{path}: {found}, expected the points of one curve: a rehearsal's directory, or a model's folder of a tree; check the path",
        path = Escaped::path(path)
    )]
    NoCurve {
        /// As given.
        path: PathBuf,
        /// What is there.
        found: String,
    },
    /// What was given cannot be used.
    #[error("{path}: {why}", path = Escaped::path(path))]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        why: String,
    },
    /// Runs or the description make no submission.
    #[error("nothing was written; problems found: {}\n{}", problems.len(), problems.join("\n"))]
    Refused {
        /// All of them.
        problems: Vec<String>,
    },
    /// A file or directory cannot be written.
    #[error("cannot {doing} {path}: {source}", path = Escaped::path(path))]
    Io {
        /// "write", "create".
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
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
