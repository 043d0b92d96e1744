//! Where the seeds of requests are made.

/// The highest seed that every server takes: their APIs have a signed number of 64 bits, some without its negative half.
pub const MAX_SEED: u64 = i64::MAX as u64;

/// The seed of request `number` of a run: a fixed, well spread function of both, so that a run can be repeated and no two of
/// its requests share random numbers. At most [`MAX_SEED`], so that nobody on the way to an engine has to change it.
pub fn request_seed(run_seed: u64, number: u64) -> u64 {
    (run_seed ^ number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15)) & MAX_SEED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_requests_of_a_run_share_a_seed_runs_differ_and_every_server_takes_it() {
        let highest = [7, 8, u64::MAX, 1 << 63].map(|run| {
            let seeds = || (0..10_000).map(move |number| request_seed(run, number));
            let distinct: std::collections::HashSet<u64> = seeds().collect();
            assert_eq!(distinct.len(), 10_000);
            assert!(seeds().eq(seeds()), "a run can be repeated");
            assert!(seeds().all(|seed| i64::try_from(seed).is_ok()));
            seeds().max()
        });
        assert_ne!(highest[0], highest[1]);
        // What HTTP servers were sent before: their answers stay.
        assert_eq!(request_seed(1, 0), 0x1E37_79B9_7F4A_7C14);
    }
}
