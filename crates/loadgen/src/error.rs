//! Why a test could not be run. What happens during a test is a [`crate::Faults`], never one of these.

use std::io;
use std::path::PathBuf;

/// A test could not be started, or LoadGen itself failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// LoadGen keeps process-wide state, so that a second test would run with wrong settings and still say VALID.
    #[error("this process has already run a LoadGen test; start a new process for each test")]
    AlreadyRan,

    /// user.conf or audit.config cannot be read.
    #[error("{what} {path}: {source}; give a readable file, or none", path = path.display())]
    ConfigUnreadable {
        /// "user.conf" or "audit.config".
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// `TestSettings::FromConfig` gave a code other than 0.
    #[error("LoadGen refused {what} {path} (FromConfig returned {code}); it would ignore the whole file", path = path.display())]
    ConfigRefused {
        /// "user.conf" or "audit.config".
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// -2 no such file, -22 bad value.
        code: i32,
    },

    /// A configuration file changes the mode behind the caller's back.
    #[error("{what} {path} sets the mode to {found}, but {asked} was asked for; remove the line or ask for that mode", path = path.display())]
    ModeConflict {
        /// "user.conf" or "audit.config".
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The mode after reading the file.
        found: String,
        /// The mode in [`crate::Settings`].
        asked: String,
    },

    /// The threads on which LoadGen was to issue queries did not start. The process's test is used up.
    #[error(
        "cannot start {count} threads to issue queries on (server_num_issue_query_threads): {source}"
    )]
    Threads {
        /// How many were asked for.
        count: u64,
        /// What the operating system said.
        source: io::Error,
    },

    /// The settings ask for something that LoadGen cannot do, and would answer with a crash, a hang or nonsense.
    #[error("these settings cannot be run: {0}")]
    Impossible(String),

    /// A name or path that LoadGen would cut off or write into its logs unescaped.
    #[error(
        "{what} {value:?} contains {found:?}, which LoadGen cannot log; use printable characters without quotes and backslashes"
    )]
    BadText {
        /// Which name or path.
        what: &'static str,
        /// Its value, as far as it can be shown.
        value: String,
        /// The first character in the way.
        found: char,
    },

    /// LoadGen ends the process with SIGABRT when it cannot open its logs, so that they are opened first.
    #[error("cannot write LoadGen's log {path}: {source}; the output directory must exist and be writable", path = path.display())]
    OutputDir {
        /// The log file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// LoadGen threw a C++ exception while it read a configuration file.
    #[error("LoadGen failed before the first query: {0}")]
    LoadGen(String),

    /// `StartTest` returned without writing a detail log. End with [`crate::exit_now`].
    #[error("LoadGen returned but its detail log {path} is empty; is the disk full, or are too many files open?", path = path.display())]
    NoLog {
        /// The detail log.
        path: PathBuf,
    },

    /// LoadGen's detail log does not say what was asked of it.
    #[error("LoadGen's detail log {path}: {problem}; was the test cut off?", path = path.display())]
    Log {
        /// The detail log.
        path: PathBuf,
        /// What is wrong with it, or missing.
        problem: String,
    },
}
