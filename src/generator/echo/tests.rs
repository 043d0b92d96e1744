use super::*;
use ossmark_protocol::{RequestId, Sampling, StopTokens};

#[test]
fn a_stop_token_of_the_request_is_the_last_of_its_answer() {
    let line = Line {
        answer: Answer::Tokens([5, 6, 7].into()),
        ttft: Duration::ZERO,
        tpot: Duration::ZERO,
    };
    let mut request = request(0, 0);
    assert_eq!(length(&line, 0, IDS, &request), (3, false));
    request.stop_tokens = vec![6, 7].into();
    assert_eq!(length(&line, 0, IDS, &request), (2, true));
    request.max_new_tokens = 1;
    assert_eq!(length(&line, 0, IDS, &request), (1, false));
}

fn request(id: u64, row: u32) -> Request {
    Request {
        id: RequestId(id),
        prompt: Arc::from([row]),
        sampling: Sampling::GREEDY,
        seed: 0,
        max_new_tokens: 1000,
        want_logits: false,
        stop_tokens: StopTokens::default(),
        ignore_eos: false,
    }
}

#[test]
fn each_request_ends_once_with_its_scripted_tokens() {
    let (send, events) = unbounded();
    let line = |tokens, ms| Line {
        answer: Answer::Count(tokens),
        ttft: Duration::from_millis(ms),
        tpot: Duration::from_micros(ms),
    };
    let script = Script {
        lines: vec![line(3, 0), line(7, 2), line(1, 1)],
        slots: 2,
        ids: IDS,
    };
    let echo = Echo::start(script, Box::new(move |e| send.send(e).is_ok())).unwrap();
    echo.submit((0..30).map(|i| request(i, i as u32)).collect())
        .unwrap();
    let mut tokens = vec![Vec::new(); 30];
    let mut ended = 0;
    while ended < 30 {
        let Event::Step(step) = events.recv_timeout(Duration::from_secs(10)).unwrap() else {
            panic!("fatal")
        };
        let mut flat = step.tokens.into_iter();
        for out in step.outputs {
            tokens[out.id.0 as usize].extend(flat.by_ref().take(out.n_tokens as usize));
            ended += usize::from(out.end.is_some());
        }
    }
    echo.shutdown();
    for (row, got) in tokens.iter().enumerate() {
        let n = [3, 7, 1][row % 3];
        assert_eq!(
            *got,
            (0..n)
                .map(|j| echo_token(row as u64, j, IDS))
                .collect::<Vec<_>>()
        );
    }
    assert!(events.try_recv().is_err(), "an answer after the last end");
}

#[test]
fn cancelled_requests_end_once_and_their_places_serve_others() {
    let (send, events) = unbounded();
    let line = Line {
        answer: Answer::Count(4),
        ttft: Duration::from_millis(1),
        tpot: Duration::from_millis(10),
    };
    let script = Script {
        lines: vec![line],
        slots: 4,
        ids: IDS,
    };
    let echo = Echo::start(script, Box::new(move |e| send.send(e).is_ok())).unwrap();
    let ids = |ids: std::ops::Range<u64>| ids.map(RequestId).collect::<Vec<_>>();
    echo.submit((0..20).map(|i| request(i, i as u32)).collect())
        .unwrap();
    let mut ends = std::collections::HashMap::new();
    let mut tokens = vec![Vec::new(); 20];
    let mut cancelled = false;
    while ends.len() < 20 {
        let Event::Step(step) = events.recv_timeout(Duration::from_secs(10)).unwrap() else {
            panic!("fatal")
        };
        let mut flat = step.tokens.into_iter();
        for out in step.outputs {
            let n = out.n_tokens as usize;
            tokens[out.id.0 as usize].extend(flat.by_ref().take(n));
            if let Some(end) = out.end {
                assert_eq!(ends.insert(out.id.0, end), None);
            }
        }
        // After the first tokens: 0 to 3 are open, the others wait.
        if !std::mem::replace(&mut cancelled, true) {
            echo.cancel(ids(0..3));
            echo.cancel(ids(10..12));
            echo.cancel(ids(0..1));
            echo.cancel(ids(99..100));
        }
    }
    echo.shutdown();
    for (id, end) in &ends {
        let cut = *id < 3 || (10..12).contains(id);
        let expected = if cut { End::Cancelled } else { End::Length };
        assert_eq!(*end, expected, "{id}");
        if !cut {
            let all: Vec<_> = (0..4).map(|j| echo_token(*id, j, IDS)).collect();
            assert_eq!(tokens[*id as usize], all);
        }
    }
    assert!(events.try_recv().is_err(), "an answer after the last end");
}

