//! How many samples LoadGen will make of its settings, before it does. Pure, but for the arrival times, which the C++ library
//! draws. Any thread.

use crate::ffi;
use crate::scenario::{Mode, Scenario};
use crate::test_settings::TestSettings;

/// Drawing so many takes less than a second.
const MOST_ARRIVALS: f64 = 1e7;
/// Gaps of lower rates may be longer than nanoseconds count.
const LEAST_QPS: f64 = 1e-3;

impl TestSettings {
    /// Samples that LoadGen loads at a time from a library of these counts.
    pub fn loaded_samples(&self, library_total: u64, library_performance: u64) -> u64 {
        let count = match self.performance_sample_count_override {
            0 => library_performance,
            count => count,
        };
        count.min(library_total)
    }

    /// How many samples LoadGen will generate, padding included.
    ///
    /// Server's random arrivals make it approximate, and a maximum duration or count can end it sooner; in FindPeakPerformance
    /// it is that of the first trial. A stream ends as soon as its minimum duration and count are reached, so that there it is
    /// the most that can be issued.
    pub fn expected_samples(&self, library_total: u64, library_performance: u64) -> u64 {
        let accuracy = self.accuracy_samples(library_total, library_performance);
        let performance = || {
            let factor = match self.scenario {
                Scenario::Offline => 1.1,
                Scenario::Server => 1.0,
                // LoadGen prepares twice the queries that it expects to need.
                Scenario::SingleStream | Scenario::MultiStream => 2.0,
            };
            let timed = factor * self.timed_queries();
            self.generated(library_total, library_performance, timed)
        };
        match self.mode {
            Mode::AccuracyOnly => accuracy,
            Mode::PerformanceOnly | Mode::FindPeakPerformance => performance(),
            Mode::SubmissionRun => accuracy.saturating_add(performance()),
        }
    }

    /// How many samples LoadGen will generate in a performance test of Server, by its seed: never fewer than it does. A maximum
    /// duration or count can end it sooner.
    pub fn scheduled_samples(&self, library_total: u64, library_performance: u64) -> u64 {
        let mean = self.timed_queries();
        let is_short = mean < MOST_ARRIVALS && self.server_target_qps > LEAST_QPS && !self.test05;
        let timed = match is_short {
            true => {
                let seed = self.schedule_rng_seed;
                ffi::arrivals_within(self.server_target_qps, seed, self.min_duration_ms) as f64
            }
            // Twelve standard deviations of a Poisson count, and some for small ones.
            false => mean + 12.0 * mean.sqrt() + 50.0,
        };
        self.generated(library_total, library_performance, timed)
    }

    fn timed_queries(&self) -> f64 {
        self.min_duration_ms as f64 / 1e3 * self.target_qps()
    }

    fn accuracy_samples(&self, library_total: u64, library_performance: u64) -> u64 {
        let asked = match self.accuracy_sample_count_override {
            0 => library_total,
            count => count.min(library_total),
        };
        if self.scenario != Scenario::MultiStream {
            return asked;
        }
        // Each loaded set is issued in whole queries.
        let set = match self.performance_sample_count_override {
            0 => library_performance,
            count => count,
        };
        if set == 0 {
            return 0;
        }
        let whole = (asked / set).saturating_mul(self.in_whole_queries(set));
        whole.saturating_add(self.in_whole_queries(asked % set))
    }

    fn in_whole_queries(&self, samples: u64) -> u64 {
        let size = self.samples_per_query();
        match size {
            0 => 0,
            size => samples.div_ceil(size).saturating_mul(size),
        }
    }

    fn generated(&self, library_total: u64, library_performance: u64, timed: f64) -> u64 {
        let loaded = self.loaded_samples(library_total, library_performance);
        if self.performance_issue_unique {
            return self.in_whole_queries(loaded);
        }
        // Saturates: a float beyond the range becomes u64::MAX.
        let mut count = (timed as u64).max(self.min_query_count);
        if !self.sample_concatenate_permutation {
            return count.saturating_mul(self.samples_per_query());
        }
        if self.scenario == Scenario::SingleStream && library_performance > 0 {
            // LoadGen adds a whole set even where there are whole ones.
            let whole = count / library_performance;
            count = (whole.saturating_add(1)).saturating_mul(library_performance);
        }
        // MultiStream's padding counts as loaded.
        let set = loaded.saturating_add(self.samples_per_query().saturating_sub(1));
        if set > 0 {
            count = count.div_ceil(set).saturating_mul(set);
        }
        count.saturating_mul(self.samples_per_query())
    }
}
