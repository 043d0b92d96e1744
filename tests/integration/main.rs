//! The binary from the outside, one LoadGen test per process, every process with a time limit.
#![allow(clippy::disallowed_methods, reason = "tests open what they made")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what a test says"
)]

mod accuracy_log;
mod auditor;
mod bad_input;
mod before;
mod bench_cpu;
mod common;
mod dataset;
mod end_to_end;
mod endpoints;
mod faults;
mod generate;
mod hopeless;
mod hostile_runs;
mod infer;
mod infer_servers;
mod inputs;
mod kills;
mod outputs;
mod pairing;
#[allow(dead_code, reason = "src/cli/tests/paths.rs uses the rest")]
mod path_options;
mod peak;
mod power;
mod preflight;
mod preview;
mod prints;
mod readme;
mod record;
mod rehearsal;
mod remote;
mod replay;
mod report;
mod runs;
mod score;
mod serve;
mod speculation;
mod submission;
mod synthetic;
mod trace;
mod user_conf;
