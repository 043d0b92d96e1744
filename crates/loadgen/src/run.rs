//! Runs the one test of a process. [`run()`] blocks its thread, and every callback comes on that thread.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use crate::config::{AUDIT, Config};
use crate::error::Error;
use crate::faults::{self, Faults};
use crate::ffi::{self, Outputs, QuerySample};
use crate::settings::{Mode, RequestedSettings, Scenario, Settings};
use crate::ticket::Samples;

/// What LoadGen tests. Methods are called on the thread that called [`run()`]; a panic in one is recorded in [`Faults`].
pub trait SystemUnderTest: Sync {
    /// The name that LoadGen logs; asked once, before the test.
    fn name(&self) -> &str;
    /// A query. Must not block: in Server it would delay the arrivals. Tickets not taken are dropped.
    fn issue(&self, samples: Samples<'_>);
    /// No more queries for the samples now loaded. Comes once for each loaded set, so it need not be the end of the test.
    fn flush(&self);
}

/// Where the samples are. Methods are called on the thread that called [`run()`]; a panic in `load` or `unload` is recorded in
/// [`Faults`].
pub trait SampleLibrary: Sync {
    /// The name that LoadGen logs; asked once, before the test.
    fn name(&self) -> &str;
    /// Samples in the library, numbered from 0; asked once, before the test.
    fn total_count(&self) -> usize;
    /// Samples that fit into memory at a time; asked once, before the test. mlperf.conf overrides it for this benchmark.
    fn performance_count(&self) -> usize;
    /// Samples about to be issued. Not timed.
    fn load(&self, samples: &[usize]);
    /// The end of a `load`, with the same samples.
    fn unload(&self, samples: &[usize]);
}

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
    pub requested: RequestedSettings,
    /// What went wrong on this side of LoadGen.
    pub faults: Faults,
    /// Where the logs are.
    pub logs: LogPaths,
}

/// Runs a test and returns when LoadGen has every answer and has written its logs. Once per process.
///
/// # Errors
/// The settings or files do not allow a test (nothing has been started), or LoadGen itself failed: see [`Error`].
pub fn run(
    settings: &Settings,
    sut: &dyn SystemUnderTest,
    library: &dyn SampleLibrary,
) -> Result<TestRun, Error> {
    let requested = settings.requested()?;
    let (total, performance) = (library.total_count(), library.performance_count());
    settings.check(total as u64, performance as u64)?;
    check_text(
        "the output directory",
        &settings.output_dir.to_string_lossy(),
        &['\0'],
    )?;
    check_text("the log prefix", &settings.log_prefix, &['\0', '/'])?;
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
    let logs = open_logs(settings)?;
    let outputs = Outputs {
        sut_name: sut.name().into(),
        qsl_name: library.name().into(),
        total_count: total,
        performance_count: performance,
        output_dir: settings.output_dir.as_os_str().as_bytes().to_vec(),
        log_prefix: settings.log_prefix.clone(),
        copy_summary_to_stdout: settings.copy_summary_to_stdout,
        enable_trace: settings.enable_trace,
        audit_config: audit_config.as_os_str().as_bytes().to_vec(),
    };

    if !faults::claim_test(settings.scenario != Scenario::Offline) {
        return Err(Error::AlreadyRan);
    }
    let config = Config::claim(settings)?;
    ffi::start_test(&Callbacks { sut, library }, config.settings(), &outputs)
        .map_err(|e| Error::LoadGen(e.what().into()))?;
    match fs::metadata(&logs.detail) {
        Ok(file) if file.len() > 0 => Ok(TestRun {
            requested,
            faults: faults::faults(),
            logs,
        }),
        _ => Err(Error::NoLog { path: logs.detail }),
    }
}

/// Ends the process at once with an exit code, running no destructors: the only safe way out while a test is under way or
/// after [`Error::LoadGen`] (LoadGen's static destructors would abort the process). Give LoadGen's log thread, which writes
/// every 10 ms, a moment first.
pub fn exit_now(code: i32) -> ! {
    ffi::exit_now(code);
    unreachable!("the process has ended")
}

/// What LoadGen calls. No panic gets through: unwinding into C++ would end the process.
pub(crate) struct Callbacks<'a> {
    sut: &'a dyn SystemUnderTest,
    library: &'a dyn SampleLibrary,
}

impl Callbacks<'_> {
    #[allow(unsafe_code, reason = "calls into LoadGen, each with its reason")]
    pub(crate) fn issue(&self, samples: &[QuerySample], now_ns: i64) {
        // SAFETY: called by the shim's IssueQuery only, with the query that LoadGen has just issued.
        let samples = unsafe { Samples::new(samples, now_ns) };
        guard("issue", || self.sut.issue(samples));
    }

    pub(crate) fn flush(&self) {
        guard("flush", || self.sut.flush());
    }

    pub(crate) fn load(&self, samples: &[usize]) {
        guard("load", || self.library.load(samples));
    }

    pub(crate) fn unload(&self, samples: &[usize]) {
        guard("unload", || self.library.unload(samples));
    }
}

fn guard(method: &str, call: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(call)) {
        faults::panicked(method, &*payload);
    }
}

/// Beyond this LoadGen would need some 100 GB for its queries before the first is issued.
const MAX_SAMPLES: u64 = 1_000_000_000;

/// Settings with which LoadGen divides by zero, allocates without end, waits for ever or runs no query at all.
pub(crate) fn check_possible(
    audited: &RequestedSettings,
    total: u64,
    performance: u64,
) -> Result<(), Error> {
    let impossible = |problem: String| Err(Error::Impossible(problem));
    let offline = audited.scenario == Scenario::Offline;
    if audited.mode == Mode::FindPeak && offline {
        return impossible(
            "FindPeak mode searches Server's target rate; Offline has none. Use Server".into(),
        );
    }
    if !audited.target_qps.is_finite()
        || audited.target_qps < 0.0
        || (!offline && audited.target_qps == 0.0)
    {
        return impossible(format!(
            "target_qps is {}, expected a number greater than 0",
            audited.target_qps
        ));
    }
    let loaded = audited.loaded_samples(total, performance);
    if loaded == 0 {
        return impossible(format!(
            "no sample would be loaded: the library has {total} samples, {performance} at a time; both must be at least 1"
        ));
    }
    let asked = audited.performance_sample_count_override;
    if audited.mode != Mode::Accuracy
        && offline
        && audited.performance_issue_unique
        && asked > loaded
    {
        return impossible(format!(
            "Offline with performance_issue_unique and performance_sample_count_override = {asked}, but the library has \
             only {total} samples: LoadGen would make no query and crash. Set performance_sample_count_override = {total} \
             in user.conf"
        ));
    }
    let expected = audited.expected_samples(total, performance);
    if expected == 0 || expected > MAX_SAMPLES {
        return impossible(format!(
            "{expected} samples would be issued, expected 1 to {MAX_SAMPLES}; look at target_qps = {}, min_duration = {} ms \
             and min_query_count = {}",
            audited.target_qps, audited.min_duration_ms, audited.min_query_count
        ));
    }
    Ok(())
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
fn open_logs(settings: &Settings) -> Result<LogPaths, Error> {
    let open = |name: &str| -> Result<PathBuf, Error> {
        let path = settings.log_path(name);
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
    open("trace.json")?;
    Ok(LogPaths {
        summary: open("summary.txt")?,
        detail: open("detail.txt")?,
        accuracy: open("accuracy.json")?,
    })
}
