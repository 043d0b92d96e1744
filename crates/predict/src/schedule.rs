//! The queries of a performance run: which samples, in which order, due when.

use std::num::NonZeroU32;

use crate::random::Mt19937;

/// LoadGen's three seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeds {
    /// `qsl_rng_seed`: which samples are loaded, and where they stand in their set.
    pub qsl: u64,
    /// `sample_index_rng_seed`: the order in which they are issued.
    pub sample_index: u64,
    /// `schedule_rng_seed`: when.
    pub schedule: u64,
}

/// The settings that decide what a performance run issues, in LoadGen's words and units.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// `target_qps`: queries a second in Server, samples a second in Offline.
    pub target_qps: f64,
    /// `min_duration` in milliseconds.
    pub min_duration_ms: u64,
    /// `min_query_count`.
    pub min_query_count: u64,
    /// Samples that are loaded and issued: `performance_sample_count`, no more than the library has.
    pub loaded_samples: NonZeroU32,
    /// `sample_concatenate_permutation`: every sample as often as every other (equal issue).
    pub equal_issue: bool,
    /// `performance_issue_unique`: every sample once (the compliance tests).
    pub issue_unique: bool,
    /// Its seeds.
    pub seeds: Seeds,
}

/// One query of Server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// When it is due, in nanoseconds after the first.
    pub due_ns: u64,
    /// Which sample of the data set.
    pub sample: u32,
}

/// More queries than any run has: a load or a duration that is not meant ends there, not in all of memory.
const MAX_QUERIES: usize = 100_000_000;

/// Cut off, as `std::chrono::duration_cast` does.
fn nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

/// The loaded set, in the order in which it is loaded.
fn loaded(plan: &Plan) -> Vec<u32> {
    let mut samples: Vec<u32> = (0..plan.loaded_samples.get()).collect();
    Mt19937::new(plan.seeds.qsl).shuffle(&mut samples);
    samples
}

/// The queries of a Server run, in order.
pub fn server(plan: &Plan) -> Vec<Query> {
    let loaded = loaded(plan);
    let n = loaded.len();
    let mut order = Mt19937::new(plan.seeds.sample_index);
    let mut gaps = Mt19937::new(plan.seeds.schedule);
    let (duration_ns, mut at_least) = match plan.issue_unique {
        true => (0, n),
        false => (
            plan.min_duration_ms.saturating_mul(1_000_000),
            usize::try_from(plan.min_query_count).unwrap_or(usize::MAX),
        ),
    };
    // LoadGen draws all three orders, whichever it takes.
    let mut unique: Vec<u32> = (0..n as u32).collect();
    order.shuffle(&mut unique);
    let mut equal = Vec::new();
    let mut permutation: Vec<u32> = (0..n as u32).collect();
    at_least = at_least.min(MAX_QUERIES);
    while equal.len() < at_least {
        order.shuffle(&mut permutation);
        equal.extend_from_slice(&permutation);
    }
    if plan.equal_issue {
        at_least = at_least.next_multiple_of(n);
    }
    let mut queries = Vec::new();
    let (mut due, mut before) = (0_u64, 0_u64);
    while (before < duration_ns || queries.len() < at_least) && queries.len() < MAX_QUERIES {
        let place = if plan.issue_unique {
            unique[queries.len()]
        } else if plan.equal_issue && !equal.is_empty() {
            equal[queries.len() % equal.len()]
        } else {
            order.below(n as u32)
        };
        queries.push(Query {
            due_ns: due,
            sample: loaded[place as usize],
        });
        before = due;
        due = due.saturating_add(nanoseconds(gaps.exponential(plan.target_qps)));
        if plan.equal_issue && queries.len() >= at_least && before < duration_ns {
            at_least += n;
        }
    }
    queries
}

/// The samples of an Offline run's one query, in order.
pub fn offline(plan: &Plan) -> Vec<u32> {
    let loaded = loaded(plan);
    let n = loaded.len();
    let mut order = Mt19937::new(plan.seeds.sample_index);
    // LoadGen generates a tenth more than its duration takes at this rate.
    let timed = 1.1 * (plan.min_duration_ms as f64 / 1e3) * plan.target_qps;
    let mut count = match plan.issue_unique {
        true => n,
        false => usize::try_from(plan.min_query_count.max(timed as u64)).unwrap_or(usize::MAX),
    };
    count = count.min(MAX_QUERIES);
    // The two orders of Server are drawn here too; of equal issue for the one query that there is.
    let mut unused: Vec<u32> = (0..n as u32).collect();
    order.shuffle(&mut unused);
    let mut unused: Vec<u32> = (0..n as u32).collect();
    order.shuffle(&mut unused);
    if plan.equal_issue {
        count = count.next_multiple_of(n);
    }
    let mut samples = Vec::with_capacity(count);
    for _ in 0..count / n {
        let first = samples.len();
        samples.extend_from_slice(&loaded);
        if plan.equal_issue {
            order.shuffle(&mut samples[first..]);
        }
    }
    samples.extend_from_slice(&loaded[..count % n]);
    samples
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plans() -> impl Strategy<Value = Plan> {
        let counts = (1.0..500.0_f64, 0..3000_u64, 1..2000_u64, 1..200_u32);
        let seeds = (any::<u64>(), any::<u64>(), any::<u64>());
        (counts, any::<(bool, bool)>(), seeds).prop_map(|(counts, (equal, unique), seeds)| Plan {
            target_qps: counts.0,
            min_duration_ms: counts.1,
            min_query_count: counts.2,
            loaded_samples: NonZeroU32::new(counts.3).unwrap(),
            equal_issue: equal,
            issue_unique: unique,
            seeds: Seeds {
                qsl: seeds.0,
                sample_index: seeds.1,
                schedule: seeds.2,
            },
        })
    }

    proptest! {
        #[test]
        fn what_is_issued_is_what_was_asked_for(plan in plans()) {
            let queries = server(&plan);
            let n = plan.loaded_samples.get() as usize;
            prop_assert!(queries.is_sorted_by_key(|q| q.due_ns));
            prop_assert!(queries.iter().all(|q| q.sample < plan.loaded_samples.get()));
            if plan.issue_unique {
                let mut seen: Vec<u32> = queries.iter().map(|q| q.sample).collect();
                seen.sort_unstable();
                prop_assert_eq!(seen, (0..plan.loaded_samples.get()).collect::<Vec<_>>());
            } else {
                prop_assert!(queries.len() as u64 >= plan.min_query_count);
                let last = queries.last().map_or(0, |q| q.due_ns);
                prop_assert!(last >= plan.min_duration_ms * 1_000_000);
                prop_assert!(!plan.equal_issue || queries.len().is_multiple_of(n));
            }
            let samples = offline(&plan);
            let least = if plan.issue_unique { n as u64 } else { plan.min_query_count };
            prop_assert!(samples.len() as u64 >= least);
            prop_assert!(!plan.equal_issue || samples.len().is_multiple_of(n));
        }

        /// Each whole permutation holds every sample once.
        #[test]
        fn equal_issue_is_equal(plan in plans()) {
            let plan = Plan { equal_issue: true, issue_unique: false, ..plan };
            for all in [server(&plan).iter().map(|q| q.sample).collect(), offline(&plan)] {
                for permutation in all.chunks(plan.loaded_samples.get() as usize) {
                    let mut seen = permutation.to_vec();
                    seen.sort_unstable();
                    prop_assert_eq!(seen, (0..plan.loaded_samples.get()).collect::<Vec<_>>());
                }
            }
        }
    }
}
