//! The engine thread and its handle, with the fake executor: answers, faults, and every way to stop.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use ossmark_engine::executor::Capacity;
use ossmark_engine::fake::{FakeExecutor, FakeModel, Fault};
use ossmark_engine::{Engine, EngineError, EngineSettings};
use ossmark_protocol::{
    Closed, End, Event, Request, RequestError, RequestId, Sampling, Sink, StopTokens, TokenId,
};

/// Far more than any of this takes.
const LONG: Duration = Duration::from_secs(10);

const CAPACITY: Capacity = Capacity {
    n_blocks: 60,
    block_size: 4,
    window: Some(8),
    has_full: true,
    max_step_tokens: 32,
    max_seqs: 16,
    max_context: 96,
    vocab_size: 50,
    draft_tokens: 0,
};

fn settings() -> EngineSettings {
    EngineSettings {
        stop_tokens: vec![3],
        pipeline_depth: 2,
        max_batch: None,
        max_chunk: None,
    }
}

fn requests(n: u64) -> Vec<Request> {
    let sampling = Sampling {
        temperature: 1.0,
        top_p: 1.0,
        top_k: 0,
    };
    let prompt = |id: u64| {
        (0..1 + id % 20)
            .map(|i| (id * 7 + i) as TokenId % 50)
            .collect::<Vec<_>>()
            .into()
    };
    let one = |id| Request {
        id: RequestId(id),
        prompt: prompt(id),
        sampling,
        seed: id,
        max_new_tokens: 30,
        want_logits: false,
        stop_tokens: StopTokens::default(),
        ignore_eos: false,
    };
    (0..n).map(one).collect()
}

fn listening() -> (Sink, Receiver<Event>) {
    let (send, events) = unbounded();
    (Box::new(move |event| send.send(event).is_ok()), events)
}

fn start(fault: Option<Fault>) -> (Engine, Receiver<Event>) {
    let (sink, events) = listening();
    (
        Engine::start(
            Box::new(FakeExecutor::new(CAPACITY, fault)),
            settings(),
            sink,
        )
        .unwrap(),
        events,
    )
}

/// Everything until `n` requests ended.
fn collect(events: &Receiver<Event>, n: usize) -> HashMap<u64, (Vec<TokenId>, End)> {
    let mut open: HashMap<u64, Vec<TokenId>> = HashMap::new();
    let mut done = HashMap::new();
    while done.len() < n {
        match events.recv_timeout(LONG).expect("an event") {
            Event::Fatal(message) => panic!("{message}"),
            Event::Step(step) => {
                let mut tokens = step.tokens.into_iter();
                for output in step.outputs {
                    let id = output.id.0;
                    let mine = open.entry(id).or_default();
                    mine.extend(tokens.by_ref().take(output.n_tokens as usize));
                    if let Some(end) = output.end {
                        assert!(
                            done.insert(id, (open.remove(&id).unwrap(), end)).is_none(),
                            "{id} ended twice"
                        );
                    }
                }
            }
        }
    }
    done
}

fn fatal(events: &Receiver<Event>) -> String {
    loop {
        if let Event::Fatal(message) = events.recv_timeout(LONG).expect("a fatal event") {
            return message;
        }
    }
}

/// The sink is dropped and nothing more was said.
fn assert_silent_end(events: &Receiver<Event>) {
    let rest = events.recv_timeout(LONG);
    assert_eq!(rest, Err(crossbeam_channel::RecvTimeoutError::Disconnected));
}

#[test]
fn answers_come_back_in_batches_and_one_by_one() {
    let (engine, events) = start(None);
    let all = requests(100);
    engine.submit(all[..60].to_vec()).unwrap();
    for request in &all[60..] {
        engine.submit(vec![request.clone()]).unwrap();
    }
    let answers = collect(&events, 100);
    let model = FakeModel { capacity: CAPACITY };
    for request in &all {
        assert_eq!(answers[&request.id.0], model.answer(request, &[3]));
    }
    let n_tokens: usize = answers.values().map(|(tokens, _)| tokens.len()).sum();
    let deadline = Instant::now() + LONG;
    while engine.stats().free_blocks != 60 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
    let stats = engine.stats();
    assert_eq!(
        (
            stats.tokens,
            stats.running,
            stats.waiting,
            stats.free_blocks
        ),
        (n_tokens as u64, 0, 0, 60)
    );
    assert!(stats.steps > 0 && stats.preemptions > 0, "{stats:?}");
    // Idle, and awake again.
    engine.submit(requests(1)).unwrap();
    collect(&events, 1);
    engine.shutdown(LONG).unwrap();
    while events.try_recv().is_ok() {}
    assert_silent_end(&events);
}

