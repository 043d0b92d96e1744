//! What a test needs of its user: the system under test and the library of samples.

use crate::ticket::{First, Issued, Samples};

/// What LoadGen tests. `name` and `flush` are called on the thread that called [`run`](crate::run()), and so is `issue`, unless
/// [`server_num_issue_query_threads`](crate::TestSettings::server_num_issue_query_threads) says that Server issues on threads
/// of its own, several at a time. A panic in one is recorded in [`Faults`](crate::Faults).
///
/// Threads that answer should not end before the test: LoadGen's log thread may still be looking at the log of one that has.
///
/// `S` is the state in which tickets arrive: [`Issued`] where tokens are timed, [`Untimed`](crate::Untimed) for a test of
/// [`run_untimed`](crate::run_untimed).
pub trait SystemUnderTest<S: First = Issued>: Sync {
    /// The name that LoadGen logs; asked once, before the test.
    fn name(&self) -> &str;
    /// A query. Must not block: in Server it would delay the arrivals. Tickets not taken are dropped.
    fn issue(&self, samples: Samples<'_, S>);
    /// No more queries for the samples now loaded: what is held back to be batched must be answered. Comes once for each loaded
    /// set, so it need not be the end of the test. A system that holds nothing back has nothing to do.
    fn flush(&self) {}
}

/// Where the samples are. Methods are called on the thread that called [`run`](crate::run()); a panic in `load` or `unload` is
/// recorded in [`Faults`](crate::Faults).
pub trait SampleLibrary: Sync {
    /// The name that LoadGen logs; asked once, before the test.
    fn name(&self) -> &str;
    /// Samples in the library, numbered from 0; asked once, before the test.
    fn total_count(&self) -> usize;
    /// Samples that fit into memory at a time; asked once, before the test. mlperf.conf overrides it for most benchmarks.
    fn performance_count(&self) -> usize;
    /// Samples about to be issued. Not timed. In MultiStream the first of them stand once more at the end, as LoadGen pads.
    fn load(&self, samples: &[usize]);
    /// The end of a `load`, with the same samples.
    fn unload(&self, samples: &[usize]);
}
