//! What a test will do, found out before it is started. Reads configuration files; starts nothing. Any thread.

use crate::config::Config;
use crate::error::Error;
use crate::ffi;
use crate::possible::check_possible;
use crate::settings::Settings;
use crate::test_settings::TestSettings;

impl Settings {
    /// What LoadGen will log as `requested_*`: mlperf.conf, user.conf and overrides. Reads files, starts nothing, may be
    /// called any number of times.
    ///
    /// Lines that LoadGen ignores or misreads without a word (`1e6` for an integer) are not found here.
    ///
    /// # Errors
    /// A configuration file that is missing, that LoadGen would drop, or that changes the mode.
    pub fn requested(&self) -> Result<TestSettings, Error> {
        let config = Config::look(self)?;
        Ok(TestSettings::of(
            self.scenario,
            self.mode,
            &config.numbers(),
        ))
    }

    /// As [`requested`](Settings::requested), with audit.config applied: what the test will do.
    ///
    /// # Errors
    /// As for `requested`, for both files.
    pub fn audited(&self) -> Result<TestSettings, Error> {
        let mut config = Config::look(self)?;
        config.apply_audit(self)?;
        Ok(TestSettings::of(
            self.scenario,
            self.mode,
            &config.numbers(),
        ))
    }

    /// Whether LoadGen could run this over a library of these counts: what [`run`](crate::run()) checks first, for callers
    /// that want to know before they load a model.
    ///
    /// # Errors
    /// As for `audited`, and [`Error::Impossible`].
    pub fn check(&self, library_total: u64, library_performance: u64) -> Result<(), Error> {
        let (requested, audited) = (self.requested()?, self.audited()?);
        if requested.use_token_latencies != audited.use_token_latencies {
            return Err(Error::Impossible(format!(
                "audit.config sets use_token_latencies to {}, but LoadGen's log begins with {}, and results are computed of \
                 what it holds. Set it in user.conf",
                u8::from(audited.use_token_latencies),
                u8::from(requested.use_token_latencies)
            )));
        }
        check_possible(&audited, library_total, library_performance)
    }
}

/// The text of the mlperf.conf that is built into LoadGen, with the names of its models and the limits of the round.
pub fn mlperf_conf() -> String {
    ffi::mlperf_conf()
}
