//! Settings with which LoadGen divides by zero, allocates without end, waits for ever or runs no query at all.

use crate::error::Error;
use crate::scenario::{Mode, Scenario};
use crate::test_settings::TestSettings;

/// Beyond this LoadGen would need some 100 GB for its queries before the first is issued.
const MAX_SAMPLES: u64 = 1_000_000_000;
/// LoadGen logs from 1024 threads at most.
const MAX_THREADS: u64 = 256;

/// Whether LoadGen can run these over a library of these counts; `audited` has audit.config applied.
pub(crate) fn check_possible(
    audited: &TestSettings,
    total: u64,
    performance: u64,
) -> Result<(), Error> {
    let impossible = |problem: String| Err(Error::Impossible(problem));
    let scenario = audited.scenario;
    let offline = scenario == Scenario::Offline;
    if audited.mode == Mode::FindPeakPerformance && scenario != Scenario::Server {
        return impossible(format!(
            "FindPeakPerformance searches Server's target rate; {} has none. Use Server",
            scenario.as_str()
        ));
    }
    if audited.test05 && audited.mode != Mode::PerformanceOnly {
        return impossible(format!(
            "test05 is set, with which LoadGen runs PerformanceOnly, but {} was asked for",
            audited.mode.as_str()
        ));
    }
    check_rate(audited)?;
    if audited.mode.measures() {
        check_percentile(audited)?;
    }
    if audited.mode == Mode::FindPeakPerformance {
        check_search(audited)?;
    }
    let threads = audited.server_num_issue_query_threads;
    if threads > MAX_THREADS {
        return impossible(format!(
            "server_num_issue_query_threads is {threads}, expected {MAX_THREADS} at most"
        ));
    }
    if scenario == Scenario::MultiStream && audited.multi_stream_samples_per_query == 0 {
        return impossible("multi_stream_samples_per_query is 0, expected 1 at least".into());
    }
    let loaded = audited.loaded_samples(total, performance);
    let divides_by_library =
        scenario == Scenario::SingleStream && audited.sample_concatenate_permutation;
    if loaded == 0 || (divides_by_library && performance == 0) {
        return impossible(format!(
            "no sample would be loaded: the library has {total} samples, {performance} at a time; both must be at least 1"
        ));
    }
    let asked = audited.performance_sample_count_override;
    if audited.mode.measures() && offline && audited.performance_issue_unique && asked > loaded {
        return impossible(format!(
            "Offline with performance_issue_unique and performance_sample_count_override = {asked}, but the library has \
             only {total} samples: LoadGen would make no query and crash. Set performance_sample_count_override = {total} \
             in user.conf"
        ));
    }
    let permutes = audited.sample_concatenate_permutation
        && !audited.performance_issue_unique
        && !audited.performance_issue_same;
    if audited.mode.measures()
        && scenario == Scenario::Server
        && permutes
        && audited.min_query_count == 0
    {
        return impossible(
            "Server with sample_concatenate_permutation and min_query_count = 0: LoadGen would make no permutation and crash. \
             Set min_query_count to 1 or more"
                .into(),
        );
    }
    let same = audited.performance_issue_same_index;
    if audited.mode.measures() && audited.performance_issue_same && same >= loaded {
        return impossible(format!(
            "performance_issue_same_index is {same}, but {loaded} samples are loaded: LoadGen would read past their end"
        ));
    }
    let expected = audited.expected_samples(total, performance);
    if expected == 0 || expected > MAX_SAMPLES {
        return impossible(format!(
            "{expected} samples would be issued, expected 1 to {MAX_SAMPLES}; look at target_qps = {}, min_duration = {} ms \
             and min_query_count = {}",
            audited.target_qps(),
            audited.min_duration_ms,
            audited.min_query_count
        ));
    }
    Ok(())
}

/// LoadGen takes the latency at this share of all samples; at 1 it would read past their end.
fn check_percentile(audited: &TestSettings) -> Result<(), Error> {
    let (name, share) = match audited.scenario {
        Scenario::SingleStream => (
            "single_stream_target_latency_percentile",
            audited.single_stream_target_latency_percentile,
        ),
        Scenario::MultiStream => (
            "multi_stream_target_latency_percentile",
            audited.multi_stream_target_latency_percentile,
        ),
        Scenario::Server => (
            "server_target_latency_percentile",
            audited.server_target_latency_percentile,
        ),
        Scenario::Offline => return Ok(()),
    };
    if share > 0.0 && share < 1.0 {
        return Ok(());
    }
    Err(Error::Impossible(format!(
        "{name} is {share}, expected more than 0 and less than 1 (in user.conf, less than 100 percent)"
    )))
}

/// LoadGen's search must come to an end: the rate grows, and is not asked for more finely than numbers are.
fn check_search(audited: &TestSettings) -> Result<(), Error> {
    let step = audited.server_find_peak_qps_boundary_step_size;
    let decimals = audited.server_find_peak_qps_decimals_of_precision;
    if !(0.001..=1000.0).contains(&step) {
        return Err(Error::Impossible(format!(
            "server_find_peak_qps_boundary_step_size is {step}, expected 0.001 to 1000"
        )));
    }
    if !(0..=6).contains(&decimals) {
        return Err(Error::Impossible(format!(
            "server_find_peak_qps_decimals_of_precision is {decimals}, expected 0 to 6"
        )));
    }
    Ok(())
}

/// A schedule of these must go forward, in nanoseconds.
fn check_rate(audited: &TestSettings) -> Result<(), Error> {
    let (name, value, is_good) = match audited.scenario {
        Scenario::SingleStream => latency(
            "single_stream_expected_latency_ns",
            audited.single_stream_expected_latency_ns,
        ),
        Scenario::MultiStream => latency(
            "multi_stream_expected_latency_ns",
            audited.multi_stream_expected_latency_ns,
        ),
        Scenario::Server => {
            let qps = audited.server_target_qps;
            ("target_qps", qps, qps.is_finite() && qps > 0.0)
        }
        Scenario::Offline => {
            let qps = audited.offline_expected_qps;
            ("target_qps", qps, qps.is_finite() && qps >= 0.0)
        }
    };
    if is_good {
        return Ok(());
    }
    let least = match audited.scenario {
        Scenario::SingleStream | Scenario::MultiStream => "1 nanosecond to 1e18",
        Scenario::Server | Scenario::Offline => "a number greater than 0",
    };
    Err(Error::Impossible(format!(
        "{name} is {value}, expected {least}"
    )))
}

/// Below a nanosecond LoadGen's clock would stand still; far beyond 1e18 it would run over.
fn latency(name: &'static str, ns: f64) -> (&'static str, f64, bool) {
    (name, ns, (1.0..=1e18).contains(&ns))
}
