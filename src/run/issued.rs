//! What LoadGen will issue in a performance run, from its settings, where these are of the kinds that are foreseen. Pure.

use std::num::NonZeroU32;

use anyhow::{Result, bail};
use loadgen::{Mode, Scenario, TestSettings};
use ossmark_predict::{Plan, Query, Seeds, at_once, offline, server};

/// The plan of a run over a data set of so many rows.
///
/// # Errors
///
/// A setting whose effect is not foreseen, by name; a data set of no rows.
pub(crate) fn issued(settings: &TestSettings, rows: u64) -> Result<Plan> {
    let not_foreseen = [
        (
            settings.mode == Mode::FindPeakPerformance,
            "--mode find-peak: LoadGen chooses its loads while it runs",
        ),
        (
            settings.performance_issue_same,
            "performance_issue_same is set",
        ),
        (settings.test05, "test05 is set"),
        (settings.server_coalesce_queries, "coalesce_queries is set"),
        (settings.max_duration_ms > 0, "max_duration is set"),
        (settings.max_query_count > 0, "max_query_count is set"),
        (
            settings.server_max_async_queries > 0,
            "max_async_queries is set",
        ),
    ];
    if let Some((_, why)) = not_foreseen.into_iter().find(|(is_set, _)| *is_set) {
        bail!("{why}, and what such a run issues is not foreseen here");
    }
    let loaded = u32::try_from(settings.loaded_samples(rows, rows)).ok();
    let Some(loaded_samples) = loaded.and_then(NonZeroU32::new) else {
        bail!("{rows} samples in the data set, expected 1 to 4294967295");
    };
    Ok(Plan {
        target_qps: settings.target_qps(),
        min_duration_ms: settings.min_duration_ms,
        min_query_count: settings.min_query_count,
        loaded_samples,
        equal_issue: settings.sample_concatenate_permutation,
        issue_unique: settings.performance_issue_unique,
        seeds: Seeds {
            qsl: settings.qsl_rng_seed,
            sample_index: settings.sample_index_rng_seed,
            schedule: settings.schedule_rng_seed,
        },
    })
}

/// The queries of a run in Server, or in Offline, where the one query is given as a query for each sample.
pub(crate) fn queries(plan: &Plan, scenario: Scenario) -> Vec<Query> {
    if scenario == Scenario::Offline {
        at_once(&offline(plan))
    } else {
        server(plan)
    }
}
