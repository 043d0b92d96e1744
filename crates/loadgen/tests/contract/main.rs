//! LoadGen's contract as this package passes it on, in the manner of LoadGen's own tests/basic.cc: a null SUT, every
//! scenario and mode. LoadGen allows one test a process, so each case runs in a child: this same executable, told by an
//! environment variable to run the ignored test `child`. A child that hangs is killed and fails its test.
#![allow(clippy::disallowed_methods, reason = "tests open what they made")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what a test says"
)]

mod accuracy;
mod child;
mod configuration;
mod cpp;
mod faults;
mod log;
mod parent;
mod performance;
mod same;
mod streams;

#[test]
#[ignore = "the child process of the other tests"]
fn child() {
    if let Ok(spec) = std::env::var(child::SPEC_VARIABLE) {
        child::main(&spec);
    }
}
