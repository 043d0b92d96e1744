//! What stops a command before it has a result.

use std::path::PathBuf;

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
}
