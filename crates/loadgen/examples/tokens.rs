//! Token latencies in Server: a thread that decodes all open samples step by step, as an engine with continuous batching does.
//! First tokens of a step are one call into LoadGen, completions another. Logs go to the directory that is given.
#![allow(clippy::print_stdout, reason = "an example says what it found")]

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use loadgen::{
    Error, InMemory, Mode, ResponseBuffer, Sample, Samples, Scenario, Settings, Streaming,
    SystemUnderTest, Ticket, run,
};

/// A step of the engine, however many samples are in it.
const STEP: Duration = Duration::from_millis(2);
/// Tokens of every answer.
const TOKENS: usize = 8;
static FIRST: [u32; 1] = [100];

/// Hands samples to the engine and returns at once, so that the next query is in time.
struct Sut {
    engine: Sender<Sample>,
}

impl SystemUnderTest for Sut {
    fn name(&self) -> &str {
        "tokens"
    }

    fn issue(&self, samples: Samples<'_>) {
        for sample in samples {
            // If the engine is gone, the sample comes back in the error, is dropped, and is among the faults.
            let _ = self.engine.send(sample);
        }
    }
}

/// A sample between its first token and its last. It cannot leave this thread, as LoadGen wants.
struct Running {
    ticket: Ticket<Streaming>,
    tokens: Vec<u32>,
}

fn engine(queue: &Receiver<Sample>) {
    let mut buffer = ResponseBuffer::new();
    let mut running: Vec<Running> = Vec::new();
    loop {
        let mut arrived: Vec<Sample> = queue.try_iter().collect();
        if running.is_empty() && arrived.is_empty() {
            match queue.recv() {
                Ok(sample) => arrived.push(sample),
                Err(_) => return,
            }
        }
        thread::sleep(STEP);
        for one in &mut running {
            one.tokens.push(one.tokens.len() as u32);
        }
        let (done, rest): (Vec<Running>, Vec<Running>) = running
            .into_iter()
            .partition(|one| one.tokens.len() == TOKENS);
        running = rest;
        let (tickets, answers): (Vec<Ticket<Streaming>>, Vec<Vec<u32>>) =
            done.into_iter().map(|one| (one.ticket, one.tokens)).unzip();
        let mut completions = buffer.completions();
        for (ticket, tokens) in tickets.into_iter().zip(&answers) {
            completions.push(ticket, tokens);
        }
        completions.send();
        let mut firsts = buffer.first_tokens();
        for sample in arrived {
            firsts.push(sample.ticket, &FIRST);
        }
        for ticket in firsts.send() {
            running.push(Running {
                ticket,
                tokens: FIRST.to_vec(),
            });
        }
    }
}

fn main() -> Result<(), Error> {
    let logs = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    let (scenario, mode) = (Scenario::Server, Mode::PerformanceOnly);
    let mut settings = Settings::new(scenario, mode, "gpt-oss-120b", logs);
    settings.overrides.server_target_qps = Some(1000.0);
    settings.overrides.min_duration_ms = Some(500);
    // As many as early stopping needs of the 99th percentile, and more.
    settings.overrides.min_query_count = Some(500);
    let (sender, queue) = channel();
    let engine = thread::spawn(move || engine(&queue));
    let sut = Sut { engine: sender };
    let test = run(&settings, &sut, &InMemory::new("prompts", 32))?;
    drop(sut);
    assert!(engine.join().is_ok(), "the engine panicked");
    let summary = test.summary()?;
    println!("{summary:#?}");
    assert!(test.faults.is_clean() && summary.errors == 0);
    Ok(())
}
