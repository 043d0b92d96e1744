//! LiveCodeBench, end to end: real interpreter, real sandbox. This binary is its own helper: started with `confine` it locks
//! itself in, which needs a process with one thread and therefore no test harness around it.
#![allow(clippy::disallowed_methods, reason = "tests open what they made")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what a test says"
)]

mod covert;
mod deny;
mod golden;
mod host;
mod hostile;
mod judge;
mod layers;
mod ordinary;
mod place;
mod runs;
mod support;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, confine, spec] = &arguments[..]
        && confine == "confine"
    {
        eprintln!("{}", ossmark_score::lcb::confine(spec));
        return ExitCode::from(2);
    }
    if let [_, helper, spec] = &arguments[..]
        && let Some(error) = runs::helper(helper, spec).or_else(|| deny::helper(helper, spec))
    {
        eprintln!("{error}");
        return ExitCode::from(2);
    }
    let layers = match ossmark_score::lcb::probe(&support::settings()) {
        Ok((_, layers)) => layers,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let mut trials: Vec<Trial> = golden::trials();
    trials.extend(hostile::trials(&layers));
    trials.extend(host::trials());
    trials.extend(covert::trials());
    trials.extend(judge::trials());
    trials.extend(layers::trials());
    trials.extend(place::trials());
    trials.extend(runs::trials());
    trials.extend(ordinary::trials());
    let mut arguments = Arguments::from_args();
    // Most of their time is waiting for limits of time.
    arguments.test_threads = arguments.test_threads.or(Some(6));
    libtest_mimic::run(&arguments, trials).exit_code()
}
