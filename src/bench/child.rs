//! One LoadGen test of `bench loadgen`: the whole adapter (tickets, ledger, histograms) with an engine that answers at
//! once, or, with `--inline`, LoadGen's answer functions called inside IssueQuery for comparison.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use ::loadgen::{InMemory, ResponseBuffer, Samples, Settings, SystemUnderTest};
use anyhow::Result;
use crossbeam_channel::unbounded;
use ossmark_protocol::{Sampling, TokenId};
use ossmark_remote::Settings as RemoteSettings;
use ossmark_rules::Scenario;
use serde::{Deserialize, Serialize};

use crate::cli::BenchChildArgs;
use crate::exit::Outcome;
use crate::generator::null::Null;
use crate::generator::remote::Http;
use crate::output;
use crate::run::faults::Faults;
use crate::run::metrics::Progress;
use crate::run::recording;
use crate::run::responder::{Message, Setup, respond};
use crate::run::sut::{RequestTemplate, Sut};
use ossmark_protocol::Generator;

/// Steps that may wait for the responder.
const BACKLOG: usize = 64;
/// Enough to keep both sides busy; each more costs memory and cache.
const CONNECTIONS: usize = 128;
/// More than are ever open in the test of paced streams.
const STREAMS: usize = 2048;
/// For millions of rows.
const RECORD_LIMIT: Duration = Duration::from_secs(60);
/// Samples in the library, as in the Python counterpart.
const SAMPLES: usize = 1024;

pub(crate) fn run(args: &BenchChildArgs) -> Result<Outcome> {
    let scenario = match args.scenario {
        Scenario::Offline => loadgen::Scenario::Offline,
        Scenario::Server | Scenario::Interactive => loadgen::Scenario::Server,
    };
    let mut settings = Settings::new(
        scenario,
        loadgen::Mode::PerformanceOnly,
        "gpt-oss-120b",
        &args.output,
    );
    settings.overrides.set_target_qps(args.qps);
    settings.overrides.min_duration_ms = Some((args.seconds * 1e3) as u64);
    settings.overrides.min_query_count = Some(1);
    settings.overrides.performance_sample_count_override = Some(SAMPLES as u64);
    let library = InMemory::new("null", SAMPLES);
    let clean = if args.inline {
        let sut = InlineSut {
            answer: (0..args.tokens).collect(),
        };
        loadgen::run(&settings, &sut, &library)?.faults.is_clean()
    } else {
        adapter(args, &settings, &library)?
    };
    Ok(if clean {
        Outcome::Good
    } else {
        Outcome::NotGood
    })
}

fn adapter(args: &BenchChildArgs, settings: &Settings, library: &InMemory) -> Result<bool> {
    let offline = args.scenario == Scenario::Offline;
    let (send, inbox) = unbounded();
    let faults = Arc::new(Faults::default());
    let events = send.clone();
    let sink = move |event| {
        // Offline hands over all samples at once: an engine that is never waited for would fill the memory with answers,
        // and the test would measure page faults.
        while offline && events.len() > BACKLOG {
            std::thread::yield_now();
        }
        events.send(Message::Event(event)).is_ok()
    };
    let mut http = None;
    let (generator, prompt): (Arc<dyn Generator>, Arc<[TokenId]>) = match &args.endpoint {
        None => (Arc::new(Null::new(args.tokens, Box::new(sink))), [0].into()),
        Some(url) => {
            let settings = RemoteSettings {
                max_concurrency: match args.stream && !offline {
                    true => STREAMS,
                    false => CONNECTIONS,
                },
                stream: args.stream,
                ..RemoteSettings::new(vec![url.parse()?])
            };
            let prompt = (0..args.tokens).collect();
            let servers = Arc::new(Http::start(&settings, Box::new(sink))?);
            http = Some(Arc::clone(&servers));
            (servers, prompt)
        }
    };
    let progress = Arc::new(Progress::default());
    let (record, writer) = args
        .record
        .then(|| {
            let tokens = vec![prompt.len() as u32; SAMPLES].into();
            let limits = ossmark_record::Limits::default();
            recording::begin(&args.output, limits, tokens, &progress, &generator, None)
        })
        .unzip();
    let setup = Setup {
        faults: Arc::clone(&faults),
        progress,
        watchdog: Duration::from_secs(60),
        streaming: !offline,
        record,
        trace: None,
        hopeless: None,
        on_failed: Box::new(|| {}),
    };
    let responder = std::thread::Builder::new()
        .name("responder".into())
        .spawn(move || respond(&inbox, setup))?;
    let sut = Sut {
        name: "null".into(),
        prompts: (0..SAMPLES).map(|_| Arc::clone(&prompt)).collect(),
        template: RequestTemplate {
            sampling: Sampling::GREEDY,
            max_new_tokens: args.tokens,
            seed: 0,
        },
        generator: Arc::clone(&generator),
        responder: send.clone(),
        failed: Arc::new(AtomicBool::new(false)),
        next: AtomicU64::new(0),
    };
    let test = loadgen::run(settings, &sut, library)?;
    let _ = send.send(Message::End);
    generator.shutdown();
    let responded = responder.join().is_ok();
    if let Some(writer) = writer {
        writer.finish(RECORD_LIMIT);
    }
    if let Some(http) = http {
        let spent = HttpCost {
            pieces: http.stats().map_or(0, |stats| stats.pieces),
            processor_s: http.processor().as_secs_f64(),
        };
        output::write_whole(&args.output.join(HTTP_COST), &serde_json::to_vec(&spent)?)?;
    }
    Ok(responded && test.faults.is_clean() && faults.snapshot().is_empty())
}

/// A file beside LoadGen's logs: what the client's threads did and took.
pub(super) const HTTP_COST: &str = "http.json";

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct HttpCost {
    /// Events of streams.
    pub(super) pieces: u64,
    pub(super) processor_s: f64,
}

/// The least that can answer LoadGen.
struct InlineSut {
    answer: Vec<TokenId>,
}

impl SystemUnderTest for InlineSut {
    fn name(&self) -> &str {
        "inline"
    }

    fn issue(&self, samples: Samples<'_>) {
        let mut buffer = ResponseBuffer::new();
        let mut firsts = buffer.first_tokens();
        for sample in samples {
            firsts.push(sample.ticket, &self.answer[..1]);
        }
        let streaming: Vec<_> = firsts.send().collect();
        let mut batch = buffer.completions();
        for ticket in streaming {
            batch.push(ticket, &self.answer);
        }
        batch.send();
    }

    fn flush(&self) {}
}
