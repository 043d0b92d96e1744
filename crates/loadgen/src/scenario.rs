//! LoadGen's two enums of a test: which traffic, and what is done with it.

use serde::{Deserialize, Serialize};

/// LoadGen's `TestScenario`: how samples arrive. MLPerf's Interactive is [`Server`](Scenario::Server) with a model of its own
/// (`gpt-oss-120b-interactive`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scenario {
    /// One sample a query; the next query follows when the one before is answered. The result is a percentile of latency.
    SingleStream,
    /// [`multi_stream_samples_per_query`](crate::TestSettings::multi_stream_samples_per_query) samples a query, next to each
    /// other in the loaded set; the next query follows when the one before is answered. The result is a percentile of a
    /// query's latency, which is that of its last sample.
    MultiStream,
    /// One sample a query, Poisson arrivals at the target rate. The result is that rate, where the latencies keep the limits.
    Server,
    /// All samples in one query. The result is samples per second.
    Offline,
}

impl Scenario {
    /// All four, in LoadGen's order.
    pub const ALL: [Scenario; 4] = [
        Scenario::SingleStream,
        Scenario::MultiStream,
        Scenario::Server,
        Scenario::Offline,
    ];

    /// LoadGen's spelling, which is also that of user.conf.
    pub fn as_str(self) -> &'static str {
        match self {
            Scenario::SingleStream => "SingleStream",
            Scenario::MultiStream => "MultiStream",
            Scenario::Server => "Server",
            Scenario::Offline => "Offline",
        }
    }

    pub(crate) fn code(self) -> i32 {
        match self {
            Scenario::SingleStream => 0,
            Scenario::MultiStream => 1,
            Scenario::Server => 2,
            Scenario::Offline => 3,
        }
    }

    pub(crate) fn named(name: &str) -> Option<Scenario> {
        Scenario::ALL.into_iter().find(|s| s.as_str() == name)
    }
}

/// LoadGen's `TestMode`: what is done with the scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// An accuracy run, then a performance run.
    SubmissionRun,
    /// Issues every sample at least once and logs every response.
    AccuracyOnly,
    /// Measures; logs responses only for sampled samples.
    PerformanceOnly,
    /// Server only: raises the target rate until a trial misses its limits, then bisects. The first trial must meet them.
    FindPeakPerformance,
}

impl Mode {
    /// All four, in LoadGen's order, which is also their number in user.conf and audit.config.
    pub const ALL: [Mode; 4] = [
        Mode::SubmissionRun,
        Mode::AccuracyOnly,
        Mode::PerformanceOnly,
        Mode::FindPeakPerformance,
    ];

    /// LoadGen's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::SubmissionRun => "SubmissionRun",
            Mode::AccuracyOnly => "AccuracyOnly",
            Mode::PerformanceOnly => "PerformanceOnly",
            Mode::FindPeakPerformance => "FindPeakPerformance",
        }
    }

    /// Whether a performance test is part of it.
    pub fn measures(self) -> bool {
        self != Mode::AccuracyOnly
    }

    pub(crate) fn code(self) -> i32 {
        match self {
            Mode::SubmissionRun => 0,
            Mode::AccuracyOnly => 1,
            Mode::PerformanceOnly => 2,
            Mode::FindPeakPerformance => 3,
        }
    }

    pub(crate) fn of_code(code: i32) -> Option<Mode> {
        Mode::ALL.into_iter().find(|mode| mode.code() == code)
    }

    pub(crate) fn named(name: &str) -> Option<Mode> {
        Mode::ALL.into_iter().find(|mode| mode.as_str() == name)
    }
}
