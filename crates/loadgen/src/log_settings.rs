//! Where LoadGen's logs go: its `LogSettings`, with the members of its `LogOutputSettings`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// LoadGen's `LogSettings` and `LogOutputSettings`, by their own names. A log's path is
/// `<outdir>/<prefix><date and time, if asked for>summary<suffix>.txt`, and so on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSettings {
    /// The directory; must exist. LoadGen's default: the working directory.
    pub outdir: PathBuf,
    /// Start of the logs' names. LoadGen's default: `mlperf_log_`.
    pub prefix: String,
    /// What comes before the ending `.txt` or `.json`. LoadGen's default: nothing.
    pub suffix: String,
    /// Whether the date and time stand after the prefix, so that runs in one directory have logs of their own (to the second).
    /// LoadGen's default: `false`.
    pub prefix_with_datetime: bool,
    /// Also prints the detail log on stdout. LoadGen's default: `false`.
    pub copy_detail_to_stdout: bool,
    /// Also prints the summary on stdout. LoadGen's default: `false`.
    pub copy_summary_to_stdout: bool,
    /// When the log is written; LoadGen 6.0.17 does only [`LoggingMode::AsyncPoll`], whatever this says.
    pub log_mode: LoggingMode,
    /// Milliseconds between two writes of the log. LoadGen's default: 1000; LoadGen 6.0.17 writes every 10, whatever this says.
    pub log_mode_async_poll_interval_ms: u64,
    /// Writes `trace.json`, a trace of every sample. LoadGen's default is `true` and costs hundreds of megabytes for a long
    /// Server run, so that it is `false` here.
    pub enable_trace: bool,
}

impl LogSettings {
    /// Logs in a directory, named as LoadGen names them, without a trace.
    pub fn in_dir(outdir: impl Into<PathBuf>) -> LogSettings {
        LogSettings {
            outdir: outdir.into(),
            prefix: "mlperf_log_".into(),
            suffix: String::new(),
            prefix_with_datetime: false,
            copy_detail_to_stdout: false,
            copy_summary_to_stdout: false,
            log_mode: LoggingMode::AsyncPoll,
            log_mode_async_poll_interval_ms: 1000,
            enable_trace: false,
        }
    }
}

impl Default for LogSettings {
    /// Logs in the working directory.
    fn default() -> LogSettings {
        LogSettings::in_dir(".")
    }
}

/// LoadGen's `LoggingMode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoggingMode {
    /// A thread writes what has been logged, at an interval. The only one that LoadGen 6.0.17 does.
    #[default]
    AsyncPoll,
    /// At the end of the test.
    EndOfTestOnly,
    /// Where it is logged.
    Synchronous,
}

impl LoggingMode {
    pub(crate) fn code(self) -> i32 {
        match self {
            LoggingMode::AsyncPoll => 0,
            LoggingMode::EndOfTestOnly => 1,
            LoggingMode::Synchronous => 2,
        }
    }
}