#[test]
fn every_step_is_one_event_even_without_tokens() {
    let (engine, events) = start(None);
    let long = Request {
        prompt: vec![1; 90].into(),
        ..requests(1).remove(0)
    };
    engine.submit(vec![long]).unwrap();
    let first = events.recv_timeout(LONG).unwrap();
    assert!(
        matches!(first, Event::Step(step) if step.outputs.is_empty()),
        "a chunk of a prompt"
    );
    engine.shutdown(LONG).unwrap();
}

#[test]
fn the_impossible_is_refused_before_and_inside() {
    let (engine, events) = start(None);
    assert_eq!(engine.check(&[], 1), Err(RequestError::EmptyPrompt));
    assert!(matches!(
        engine.check(&[1, 50], 1),
        Err(RequestError::TokenOutsideVocabulary {
            token: 50,
            position: 1,
            ..
        })
    ));
    assert!(matches!(
        engine.check(&[1; 96], 1),
        Err(RequestError::PromptBeyondContext {
            prompt: 96,
            max_context: 96
        })
    ));
    assert_eq!(engine.check(&[1; 95], 1000), Ok(()));
    let bad = Request {
        prompt: vec![50].into(),
        ..requests(1).remove(0)
    };
    engine.submit(vec![bad]).unwrap();
    let (tokens, end) = collect(&events, 1).remove(&0).unwrap();
    assert!(tokens.is_empty());
    assert!(matches!(end, End::Failed(message) if message.contains("token 50 at position 0")));
    engine.shutdown(LONG).unwrap();
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let start = |capacity, settings| {
        let executor = Box::new(FakeExecutor::new(capacity, None));
        Engine::start(executor, settings, listening().0)
            .err()
            .expect("an error")
            .to_string()
    };
    let message = start(
        CAPACITY,
        EngineSettings {
            pipeline_depth: 3,
            ..settings()
        },
    );
    assert_eq!(
        message,
        "engine setting pipeline_depth is 3, expected 1 or 2"
    );
    assert!(
        start(
            CAPACITY,
            EngineSettings {
                stop_tokens: vec![50],
                ..settings()
            }
        )
        .contains("below 50")
    );
    assert!(
        start(
            CAPACITY,
            EngineSettings {
                max_batch: Some(0),
                ..settings()
            }
        )
        .contains("max_batch")
    );
    assert!(
        start(
            CAPACITY,
            EngineSettings {
                max_chunk: Some(0),
                ..settings()
            }
        )
        .contains("max_chunk")
    );
    assert!(
        start(
            Capacity {
                block_size: 0,
                n_blocks: 0,
                ..CAPACITY
            },
            settings()
        )
        .contains("n_blocks is 0")
    );
    assert!(
        start(
            Capacity {
                has_full: false,
                window: None,
                ..CAPACITY
            },
            settings()
        )
        .contains("at least one kind")
    );
}

/// One fatal event with the real message, as the last one; the handle stays harmless.
fn dies_of(fault: Fault, part: &str) {
    let (engine, events) = start(Some(fault));
    engine.submit(requests(40)).unwrap();
    let message = fatal(&events);
    assert!(message.contains(part), "{message}");
    assert_silent_end(&events);
    let late = engine.submit(requests(1));
    assert_eq!(late, Err(Closed));
    engine.shutdown(LONG).unwrap();
}

#[test]
fn an_executor_error_is_fatal_once() {
    dies_of(
        Fault::Fail(5),
        "engine step 5 failed: fault drill: error in step 5",
    );
}

#[test]
fn an_executor_panic_is_fatal_once() {
    dies_of(
        Fault::Panic(5),
        "the engine panicked: fault drill: panic in step 5",
    );
}

#[test]
fn a_token_outside_the_vocabulary_is_fatal() {
    dies_of(Fault::BadToken(5), "outside the vocabulary of 50");
}

