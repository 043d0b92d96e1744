//! The binary from the outside, one LoadGen test per process, every process with a time limit.

mod accuracy_log;
mod bad_input;
mod common;
mod dataset;
mod end_to_end;
mod faults;
mod generate;
mod infer;
mod prints;
mod rehearsal;
mod remote;
mod runs;
mod score;
mod serve;
mod submission;
mod synthetic;
