//! MLCommons LoadGen for Rust: typed settings and linear tickets.
//!
//! Owns everything that touches the C++ library: building it, configuring it, starting the one test of a process, and
//! answering its samples. A response id (an address inside LoadGen) never leaves this package; callers hold a [`Ticket`].
//! Does not own policy: what is official, what is valid and what to do about a fault is the harness's business.
//!
//! Threads: [`run()`] blocks the thread that calls it, and LoadGen calls [`SystemUnderTest`] and [`SampleLibrary`] on that
//! same thread. Tickets may be answered on any one thread; see [`Ticket`]. The logs that a test leaves are read by
//! `crates/logs`, which needs no C++.
//!
//! ```no_run
//! use loadgen::{Model, Mode, SampleLibrary, Samples, Scenario, Settings, SystemUnderTest, run};
//!
//! struct Echo;
//! impl SystemUnderTest for Echo {
//!     fn name(&self) -> &str { "echo" }
//!     fn issue(&self, samples: Samples<'_>) {
//!         for sample in samples {
//!             sample.ticket.first_token(&[1]).complete(&[1, 2, 3]);
//!         }
//!     }
//!     fn flush(&self) {}
//! }
//! struct Prompts;
//! impl SampleLibrary for Prompts {
//!     fn name(&self) -> &str { "prompts" }
//!     fn total_count(&self) -> usize { 6396 }
//!     fn performance_count(&self) -> usize { 6396 }
//!     fn load(&self, _: &[usize]) {}
//!     fn unload(&self, _: &[usize]) {}
//! }
//! # fn main() -> Result<(), loadgen::Error> {
//! let settings = Settings::new(Scenario::Offline, Mode::Performance, Model::GptOss120b, "out");
//! let test = run(&settings, &Echo, &Prompts)?;
//! assert!(test.faults.is_clean());
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

mod batch;
mod config;
mod early_stopping;
mod error;
mod faults;
mod ffi;
mod preview;
mod run;
mod settings;
mod ticket;

pub use batch::{Completions, FirstTokens, ResponseBuffer, StreamingTickets};
pub use early_stopping::{most_over, samples_needed};
pub use error::Error;
pub use faults::{Faults, faults};
pub use run::{LogPaths, SampleLibrary, SystemUnderTest, TestRun, exit_now, run};
pub use settings::{Mode, Model, Overrides, RequestedSettings, Scenario, Seeds, Settings};
pub use ticket::{Issued, Sample, Samples, State, Streaming, Ticket};

/// The release of LoadGen that is linked in; the build refuses any other.
pub const LOADGEN_VERSION: &str = env!("OSSMARK_LOADGEN_VERSION");

/// Where LoadGen's sources came from: `sha256:<hash of the PyPI source distribution>`, or `LOADGEN_SRC` when the build was
/// given an unpacked directory, whose contents nobody has checked beyond its version.
pub const LOADGEN_SOURCE: &str = env!("OSSMARK_LOADGEN_SOURCE");
