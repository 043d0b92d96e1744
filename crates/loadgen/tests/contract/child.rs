//! The test process that a contract test starts: one LoadGen test with a null SUT, reported as JSON.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use loadgen::{
    Faults, Issued, LogSettings, Mode, Overrides, ResponseBuffer, Sample, SampleLibrary, Samples,
    Scenario, Settings, SystemUnderTest, Ticket, Untimed, exit_now, run, run_untimed,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) const SPEC_VARIABLE: &str = "OSSMARK_CONTRACT_SPEC";

/// How the SUT of a case answers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// At once, sample by sample, on LoadGen's thread.
    Inline,
    /// From another thread, in batches.
    Batches,
    /// As Inline, after this many milliseconds, so that there is a peak to find.
    Slowly(u64),
    /// Every tenth ticket is dropped at once, every tenth after its first token.
    DropSome,
    /// Batches that are never sent, tickets that are never taken.
    DropBatches,
    /// `issue` panics after the first sample of the first query.
    PanicInIssue,
    /// `load`, `flush` and `unload` panic.
    PanicInOthers,
    /// The process ends at once, with exit code 7, in the first query.
    ExitNow,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) scenario: Scenario,
    pub(crate) mode: Mode,
    pub(crate) model: String,
    pub(crate) user_conf: Option<PathBuf>,
    pub(crate) audit_config: Option<PathBuf>,
    pub(crate) log: LogSettings,
    pub(crate) overrides: Overrides,
    pub(crate) sut_name: String,
    pub(crate) total: usize,
    pub(crate) performance: usize,
    pub(crate) answer: Answer,
    /// Runs the test again in the same process.
    pub(crate) twice: bool,
    /// Whether the SUT answers with bytes.
    pub(crate) untimed: bool,
}

impl Spec {
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            user_conf: self.user_conf.clone(),
            audit_config: self.audit_config.clone(),
            log: self.log.clone(),
            overrides: self.overrides.clone(),
            ..Settings::new(self.scenario, self.mode, self.model.as_str(), "")
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Event {
    Load(Vec<usize>),
    Issue(Vec<usize>),
    Flush,
    Unload(Vec<usize>),
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) error: Option<String>,
    pub(crate) second_error: Option<String>,
    pub(crate) events: Vec<Event>,
    /// Of samples that were answered inline: from when the schedule wanted them until just before LoadGen was told.
    pub(crate) latencies_ns: Vec<i64>,
    pub(crate) requested: Value,
    pub(crate) effective: Value,
    pub(crate) summary: Value,
    pub(crate) faults: Value,
    /// Threads on which queries came.
    pub(crate) threads: usize,
    /// LoadGen's three logs, as the library says where they are.
    pub(crate) logs: Vec<PathBuf>,
}

/// All tokens of a sample's answer: every answer differs, and none is shorter than LoadGen allows.
pub(crate) fn tokens_of(index: usize) -> Vec<u32> {
    let index = index as u32;
    (0..2 + index % 5)
        .map(|at| 1_000_000 * at + 200_000 - index)
        .collect()
}

struct Null {
    name: String,
    total: usize,
    performance: usize,
    answer: Answer,
    events: Mutex<Vec<Event>>,
    latencies_ns: Mutex<Vec<i64>>,
    threads: Mutex<HashSet<ThreadId>>,
    to_responder: Mutex<Option<Sender<Vec<Sample>>>>,
    untimed_to_responder: Mutex<Option<Sender<Vec<Sample<Untimed>>>>>,
}

impl Null {
    fn log(&self, event: Event) {
        self.events.lock().unwrap().push(event);
    }

    fn flushed(&self) {
        self.log(Event::Flush);
        assert!(self.answer != Answer::PanicInOthers, "the device is gone");
    }

    fn answer_one(&self, sample: Sample) {
        let tokens = tokens_of(sample.index);
        assert_eq!(sample.index, sample.ticket.index());
        if self.answer == Answer::DropSome && sample.index % 10 == 3 {
            return;
        }
        let ticket = sample.ticket.first_token(&tokens[..1]);
        if self.answer == Answer::DropSome && sample.index % 10 == 7 {
            return;
        }
        ticket.complete(&tokens);
    }
}