#[test]
fn a_hanging_step_does_not_hang_the_shutdown() {
    let (engine, events) = start(Some(Fault::Hang(5)));
    engine.submit(requests(40)).unwrap();
    while engine.stats().steps < 4 {
        events.recv_timeout(LONG).unwrap();
    }
    // Still taken: only a watchdog can tell a hang from a long step.
    engine.submit(requests(1)).unwrap();
    let begin = Instant::now();
    let end = engine.shutdown(Duration::from_millis(100));
    assert!(matches!(end, Err(EngineError::ShutdownTimeout(_))));
    assert!(begin.elapsed() < LONG);
}

#[test]
fn abort_drops_what_is_open() {
    let (sink, events) = listening();
    let slow = FakeExecutor::new(CAPACITY, None).with_step_time(Duration::from_millis(5));
    let engine = Engine::start(Box::new(slow), settings(), sink).unwrap();
    engine.submit(requests(1000)).unwrap();
    events.recv_timeout(LONG).unwrap();
    engine.abort();
    assert_eq!(engine.submit(requests(1)), Err(Closed));
    let begin = Instant::now();
    // The steps of the moment may still be told, not hundreds of them.
    let rest = std::iter::from_fn(|| events.recv_timeout(LONG).ok())
        .take(10)
        .count();
    assert!(rest < 10, "goes on after the abort");
    assert_silent_end(&events);
    engine.shutdown(LONG).unwrap();
    assert!(begin.elapsed() < LONG);
}

#[test]
fn cancelled_requests_end_once_and_leave_nothing_behind() {
    let (sink, events) = listening();
    let slow = FakeExecutor::new(CAPACITY, None).with_step_time(Duration::from_millis(2));
    let engine = Engine::start(Box::new(slow), settings(), sink).unwrap();
    engine.submit(requests(40)).unwrap();
    events.recv_timeout(LONG).unwrap();
    // Some run, some wait, one is told twice, one never existed.
    let ids = |ids: std::ops::Range<u64>| ids.map(RequestId).collect::<Vec<_>>();
    engine.cancel(ids(0..30));
    engine.cancel(ids(29..30));
    engine.cancel(ids(40..41));
    let answers = collect(&events, 40);
    let cut = |(_, end): &(_, End)| *end == End::Cancelled;
    assert!(answers.values().filter(|a| cut(a)).count() > 20);
    assert!((30..40).all(|id| !cut(&answers[&id])));
    // A cancellation that empties the engine: nothing else would publish its numbers.
    engine.submit(requests(1)).unwrap();
    engine.cancel(ids(0..1));
    collect(&events, 1);
    let deadline = Instant::now() + LONG;
    let at_rest = || {
        let stats = engine.stats();
        (stats.running, stats.waiting, stats.free_blocks) == (0, 0, 60)
    };
    while !at_rest() {
        assert!(Instant::now() < deadline, "{:?}", engine.stats());
        std::thread::sleep(Duration::from_millis(1));
    }
    engine.shutdown(LONG).unwrap();
    while let Ok(event) = events.try_recv() {
        assert!(matches!(event, Event::Step(step) if step.outputs.is_empty()));
    }
}

#[test]
fn an_idle_engine_stops_at_once() {
    let (engine, events) = start(None);
    engine.shutdown(LONG).unwrap();
    assert_silent_end(&events);
    let (engine, events) = start(None);
    drop(engine);
    assert_silent_end(&events);
}

#[test]
fn a_closed_sink_stops_the_engine() {
    let (engine, events) = start(None);
    drop(events);
    engine.submit(requests(40)).unwrap();
    let deadline = Instant::now() + LONG;
    while engine.submit(Vec::new()).is_ok() {
        assert!(Instant::now() < deadline, "still running");
        std::thread::sleep(Duration::from_millis(1));
    }
    engine.shutdown(LONG).unwrap();
}

#[test]
fn a_panicking_sink_is_survived() {
    let sink: Sink = Box::new(|_| panic!("the responder is broken"));
    let engine = Engine::start(
        Box::new(FakeExecutor::new(CAPACITY, None)),
        settings(),
        sink,
    )
    .unwrap();
    engine.submit(requests(1)).unwrap();
    let deadline = Instant::now() + LONG;
    while engine.submit(Vec::new()).is_ok() {
        assert!(Instant::now() < deadline, "still running");
        std::thread::sleep(Duration::from_millis(1));
    }
    engine.shutdown(LONG).unwrap();
}
