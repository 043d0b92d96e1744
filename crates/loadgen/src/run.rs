//! Runs the one test of a process. [`run()`] blocks its thread, and every callback comes on that thread, but for Server's
//! queries where threads were asked for.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::callbacks::{Callbacks, Sut};
use crate::config::{AUDIT, Config};
use crate::detail::Detail;
use crate::effective::EffectiveSettings;
use crate::error::Error;
use crate::faults::{self, Faults};
use crate::ffi::{self, Outputs};
use crate::scenario::Scenario;
use crate::settings::Settings;
use crate::summary::Summary;
use crate::sut::{SampleLibrary, SystemUnderTest};
use crate::test_settings::TestSettings;
use crate::ticket::Untimed;

/// LoadGen's three logs.
#[derive(Clone, Debug)]
pub struct LogPaths {
    /// Result and settings for people; empty after an accuracy run.
    pub summary: PathBuf,
    /// Everything, one JSON object a line.
    pub detail: PathBuf,
    /// Responses.
    pub accuracy: PathBuf,
}

/// A test that has run to its end; whether it is valid is another question, which its logs and faults answer.
#[derive(Clone, Debug)]
pub struct TestRun {
    /// What was asked (before audit.config).
    pub requested: TestSettings,
    /// What went wrong on this side of LoadGen.
    pub faults: Faults,
    /// Where the logs are.
    pub logs: LogPaths,
}

impl TestRun {
    /// What LoadGen made of the settings, as its detail log has it.
    ///
    /// # Errors
    /// [`Error::Log`]: the log cannot be read, or does not have them.
    pub fn effective(&self) -> Result<EffectiveSettings, Error> {
        EffectiveSettings::of(&Detail::read(&self.logs.detail)?)
    }

    /// LoadGen's result, as its detail log has it.
    ///
    /// # Errors
    /// [`Error::Log`]: the log cannot be read, or ends before the result.
    pub fn summary(&self) -> Result<Summary, Error> {
        Summary::of(&Detail::read(&self.logs.detail)?)
    }
}

/// Runs a test and returns when LoadGen has every answer and has written its logs. Once per process.
///
/// The system's tickets report first tokens ([`Issued`](crate::Issued)). Where the settings time no tokens
/// ([`use_token_latencies`](TestSettings::use_token_latencies)) that is not looked at; [`run_untimed`] is for systems that
/// have none.
///
/// # Errors
/// The settings or files do not allow a test (nothing has been started), or LoadGen itself failed: see [`Error`].
///
/// Where it throws a C++ exception during the test (most likely it could not allocate its queries), no return is safe: that is
/// written to stderr, and the process ends with exit code 2.
pub fn run(
    settings: &Settings,
    sut: &dyn SystemUnderTest,
    library: &dyn SampleLibrary,
) -> Result<TestRun, Error> {
    start(settings, Sut::Tokens(sut), library)
}

/// As [`run()`], for a system that answers with bytes and not with tokens (images, boxes, logits).
///
/// # Errors
/// As for `run`; and [`Error::Impossible`] where the settings time tokens.
pub fn run_untimed(
    settings: &Settings,
    sut: &dyn SystemUnderTest<Untimed>,
    library: &dyn SampleLibrary,
) -> Result<TestRun, Error> {
    if settings.requested()?.use_token_latencies {
        return Err(Error::Impossible(format!(
            "use_token_latencies is set for {}, with which LoadGen wants first tokens and token counts; call run with a system \
             that gives them, or override it",
            settings.model
        )));
    }
    start(settings, Sut::Untimed(sut), library)
}

