//! How many samples a second LoadGen takes through this package, answered at once on its own thread with 100 tokens each.
//!
//! `squeeze server|offline SECONDS DIRECTORY` prints one number. `squeeze.cc` beside this file is the same in C++;
//! `.ci/squeeze` of the repository runs both.
#![allow(clippy::print_stdout, reason = "an example says what it found")]

use std::process::ExitCode;

use loadgen::{
    Error, InMemory, Mode, Samples, Scenario, ScenarioResult, Settings, SystemUnderTest, run,
};

/// More than any machine answers: the schedule is never waited for.
const QPS: f64 = 2e6;

struct Null {
    answer: Vec<u32>,
}

impl SystemUnderTest for Null {
    fn name(&self) -> &str {
        "squeeze"
    }

    fn issue(&self, samples: Samples<'_>) {
        for sample in samples {
            let ticket = sample.ticket.first_token(&self.answer[..1]);
            ticket.complete(&self.answer);
        }
    }
}

fn squeeze(scenario: Scenario, seconds: f64, logs: &str) -> Result<f64, Error> {
    let mut settings = Settings::new(scenario, Mode::PerformanceOnly, "gpt-oss-120b", logs);
    settings.overrides.set_target_qps(QPS);
    settings.overrides.min_duration_ms = Some((seconds * 1e3) as u64);
    settings.overrides.min_query_count = Some(1);
    let sut = Null {
        answer: (0..100).collect(),
    };
    let test = run(&settings, &sut, &InMemory::new("none", 1024))?;
    let result = test.summary()?.performance.map(|p| p.result);
    Ok(match result {
        Some(ScenarioResult::Server {
            completed_samples_per_second,
            ..
        }) => completed_samples_per_second,
        Some(ScenarioResult::Offline { samples_per_second }) => samples_per_second,
        _ => f64::NAN,
    })
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (scenario, rest) = match words.split_first() {
        Some((&"server", rest)) => (Scenario::Server, rest),
        Some((&"offline", rest)) => (Scenario::Offline, rest),
        _ => return usage(),
    };
    let [seconds, logs] = rest else {
        return usage();
    };
    let Some(seconds) = seconds
        .parse::<f64>()
        .ok()
        .filter(|s| (0.001..=60.0).contains(s))
    else {
        return usage();
    };
    match squeeze(scenario, seconds, logs) {
        Ok(rate) => println!("{rate:.0}"),
        Err(error) => {
            println!("{error}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    println!("squeeze server|offline SECONDS DIRECTORY, with 0.001 to 60 seconds");
    ExitCode::from(2)
}
