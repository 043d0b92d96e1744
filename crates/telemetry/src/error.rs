//! What can be wrong before a run, and with the files read after it. What happens to a source during a run is no error: it
//! is told in [`crate::Power::left_out`].

use std::path::PathBuf;

use ossmark_files::{Brief, Escaped};

/// Situations.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A command that cannot be taken apart, or is empty.
    #[error(
        "--power-command: {what}; expected a program and its arguments, quoted as in a shell but run without one, for example \
         'ipmi-watts --host bmc0'"
    )]
    Command {
        /// What was found. Never the arguments: they may hold a password.
        what: &'static str,
    },
    /// A command whose program is not there.
    #[error(
        "--power-command {}: {what}; expected an executable file, by its path or on the PATH",
        Brief(program)
    )]
    Program {
        /// The first word of the command.
        program: String,
        /// What was found.
        what: &'static str,
    },
    /// A URL that cannot be used.
    #[error(
        "--power-prometheus {}: {what}; expected the address of metrics as text, such as http://host:9400/metrics",
        Brief(url)
    )]
    Url {
        /// The URL without user, password and query.
        url: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The name of a metric that cannot be one.
    #[error(
        "the power metric {}: found characters that no metric's name has; expected letters, digits, _ and :, not beginning with \
         a digit",
        Brief(name)
    )]
    Metric {
        /// As it was given.
        name: String,
    },
    /// An interval out of range.
    #[error("the interval of power readings: found {found:?}, expected 100 ms to 60 s")]
    Interval {
        /// As it was given.
        found: std::time::Duration,
    },
    /// A detail log without the window.
    #[error(
        "the detail log: {}; expected the lines power_begin and power_end, which LoadGen writes around a test that ran to its \
         end",
        Escaped(what)
    )]
    Window {
        /// What was found.
        what: String,
    },
    /// A power file that cannot be opened or read.
    #[error("{}: {source}", Escaped::path(path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A power file that this version does not write.
    #[error(
        "{}: {}; expected a power.json of ossmark, version {}",
        Escaped::path(path),
        Escaped(what),
        crate::power::VERSION
    )]
    Power {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
}