/// However late the thread wakes up: each place goes on from when it was free by the script, and the one that was free first
/// is taken.
#[test]
fn what_is_sent_late_delays_nobody_else() {
    let ms = Duration::from_millis;
    let line = |ttft| Line {
        answer: Answer::Count(1),
        ttft: ms(ttft),
        tpot: Duration::ZERO,
    };
    let script = Script {
        lines: vec![line(10), line(25)],
        slots: 2,
        ids: IDS,
    };
    let mut worker = Worker::new(script, Box::new(|_| true));
    let began = Instant::now();
    let waiting = (0..6).map(|i| (began, request(i, i as u32)));
    worker.waiting.extend(waiting);
    // Of 10 and 25 ms in turns: 10; 25; from 10 on to 20; from 20 on to 45; from 25 on to 35; from 35 on to 60.
    let mut ended = Vec::new();
    for at in [5, 40, 44, 59, 61] {
        worker.start_waiting();
        let steps = worker.take_due(began + ms(at));
        let outputs = steps.iter().flat_map(|step| &step.outputs);
        ended.extend(outputs.map(|out| (out.id.0, at)));
    }
    ended.sort_unstable();
    assert_eq!(
        ended,
        [(0, 40), (1, 40), (2, 40), (3, 59), (4, 40), (5, 61)]
    );
}

#[test]
fn tokens_come_one_by_one_and_all_at_once_without_a_time_per_token() {
    for (tpot, pieces) in [(Duration::from_micros(200), 5), (Duration::ZERO, 1)] {
        let (send, events) = unbounded();
        let line = Line {
            answer: Answer::Count(5),
            ttft: Duration::ZERO,
            tpot,
        };
        let script = Script {
            lines: vec![line],
            slots: 0,
            ids: IDS,
        };
        let began = Instant::now();
        let echo = Echo::start(script, Box::new(move |e| send.send(e).is_ok())).unwrap();
        echo.submit(vec![request(0, 0)]).unwrap();
        let mut got = Vec::new();
        loop {
            let Event::Step(step) = events.recv_timeout(Duration::from_secs(10)).unwrap() else {
                panic!("fatal")
            };
            got.push(step.outputs[0].n_tokens);
            if step.outputs[0].end.is_some() {
                break;
            }
        }
        assert_eq!((got.len(), got.iter().sum::<u32>()), (pieces, 5));
        // Never sooner than they are due.
        assert!(began.elapsed() >= tpot * 4);
        echo.shutdown();
    }
}

#[test]
fn a_late_echo_never_names_a_request_twice_in_a_step() {
    let (send, events) = unbounded();
    // The rest of each answer is due a nanosecond after its first token: always late.
    let line = Line {
        answer: Answer::Count(2),
        ttft: Duration::ZERO,
        tpot: Duration::from_nanos(1),
    };
    let script = Script {
        lines: vec![line],
        slots: 0,
        ids: IDS,
    };
    let echo = Echo::start(script, Box::new(move |e| send.send(e).is_ok())).unwrap();
    echo.submit((0..100).map(|i| request(i, 0)).collect())
        .unwrap();
    let mut ended = 0;
    while ended < 100 {
        let Event::Step(step) = events.recv_timeout(Duration::from_secs(10)).unwrap() else {
            panic!("fatal")
        };
        let mut ids: Vec<RequestId> = step.outputs.iter().map(|o| o.id).collect();
        ended += step.outputs.iter().filter(|o| o.end.is_some()).count();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), step.outputs.len());
    }
    echo.shutdown();
}
