//! MLCommons LoadGen 6.0.17 for Rust: typed settings and linear tickets.
//!
//! Owns everything that touches the C++ library: building it, configuring it, starting the one test of a process, and
//! answering its samples. A response id (an address inside LoadGen) never leaves this package; callers hold a [`Ticket`].
//! Does not own policy: what is official, what is valid and what to do about a fault is the harness's business.
//!
//! Threads: [`run()`] blocks the thread that calls it, and LoadGen calls [`SystemUnderTest`] and [`SampleLibrary`] on that
//! same thread, unless it is asked to issue Server's queries on threads of its own. A ticket whose first token has been
//! reported is completed on the thread that reported it; before that, and where no tokens are timed, any thread answers it.
//!
//! Safe by construction: a sample is answered once or the program does not compile ([`Ticket`]); what is dropped, and what
//! panics, is in [`Faults`], and the test still ends; a second test in a process is refused; settings with which LoadGen would
//! crash or hang are refused before anything is started ([`Error::Impossible`]).
//!
//! ```no_run
//! use loadgen::{InMemory, Mode, Samples, Scenario, Settings, SystemUnderTest, run};
//!
//! struct Echo;
//! impl SystemUnderTest for Echo {
//!     fn name(&self) -> &str { "echo" }
//!     fn issue(&self, samples: Samples<'_>) {
//!         for sample in samples {
//!             sample.ticket.first_token(&[1]).complete(&[1, 2, 3]);
//!         }
//!     }
//! }
//! # fn main() -> Result<(), loadgen::Error> {
//! let settings = Settings::new(Scenario::Offline, Mode::PerformanceOnly, "gpt-oss-120b", "out");
//! let test = run(&settings, &Echo, &InMemory::new("prompts", 6396))?;
//! assert!(test.faults.is_clean() && test.summary()?.is_clean());
//! # Ok(())
//! # }
//! ```
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests open what they made")
)]

#[cfg(not(all(target_endian = "little", target_pointer_width = "64")))]
compile_error!(
    "LoadGen's response ids and logged int32 tokens are passed through as they lie in memory: 64-bit little-endian only"
);

mod answers;
mod batch;
mod callbacks;
mod config;
mod detail;
mod early_stopping;
mod effective;
mod error;
mod expected;
mod faults;
mod ffi;
mod in_memory;
mod log_settings;
mod possible;
mod preview;
mod run;
mod scenario;
mod settings;
mod summary;
mod sut;
mod test_settings;
mod ticket;

pub use answers::Answers;
pub use batch::{Completions, FirstTokens, ResponseBuffer, StreamingTickets};
pub use early_stopping::{most_over, samples_needed};
pub use effective::EffectiveSettings;
pub use error::Error;
pub use faults::{Faults, faults};
pub use in_memory::InMemory;
pub use log_settings::{LogSettings, LoggingMode};
pub use preview::mlperf_conf;
pub use run::{LogPaths, TestRun, exit_now, run, run_untimed};
pub use scenario::{Mode, Scenario};
pub use settings::Settings;
pub use summary::{Latencies, Performance, ScenarioResult, Summary, Tokens};
pub use sut::{SampleLibrary, SystemUnderTest};
pub use test_settings::{Overrides, Seeds, TestSettings};
pub use ticket::{First, Issued, Sample, Samples, State, Streaming, Ticket, Untimed};

/// The release of LoadGen that is linked in; the build refuses any other.
pub const LOADGEN_VERSION: &str = env!("LOADGEN_VERSION");

/// Where LoadGen's sources came from: `sha256:<hash of the PyPI source distribution>`, or `LOADGEN_SRC` when the build was
/// given an unpacked directory, whose contents nobody has checked beyond its version.
pub const LOADGEN_SOURCE: &str = env!("LOADGEN_SOURCE");
