//! One test: scenario, mode, configuration files, logs. Reads nothing and starts nothing. Any thread.
//!
//! Order of precedence, lowest first: LoadGen's defaults, its built-in mlperf.conf, user.conf, [`Overrides`], audit.config.

use std::path::{Path, PathBuf};

use crate::log_settings::LogSettings;
use crate::scenario::{Mode, Scenario};
use crate::test_settings::Overrides;

/// One test.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which scenario.
    pub scenario: Scenario,
    /// Which mode; a configuration file that says otherwise is an error.
    pub mode: Mode,
    /// The benchmark whose lines of mlperf.conf and user.conf apply, for example `gpt-oss-120b`. A name that no line has gets
    /// those for every model (`*`), without a word from LoadGen; [`mlperf_conf`](crate::mlperf_conf) has the names.
    pub model: String,
    /// The submitter's configuration; none leaves mlperf.conf alone.
    pub user_conf: Option<PathBuf>,
    /// The audit's configuration. None means none: an `audit.config` lying in the working directory is not read.
    pub audit_config: Option<PathBuf>,
    /// Where the logs go.
    pub log: LogSettings,
    /// Values that win over user.conf.
    pub overrides: Overrides,
}

impl Settings {
    /// A test without configuration files or overrides, its logs in a directory that must exist, named as LoadGen names them.
    pub fn new(
        scenario: Scenario,
        mode: Mode,
        model: impl Into<String>,
        outdir: impl Into<PathBuf>,
    ) -> Settings {
        Settings {
            scenario,
            mode,
            model: model.into(),
            user_conf: None,
            audit_config: None,
            log: LogSettings::in_dir(outdir),
            overrides: Overrides::default(),
        }
    }

    /// A path at which no file can ever be, for "no audit.config".
    pub(crate) fn audit_path(&self) -> &Path {
        self.audit_config
            .as_deref()
            .unwrap_or(Path::new("/dev/null/no-audit.config"))
    }
}
