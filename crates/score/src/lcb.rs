//! LiveCodeBench: untrusted Python programs, run in a sandbox and judged as the reference judges them.
//!
//! Three kinds of process besides this one, each made by re-executing the caller's binary as `confine` ([`confine()`]), which
//! locks itself in and becomes a Python interpreter with the script in `worker/`:
//!
//! - a *worker* per thread, warm, which runs no candidate itself;
//! - a *candidate* per program, forked from the worker into a PID and a mount namespace of its own, with a new file system to
//!   write to, and confined further (no capabilities, Landlock, a system call filter that allows computing and threads, and
//!   nothing else). It gets program and inputs, and sends what was printed or returned, over a socket that only this process
//!   holds the other end of;
//! - a *judge* per thread, which holds the expected outputs and compares. It runs no candidate.
//!
//! So a candidate can lie about its own output and about nothing else: whatever it writes to its socket is taken for output,
//! and expected outputs are not in its memory. One exception is the reference's own rule: a call-based problem passes when
//! `result == expected` says so, and the class of `result` may be the candidate's. Results made of Python's and numpy's plain
//! types travel to the judge; for other objects the candidate's process is given the expected value of that test and asked.
//! Such a pass is marked ([`Verdict::own_equality`]), because the program could have made it up.
//!
//! Deviations from the reference, all for the sandbox's sake: a memory limit; one candidate is never affected by another; files
//! can be written only to a small temporary directory, and their modes and times cannot be changed; an answer that is 64 MiB
//! longer than the expected one counts as wrong unread, and one that takes longer than a test's limit to compare as wrong;
//! files of the host cannot be read; a wrong candidate is stopped when the judge says so, so it may have begun the following
//! test.
//!
//! Threads: [`run()`] blocks its caller and starts one thread per worker.

mod confine;
mod filter;
mod layers;
mod pickle;
mod pids;
mod problems;
mod process;
mod python;
mod records;
mod root;
mod run;
mod scratch;
mod session;
mod spec;

use std::{ffi::OsString, path::PathBuf};

pub use confine::confine;
pub use layers::Layers;
pub use problems::{Problem, Problems};
pub use python::Interpreter;
pub use run::{probe, run};
use serde::{Deserialize, Serialize};

/// What the limit per test counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeLimit {
    /// Wall-clock seconds, as the reference does; verdicts then depend on how busy the machine is.
    #[default]
    Wall,
    /// CPU seconds of the candidate, with four times as many wall-clock seconds as a backstop (a program that sleeps uses no
    /// CPU).
    Cpu,
}

/// How candidates are run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Seconds per test; the reference has 60.
    pub timeout_s: u64,
    /// What those seconds are.
    pub time_limit: TimeLimit,
    /// The interpreter; none is the `python3` of the search path.
    pub python: Option<PathBuf>,
    /// Candidates at a time.
    pub workers: usize,
    /// Address space of a candidate's process.
    pub memory_bytes: u64,
    /// The command that re-executes this binary so that it calls [`confine()`] with the one argument that is appended.
    pub helper: Vec<OsString>,
    /// Run even where the layers that the kernel offers do not confine a candidate ([`Layers::confined`]).
    pub allow_unconfined: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeout_s: 60,
            time_limit: TimeLimit::Wall,
            python: None,
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: 4 << 30,
            helper: Vec::new(),
            allow_unconfined: false,
        }
    }
}

/// A program to grade.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The caller's name for it; comes back in the verdict.
    pub key: usize,
    /// The problem.
    pub question_id: String,
    /// The program, extracted.
    pub code: String,
}

/// An entry of the reference's result list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ResultCode {
    /// A test of a call-based problem, or a passed one.
    Bool(bool),
    /// -2 wrong answer, -3 time limit, -4 runtime or load error.
    Code(i64),
}

impl ResultCode {
    /// Whether the reference counts the entry as passed.
    pub fn passed(self) -> bool {
        match self {
            Self::Bool(passed) => passed,
            Self::Code(code) => code > 0,
        }
    }
}

/// How a candidate came out.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// [`Candidate::key`].
    pub key: usize,
    /// All tests passed.
    pub passed: bool,
    /// The reference's sentence.
    pub reason: String,
    /// One entry per test, up to the first that failed.
    pub results: Vec<ResultCode>,
    /// -2 to -5, when it failed.
    pub error_code: Option<i32>,
    /// What went wrong, for people.
    pub message: Option<String>,
    /// It passed at least one test because an object of its own class reported that it equals the expected value.
    pub own_equality: bool,
    /// It counts as failed, and nobody knows: what runs and judges programs was ended from outside both times.
    pub is_void: bool,
}

/// What all of it ran on.
#[derive(Clone, Debug, Serialize)]
pub struct LcbReport {
    /// The interpreter.
    pub python: Interpreter,
    /// Layers that were active in every worker.
    pub layers: Layers,
    /// Candidates with a verdict.
    pub candidates: usize,
    /// Of those, passed.
    pub passed: usize,
    /// Passed with [`Verdict::own_equality`].
    pub own_equality: usize,
    /// Ended with -5, and not void.
    pub runner_failures: usize,
    /// Without a verdict ([`Verdict::is_void`]).
    pub void: usize,
    /// Workers that had to be started again.
    pub workers_replaced: usize,
}
