//! The smallest system under test: every sample is answered at once. Logs go to the directory that is given, or to this one.
#![allow(clippy::print_stdout, reason = "an example says what it found")]
use loadgen::{Error, InMemory, Mode, Samples, Scenario, Settings, SystemUnderTest, run};

struct Null;

impl SystemUnderTest for Null {
    fn name(&self) -> &str {
        "null"
    }

    fn issue(&self, samples: Samples<'_>) {
        for sample in samples {
            sample.ticket.first_token(&[1]).complete(&[1, 2, 3]);
        }
    }
}

fn main() -> Result<(), Error> {
    let logs = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    let (scenario, mode) = (Scenario::Offline, Mode::PerformanceOnly);
    let mut settings = Settings::new(scenario, mode, "gpt-oss-120b", logs);
    settings.overrides.min_duration_ms = Some(0);
    let test = run(&settings, &Null, &InMemory::new("prompts", 6396))?;
    let summary = test.summary()?;
    println!("{summary:#?}");
    assert!(test.faults.is_clean() && summary.is_clean());
    Ok(())
}
