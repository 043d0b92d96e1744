//! LoadGen's settings object while it is being filled from the built-in mlperf.conf, user.conf, overrides and audit.config.
//! Checks LoadGen's return codes; does not look for lines that LoadGen misreads without a word. Any thread.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use cxx::UniquePtr;

use crate::error::Error;
use crate::ffi::{self, Numbers, TestSettings};
use crate::scenario::Mode;
use crate::settings::Settings;

const USER: &str = "user.conf";
pub(crate) const AUDIT: &str = "audit.config";

/// `FromConfig`'s three ways of reading a file.
const BUILT_IN: i32 = 0;
const USER_CONF: i32 = 1;
const AUDIT_CONFIG: i32 = 2;

/// LoadGen's settings object while it is being filled.
pub(crate) struct Config {
    settings: UniquePtr<TestSettings>,
}

impl Config {
    /// The settings of a test, without using up the one user.conf that LoadGen allows a process: the built-in file and
    /// user.conf are read in two steps. `claim` reads them LoadGen's way.
    pub(crate) fn look(settings: &Settings) -> Result<Config, Error> {
        let mut config = Config {
            settings: ffi::new_settings(),
        };
        config.begin(settings);
        config.read(
            settings,
            Path::new(""),
            BUILT_IN,
            USER,
            settings.model.as_str(),
        )?;
        if let Some(path) = &settings.user_conf {
            check_readable(USER, path)?;
            config.read(settings, path, AUDIT_CONFIG, USER, settings.model.as_str())?;
        }
        config.finish(settings);
        Ok(config)
    }

    /// The settings that the test is started with, through the call that every submitter makes.
    pub(crate) fn claim(settings: &Settings) -> Result<Config, Error> {
        let mut config = Config {
            settings: ffi::new_settings(),
        };
        config.begin(settings);
        match &settings.user_conf {
            Some(path) => config.read(settings, path, USER_CONF, USER, settings.model.as_str())?,
            None => config.read(
                settings,
                Path::new(""),
                BUILT_IN,
                USER,
                settings.model.as_str(),
            )?,
        }
        config.finish(settings);
        Ok(config)
    }

    /// As StartTest will: for every model, after everything else. Its own call ignores errors.
    pub(crate) fn apply_audit(&mut self, settings: &Settings) -> Result<(), Error> {
        let Some(path) = &settings.audit_config else {
            return Ok(());
        };
        check_readable(AUDIT, path)?;
        self.read(settings, path, AUDIT_CONFIG, AUDIT, "*")
    }

    pub(crate) fn numbers(&self) -> Numbers {
        ffi::numbers(&self.settings)
    }

    pub(crate) fn settings(&self) -> &TestSettings {
        &self.settings
    }

    fn begin(&mut self, settings: &Settings) {
        let mut numbers = self.numbers();
        numbers.scenario = settings.scenario.code();
        numbers.mode = settings.mode.code();
        ffi::set_numbers(self.settings.pin_mut(), &numbers);
    }

    fn read(
        &mut self,
        settings: &Settings,
        path: &Path,
        kind: i32,
        what: &'static str,
        model: &str,
    ) -> Result<(), Error> {
        let bytes = path.as_os_str().as_bytes();
        let code = ffi::from_config(
            self.settings.pin_mut(),
            bytes,
            model,
            settings.scenario.as_str(),
            kind,
        )
        .map_err(|e| Error::LoadGen(e.what().into()))?;
        if code != 0 {
            return Err(Error::ConfigRefused {
                what,
                path: path.into(),
                code,
            });
        }
        let mode = self.numbers().mode;
        if mode == settings.mode.code() {
            return Ok(());
        }
        Err(Error::ModeConflict {
            what,
            path: path.into(),
            found: Mode::of_code(mode).map_or("?", Mode::as_str).to_owned(),
            asked: settings.mode.as_str().to_owned(),
        })
    }

    fn finish(&mut self, settings: &Settings) {
        let mut numbers = self.numbers();
        settings.overrides.apply(&mut numbers);
        ffi::set_numbers(self.settings.pin_mut(), &numbers);
    }
}

/// LoadGen opens a directory without complaint, waits for ever at a named pipe, and cuts a path at a NUL.
fn check_readable(what: &'static str, path: &Path) -> Result<(), Error> {
    let open = || -> io::Result<()> {
        if !path.metadata()?.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file",
            ));
        }
        #[allow(
            clippy::disallowed_methods,
            reason = "a regular file, as was just seen"
        )]
        let file = std::fs::File::open(path)?;
        drop(file);
        Ok(())
    };
    open().map_err(|source| Error::ConfigUnreadable {
        what,
        path: path.into(),
        source,
    })
}
