//! The scheduler against the fake executor: random mixes under tiny pools, in every depth and chunk size.

mod cancel;

use std::collections::HashMap;

use proptest::prelude::*;

use super::{Pipeline, work};
use crate::executor::{Capacity, InputToken, StepPlan, StepSeq};
use crate::fake::{FakeExecutor, FakeModel};
use crate::limits::Limits;
use crate::scheduler::Scheduler;
use ossmark_protocol::{
    End, Request, RequestId, Sampling, SeqOutput, StepOutputs, StopTokens, TokenId,
};

const VOCAB: u32 = 40;

#[derive(Clone, Debug)]
struct Case {
    capacity: Capacity,
    max_chunk: u32,
    depth: usize,
    stop_tokens: Vec<TokenId>,
    /// Each with the step at which it comes.
    requests: Vec<(usize, Request)>,
}

#[derive(Debug, Default)]
struct Answer {
    tokens: Vec<TokenId>,
    logits: Vec<f32>,
    end: Option<End>,
}

#[derive(Debug, Default)]
struct Answers {
    by_id: HashMap<RequestId, Answer>,
    steps: usize,
    /// Input tokens of all steps.
    rows: u64,
    preemptions: u64,
}

impl Answers {
    fn take(&mut self, step: StepOutputs) {
        let mut tokens = step.tokens.into_iter();
        for SeqOutput {
            id,
            n_tokens,
            end,
            logits,
            ..
        } in step.outputs
        {
            let answer = self.by_id.entry(id).or_default();
            assert_eq!(answer.end, None, "request {} goes on after its end", id.0);
            answer
                .tokens
                .extend(tokens.by_ref().take(n_tokens as usize));
            answer.logits.extend(logits);
            answer.end = end;
        }
        assert_eq!(tokens.next(), None, "a token of nobody");
    }
}

fn run(case: &Case) -> Answers {
    run_cancelling(case, &[])
}

/// Runs a case in which requests are cancelled, each with the step before which that happens.
fn run_cancelling(case: &Case, cancels: &[(usize, RequestId)]) -> Answers {
    let scheduler = Scheduler::new(
        case.capacity,
        case.stop_tokens.clone(),
        case.capacity.max_seqs,
        case.max_chunk,
    );
    let executor = Box::new(FakeExecutor::new(case.capacity, None));
    let mut pipeline = Pipeline::new(scheduler, executor, case.depth);
    let mut coming = case.requests.clone();
    coming.sort_by_key(|&(step, _)| step);
    let mut coming = coming.into_iter().peekable();
    let mut answers = Answers::default();
    // Each sequence may be recomputed for every block that an older one takes, one chunk at a time.
    let work: usize = case
        .requests
        .iter()
        .map(|(_, r)| r.prompt.len() + r.max_new_tokens as usize)
        .sum();
    let bound = 20 * work + 200;
    loop {
        while let Some((_, request)) = coming.next_if(|&(step, _)| step <= answers.steps) {
            if let Some(refusal) = pipeline.scheduler.add(request) {
                answers.take(StepOutputs {
                    tokens: Vec::new(),
                    outputs: vec![refusal],
                    ..StepOutputs::default()
                });
            }
        }
        let step = answers.steps;
        for &(_, id) in cancels.iter().filter(|&&(at, _)| at == step) {
            let outputs = pipeline.scheduler.cancel(id).unwrap().into_iter().collect();
            answers.take(StepOutputs {
                tokens: Vec::new(),
                outputs,
                ..StepOutputs::default()
            });
            pipeline.scheduler.audit(case.depth as u64);
        }
        answers.steps += 1;
        assert!(
            answers.steps < bound,
            "no end after {bound} steps for {work} tokens"
        );
        let step = pipeline
            .step()
            .unwrap_or_else(|error| panic!("step {}: {error}", answers.steps));
        pipeline.scheduler.audit(case.depth as u64);
        match step {
            Some(step) => {
                answers.rows += step.rows;
                answers.take(step);
            }
            None if coming.peek().is_none() => break,
            None => {}
        }
    }
    assert!(pipeline.is_idle());
    assert_eq!(
        pipeline.scheduler.pool().n_free(),
        case.capacity.n_blocks,
        "blocks are missing at the end"
    );
    answers.preemptions = pipeline.scheduler.preemptions();
    answers
}

