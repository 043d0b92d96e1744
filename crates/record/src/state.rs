//! Whether a record is all there, and what is wrong with it.

use std::fmt::{self, Display, Formatter};

/// Whether a run's record has come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The run ended and closed its record.
    Ended,
    /// A process has the journal locked: the run goes on. (On a file system without locks this shows as [`State::Cut`].)
    GoingOn,
    /// Nobody writes it any more and nobody closed it: the run was killed. Up to a second of rows is missing, and those
    /// samples that were open.
    Cut,
}

/// Why the rest of a file was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file's name.
    pub file: &'static str,
    /// The first byte that was not understood.
    pub at: u64,
    /// What is wrong there.
    pub what: String,
}

impl Display for Damage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is damaged at byte {}: {}; what follows was not read",
            self.file, self.at, self.what
        )
    }
}