impl SystemUnderTest for Null {
    fn name(&self) -> &str {
        &self.name
    }

    fn issue(&self, mut samples: Samples<'_>) {
        let (expected, at) = (samples.len(), Instant::now());
        let thread = std::thread::current().id();
        self.threads.lock().unwrap().insert(thread);
        match self.answer {
            Answer::Batches | Answer::DropBatches => {
                let samples: Vec<Sample> = samples.collect();
                assert_eq!(samples.len(), expected);
                self.log(Event::Issue(samples.iter().map(|s| s.index).collect()));
                self.to_responder
                    .lock()
                    .unwrap()
                    .as_ref()
                    .unwrap()
                    .send(samples)
                    .unwrap();
            }
            Answer::PanicInIssue => {
                let first = samples.next().unwrap();
                let begins = self
                    .events
                    .lock()
                    .unwrap()
                    .iter()
                    .all(|e| !matches!(e, Event::Issue(_)));
                self.log(Event::Issue(vec![first.index]));
                self.answer_one(first);
                assert!(!begins, "an engine bug");
                samples.for_each(|sample| self.answer_one(sample));
            }
            Answer::ExitNow => exit_now(7),
            _ => {
                let mut indices = Vec::with_capacity(expected);
                for sample in samples {
                    indices.push(sample.index);
                    if let Answer::Slowly(ms) = self.answer {
                        std::thread::sleep(Duration::from_millis(ms));
                    }
                    let latency = at.elapsed().as_nanos() as i64 + sample.late_ns as i64;
                    self.latencies_ns.lock().unwrap().push(latency);
                    self.answer_one(sample);
                }
                self.log(Event::Issue(indices));
            }
        }
    }

    fn flush(&self) {
        self.flushed();
    }
}

/// With two bytes a sample, as null_sut.cc has them; `DropSome` drops as above.
impl SystemUnderTest<Untimed> for Null {
    fn name(&self) -> &str {
        &self.name
    }

    fn issue(&self, samples: Samples<'_, Untimed>) {
        let samples: Vec<Sample<Untimed>> = samples.collect();
        let indices = samples.iter().map(|s| s.index).collect();
        self.log(Event::Issue(indices));
        assert!(self.answer != Answer::PanicInIssue, "an engine bug");
        if matches!(self.answer, Answer::Batches | Answer::DropBatches) {
            let to = self.untimed_to_responder.lock().unwrap();
            to.as_ref().unwrap().send(samples).unwrap();
            return;
        }
        for sample in samples {
            if self.answer == Answer::DropSome && sample.index % 10 == 3 {
                continue;
            }
            sample.ticket.answer(&bytes_of(sample.index));
        }
    }

    fn flush(&self) {
        self.flushed();
    }
}

pub(crate) fn bytes_of(index: usize) -> [u8; 2] {
    [index as u8, 7]
}

/// Answers untimed samples in batches.
fn respond_untimed(queries: &Receiver<Vec<Sample<Untimed>>>, drop_all: bool) {
    let mut buffer = ResponseBuffer::new();
    while let Ok(mut samples) = queries.recv() {
        samples.extend(queries.try_iter().flatten());
        let bytes: Vec<[u8; 2]> = samples.iter().map(|s| bytes_of(s.index)).collect();
        let mut batch = buffer.answers();
        for (sample, bytes) in samples.into_iter().zip(&bytes) {
            batch.push(sample.ticket, bytes);
        }
        assert_eq!(batch.len(), bytes.len());
        if !drop_all {
            batch.send();
        }
    }
}

impl SampleLibrary for Null {
    fn name(&self) -> &str {
        "null library"
    }

    fn total_count(&self) -> usize {
        self.total
    }

    fn performance_count(&self) -> usize {
        self.performance
    }

    fn load(&self, samples: &[usize]) {
        self.log(Event::Load(samples.to_vec()));
        assert!(self.answer != Answer::PanicInOthers, "no memory");
    }