/// Runs a case and compares every answer with that of the request alone; how often it preempted.
fn check(case: &Case) -> u64 {
    let answers = run(case);
    let model = FakeModel {
        capacity: case.capacity,
    };
    assert_eq!(
        answers.by_id.len(),
        case.requests.len(),
        "a request was lost"
    );
    let mut least_rows = 0;
    for (_, request) in &case.requests {
        let answer = &answers.by_id[&request.id];
        if let Err(error) = Limits(case.capacity).check_request(request) {
            assert_eq!(answer.end, Some(End::Failed(error.to_string())));
            assert!(answer.tokens.is_empty());
            continue;
        }
        let (tokens, end) = model.answer(request, &case.stop_tokens);
        // The last token is in no step; what is computed again comes on top.
        least_rows += (request.prompt.len() + tokens.len() - 1) as u64;
        assert_eq!(answer.tokens, tokens, "request {}", request.id.0);
        assert_eq!(answer.end.as_ref(), Some(&end), "request {}", request.id.0);
        let mut logits = Vec::new();
        if request.want_logits {
            let all = [&request.prompt[..], &tokens].concat();
            (1..all.len()).for_each(|n| logits.extend(model.logits(&all[..n])));
        }
        assert!(
            answer.logits == logits,
            "request {}: {} logits, expected {}",
            request.id.0,
            answer.logits.len(),
            logits.len()
        );
    }
    assert!(answers.rows >= least_rows, "{} rows", answers.rows);
    answers.preemptions
}

fn request(
    id: u64,
    prompt: Vec<TokenId>,
    max_new_tokens: u32,
    temperature: f32,
    want_logits: bool,
) -> Request {
    let sampling = Sampling {
        temperature,
        ..Sampling::GREEDY
    };
    Request {
        id: RequestId(id),
        prompt: prompt.into(),
        sampling,
        seed: id * 77 + 5,
        max_new_tokens,
        want_logits,
        stop_tokens: StopTokens::default(),
        ignore_eos: false,
    }
}

fn capacities() -> impl Strategy<Value = Capacity> {
    let layers = prop_oneof![
        3 => (1u32..12).prop_map(|window| (Some(window), true)),
        1 => (1u32..12).prop_map(|window| (Some(window), false)),
        1 => Just((None, true)),
    ];
    let step = prop_oneof![Just(1u32), Just(7), Just(512), 2u32..20];
    let drafts = prop_oneof![2 => Just(0u32), 2 => Just(3), 1 => 1u32..9];
    (layers, 1u32..6, 4u32..40, step, 1u32..9, (8u32..64, drafts)).prop_map(
        |((window, has_full), block_size, n_blocks, max_step_tokens, max_seqs, rest)| {
            let (max_context, draft_tokens) = rest;
            // A head keeps its keys and values in the blocks of full layers.
            let has_full = has_full || draft_tokens > 0;
            Capacity {
                n_blocks,
                block_size,
                window,
                has_full,
                max_step_tokens,
                max_seqs,
                max_context,
                vocab_size: VOCAB,
                draft_tokens,
            }
        },
    )
}