fn start(settings: &Settings, sut: Sut<'_>, library: &dyn SampleLibrary) -> Result<TestRun, Error> {
    let requested = settings.requested()?;
    let (total, performance) = (library.total_count(), library.performance_count());
    settings.check(total as u64, performance as u64)?;
    let log = &settings.log;
    check_text(
        "the output directory",
        &log.outdir.to_string_lossy(),
        &['\0'],
    )?;
    check_text("the log prefix", &log.prefix, &['\0', '/'])?;
    check_text("the log suffix", &log.suffix, &['\0', '/'])?;
    check_text("the model", &settings.model, &['\0'])?;
    for (what, name) in [
        ("the name of the system under test", sut.name()),
        ("the name of the sample library", library.name()),
    ] {
        // LoadGen puts both into JSON unescaped.
        check_text(what, name, &['"', '\\'])?;
    }
    let audit_config =
        std::path::absolute(settings.audit_path()).map_err(|source| Error::ConfigUnreadable {
            what: AUDIT,
            path: settings.audit_path().into(),
            source,
        })?;
    let prefix = match log.prefix_with_datetime {
        true => format!("{}{}_", log.prefix, ffi::date_time()),
        false => log.prefix.clone(),
    };
    let logs = open_logs(settings, &prefix)?;
    let outputs = Outputs {
        sut_name: sut.name().into(),
        qsl_name: library.name().into(),
        total_count: total,
        performance_count: performance,
        outdir: log.outdir.as_os_str().as_bytes().to_vec(),
        prefix,
        suffix: log.suffix.clone(),
        copy_detail_to_stdout: log.copy_detail_to_stdout,
        copy_summary_to_stdout: log.copy_summary_to_stdout,
        log_mode: log.log_mode.code(),
        log_mode_async_poll_interval_ms: log.log_mode_async_poll_interval_ms,
        enable_trace: log.enable_trace,
        audit_config: audit_config.as_os_str().as_bytes().to_vec(),
    };

    let reports_first_tokens =
        matches!(sut, Sut::Tokens(_)) && settings.scenario != Scenario::Offline;
    if !faults::claim_test(reports_first_tokens) {
        return Err(Error::AlreadyRan);
    }
    let config = Config::claim(settings)?;
    issue_threads(requested.server_num_issue_query_threads, || {
        ffi::start_test(&Callbacks { sut, library }, config.settings(), &outputs);
    })?;
    match fs::metadata(&logs.detail) {
        Ok(file) if file.len() > 0 => Ok(TestRun {
            requested,
            faults: faults::faults(),
            logs,
        }),
        _ => Err(Error::NoLog { path: logs.detail }),
    }
}

/// Runs a test beside so many threads on which LoadGen issues its queries; they end after it.
fn issue_threads(count: u64, test: impl FnOnce()) -> Result<(), Error> {
    let over = Mutex::new(());
    thread::scope(|scope| {
        let under_way = over.lock().unwrap_or_else(PoisonError::into_inner);
        let start = |_| {
            let builder = thread::Builder::new().name("loadgen-issue".into());
            builder.spawn_scoped(scope, || {
                ffi::register_issue_query_thread();
                // LoadGen frees the log of a thread that ends, and its log thread may still be looking at it. When the test
                // has returned there is no log thread any more.
                drop(over.lock());
            })
        };
        let mut threads = Vec::new();
        let mut result = Ok(());
        for thread in (0..count).map(start) {
            match thread {
                Ok(thread) => threads.push(thread),
                Err(source) => {
                    result = Err(Error::Threads { count, source });
                    break;
                }
            }
        }
        match result {
            Ok(()) => test(),
            Err(_) => ffi::end_issue_query_threads(),
        }
        drop(under_way);
        // A scope does not wait for what C++ does when a thread ends.
        for thread in threads {
            let _ = thread.join();
        }
        result
    })
}

/// Ends the process at once with an exit code, running no destructors: the only safe way out while a test is under way or
/// after [`Error::NoLog`] (LoadGen's static destructors would abort the process). Give LoadGen's log thread, which writes
/// every 10 ms, a moment first.
pub fn exit_now(code: i32) -> ! {
    ffi::exit_now(code);
    unreachable!("the process has ended")
}

fn check_text(what: &'static str, value: &str, forbidden: &[char]) -> Result<(), Error> {
    match value
        .chars()
        .find(|c| c.is_control() || forbidden.contains(c))
    {
        Some(found) => Err(Error::BadText {
            what,
            value: value.into(),
            found,
        }),
        None => Ok(()),
    }
}

/// Opens every file that LoadGen will open, for writing and without touching its content.
fn open_logs(settings: &Settings, prefix: &str) -> Result<LogPaths, Error> {
    let open = |name: &str, ending: &str| -> Result<PathBuf, Error> {
        let log = &settings.log;
        let path = log
            .outdir
            .join(format!("{prefix}{name}{}{ending}", log.suffix));
        #[allow(
            clippy::disallowed_methods,
            reason = "LoadGen's logs, in a claimed directory"
        )]
        let result: io::Result<_> = OpenOptions::new().create(true).append(true).open(&path);
        match result {
            Ok(_) => Ok(path),
            Err(source) => Err(Error::OutputDir { path, source }),
        }
    };
    // Opened although tracing is off.
    open("trace", ".json")?;
    Ok(LogPaths {
        summary: open("summary", ".txt")?,
        detail: open("detail", ".txt")?,
        accuracy: open("accuracy", ".json")?,
    })
}