    fn unload(&self, samples: &[usize]) {
        self.log(Event::Unload(samples.to_vec()));
        assert!(self.answer != Answer::PanicInOthers, "still in use");
    }
}

/// Answers in batches, first tokens and completions apart, and checks that tickets come back in the order of the pushes.
fn respond(queries: &Receiver<Vec<Sample>>, drop_all: bool) {
    let mut buffer = ResponseBuffer::new();
    while let Ok(mut samples) = queries.recv() {
        samples.extend(queries.try_iter().flatten());
        let tokens: Vec<Vec<u32>> = samples.iter().map(|s| tokens_of(s.index)).collect();
        let order: Vec<usize> = samples.iter().map(|s| s.index).collect();
        let mut first = buffer.first_tokens();
        for (sample, tokens) in samples.drain(..).zip(&tokens) {
            first.push(sample.ticket, &tokens[..1]);
        }
        assert_eq!(first.len(), order.len());
        let way = if drop_all { order[0] % 3 } else { 2 };
        if way == 0 {
            continue; // the batch is never sent
        }
        let mut streaming = first.send();
        if way == 1 {
            drop(streaming.next());
            continue; // the rest is never taken
        }
        let streaming: Vec<Ticket<_>> = streaming.collect();
        assert!(
            streaming
                .iter()
                .map(Ticket::index)
                .eq(order.iter().copied())
        );
        let mut completions = buffer.completions();
        for (ticket, tokens) in streaming.into_iter().zip(&tokens) {
            completions.push(ticket, tokens);
        }
        if !drop_all {
            completions.send();
        }
    }
}

/// The body of the child process.
pub(crate) fn main(spec: &str) {
    let spec: Spec = serde_json::from_str(spec).unwrap();
    let drop_all = spec.answer == Answer::DropBatches;
    let (to_responder, queries) = channel();
    let (untimed_to_responder, untimed) = channel();
    let responders = [
        std::thread::spawn(move || respond(&queries, drop_all)),
        std::thread::spawn(move || respond_untimed(&untimed, drop_all)),
    ];
    let null = Null {
        name: spec.sut_name.clone(),
        total: spec.total,
        performance: spec.performance,
        answer: spec.answer,
        events: Mutex::default(),
        latencies_ns: Mutex::default(),
        threads: Mutex::default(),
        to_responder: Mutex::new(Some(to_responder)),
        untimed_to_responder: Mutex::new(Some(untimed_to_responder)),
    };
    let settings = spec.settings();
    let test = || match spec.untimed {
        true => run_untimed(&settings, &null, &null),
        false => run(&settings, &null, &null),
    };
    let result = test();
    let second_error = spec.twice.then(|| test().unwrap_err().to_string());
    null.to_responder.lock().unwrap().take();
    null.untimed_to_responder.lock().unwrap().take();
    for responder in responders {
        responder.join().unwrap();
    }
    let mut report = Report {
        error: None,
        second_error,
        events: Vec::new(),
        latencies_ns: Vec::new(),
        requested: Value::Null,
        effective: Value::Null,
        summary: Value::Null,
        faults: serde_json::to_value(Faults::default()).unwrap(),
        threads: 0,
        logs: Vec::new(),
    };
    match result {
        Ok(test) => {
            report.effective = serde_json::to_value(test.effective().unwrap()).unwrap();
            report.summary = serde_json::to_value(test.summary().unwrap()).unwrap();
            report.requested = serde_json::to_value(&test.requested).unwrap();
            report.faults = serde_json::to_value(&test.faults).unwrap();
            report.logs = vec![test.logs.summary, test.logs.detail, test.logs.accuracy];
        }
        Err(error) => report.error = Some(error.to_string()),
    }
    report.events = null.events.into_inner().unwrap();
    report.latencies_ns = null.latencies_ns.into_inner().unwrap();
    report.threads = null.threads.into_inner().unwrap().len();
    println!("\nREPORT {}", serde_json::to_string(&report).unwrap());
}

/// A ticket is two words, and a channel's `Option` of it no more.
const _: () = assert!(size_of::<Option<Ticket<Issued>>>() == 16);
const _: () = assert!(size_of::<Option<Ticket<Untimed>>>() == 16);