fn cases() -> impl Strategy<Value = Case> {
    let prompt = proptest::collection::vec(0..VOCAB, 1..24);
    let one = (
        prompt,
        1u32..30,
        any::<bool>(),
        proptest::bool::weighted(0.2),
        0usize..12,
        (any::<bool>(), proptest::collection::vec(0..VOCAB, 0..2)),
    );
    let requests = proptest::collection::vec(one, 1..14);
    let chunk = prop_oneof![Just(1u32), Just(7), Just(512)];
    let stops = proptest::collection::vec(0..VOCAB, 0..4);
    (capacities(), chunk, 1usize..3, stops, requests).prop_map(
        |(capacity, max_chunk, depth, stop_tokens, requests)| {
            let requests = requests.into_iter().zip(0..);
            let requests = requests.map(|((prompt, max_new, sampled, logits, step, ends), id)| {
                let temperature = if sampled { 1.0 } else { 0.0 };
                let (ignore_eos, stop_tokens) = ends;
                let request = Request {
                    ignore_eos,
                    stop_tokens: stop_tokens.into(),
                    ..request(id, prompt, max_new, temperature, logits)
                };
                (step, request)
            });
            Case {
                capacity,
                max_chunk,
                depth,
                stop_tokens,
                requests: requests.collect(),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_schedule_gives_the_answers_of_running_alone(case in cases()) {
        check(&case);
    }
}

const WIDE: Capacity = Capacity {
    n_blocks: 4096,
    block_size: 4,
    window: Some(8),
    has_full: true,
    max_step_tokens: 64,
    max_seqs: 64,
    max_context: 128,
    vocab_size: VOCAB,
    draft_tokens: 0,
};

fn many(n: u64) -> Vec<(usize, Request)> {
    let prompt = |id: u64| {
        (0..1 + id % 37)
            .map(|i| ((id * 31 + i * 7) % u64::from(VOCAB)) as TokenId)
            .collect()
    };
    (0..n)
        .map(|id| {
            (
                0,
                request(
                    id,
                    prompt(id),
                    1 + id as u32 % 41,
                    (id % 2) as f32,
                    id % 16 == 3,
                ),
            )
        })
        .collect()
}

#[test]
fn five_hundred_and_twelve_at_once_under_a_tiny_pool() {
    for depth in [1, 2] {
        for max_chunk in [1, 7, 512] {
            let capacity = Capacity {
                n_blocks: 60,
                ..WIDE
            };
            let preemptions = check(&Case {
                capacity,
                max_chunk,
                depth,
                stop_tokens: vec![3],
                requests: many(512),
            });
            assert!(
                preemptions > 50,
                "only {preemptions} preemptions at depth {depth}, chunk {max_chunk}"
            );
        }
    }
}

#[test]
fn five_hundred_and_twelve_run_at_once_with_ample_blocks() {
    let capacity = Capacity {
        n_blocks: 20_000,
        max_seqs: 512,
        max_step_tokens: 1024,
        ..WIDE
    };
    let case = Case {
        capacity,
        max_chunk: 512,
        depth: 2,
        stop_tokens: vec![3],
        requests: many(512),
    };
    assert_eq!(check(&case), 0);
    // The longest answer has 41 tokens, and the prompts fill ten steps.
    assert!(run(&case).steps < 60);
}

#[test]
fn a_second_step_in_flight_costs_no_extra_steps() {
    // Without stop tokens nothing overshoots, so the pipeline must not change the number of steps.
    let case = |depth| Case {
        capacity: WIDE,
        max_chunk: 512,
        depth,
        stop_tokens: vec![],
        requests: many(64),
    };
    assert_eq!(run(&case(1)).steps, run(&case(2)).steps);
}

#[test]
fn prompts_and_decodes_share_steps() {
    // One sequence decodes 20 tokens while a prompt of 100 goes by in chunks of 7: far fewer steps than one after another.
    let capacity = Capacity {
        max_step_tokens: 8,
        max_seqs: 2,
        ..WIDE
    };
    let requests = vec![
        (0, request(0, vec![1], 20, 0.0, false)),
        (0, request(1, vec![2; 100], 1, 0.0, false)),
    ];
    let answers = run(&Case {
        capacity,
        max_chunk: 7,
        depth: 1,
        stop_tokens: vec![],
        requests,
    });
    assert!(answers.steps <= 22, "{} steps", answers.steps);
}

#[test]
fn the_impossible_is_refused_and_the_rest_is_served() {
    let capacity = Capacity {
        n_blocks: 10,
        max_context: 60,
        ..WIDE
    };
    let mut requests = many(20);
    requests.push((0, request(20, vec![1; 60], 1, 0.0, false)));
    requests.push((0, request(21, vec![1; 31], 9, 0.0, false)));
    requests.push((0, request(22, vec![], 9, 0.0, false)));
    requests.push((0, request(23, vec![VOCAB], 9, 0.0, false)));
    requests.push((0, request(24, vec![1], 9, f32::NAN, false)));
    let case = Case {
        capacity,
        max_chunk: 512,
        depth: 2,
        stop_tokens: vec![],
        requests,
    };
    check(&case);
    let answers = run(&case);
    for (id, part) in [
        (20, "context of 60"),
        (21, "KV blocks"),
        (22, "empty"),
        (23, "vocabulary"),
        (24, "temperature"),
    ] {
        match &answers.by_id[&RequestId(id)].end {
            Some(End::Failed(message)) => assert!(message.contains(part), "{message}"),
            other => panic!("request {id} ended with {other:?}"),
        }
    }
}

#[test]
fn the_context_ends_a_request() {
    let capacity = Capacity {
        max_context: 16,
        ..WIDE
    };
    let requests = vec![(0, request(0, vec![1; 10], 100, 0.0, true))];
    let case = Case {
        capacity,
        max_chunk: 512,
        depth: 2,
        stop_tokens: vec![],
        requests,
    };
    check(&case);
    let answer = &run(&case).by_id[&RequestId(0)];
    assert_eq!((answer.tokens.len(), &answer.end), (6, &Some(End::Length)));
}

/// A stop that is seen one step late: the token after it is computed, and dropped.
#[test]
fn the_stop_token_is_the_last_token() {
    let model = FakeModel { capacity: WIDE };
    let one = request(0, vec![1, 2, 3], 40, 1.0, true);
    let stop = model.answer(&one, &[]).0[5];
    for depth in [1, 2] {
        let requests = vec![(0, one.clone())];
        let case = Case {
            capacity: WIDE,
            max_chunk: 512,
            depth,
            stop_tokens: vec![stop],
            requests,
        };
        check(&case);
        let answer = &run(&case).by_id[&RequestId(0)];
        assert_eq!(
            (answer.tokens.last(), &answer.end),
            (Some(&stop), &Some(End::Stop))
        );
    }
}

#[test]
fn a_step_says_what_it_computes() {
    let seq = |start, inputs: usize| StepSeq {
        start,
        inputs: vec![InputToken::Known(9); inputs],
        ..StepSeq::default()
    };
    // Two prompts from their start, one that goes on, and a sequence that decodes at position 7.
    let seqs = vec![seq(0, 5), seq(0, 1), seq(4, 3), seq(7, 1)];
    assert_eq!(work(&StepPlan { seqs }), (5 + 1 + 3, 8));
}
