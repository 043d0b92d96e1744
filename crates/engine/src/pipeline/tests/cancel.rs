//! Cancellation at any moment: nothing leaks, nobody is answered twice, and the others do not notice.

use super::*;

/// Runs a case with cancellations and checks every answer; how many requests were cut short.
fn check_cancelling(case: &Case, cancels: &[(usize, RequestId)]) -> usize {
    let answers = run_cancelling(case, cancels);
    let model = FakeModel {
        capacity: case.capacity,
    };
    assert_eq!(
        answers.by_id.len(),
        case.requests.len(),
        "a request has no end, or a stranger has one"
    );
    let mut cut = 0;
    for (_, request) in &case.requests {
        let id = request.id;
        let answer = &answers.by_id[&id];
        let (tokens, end) = match Limits(case.capacity).check_request(request) {
            Err(error) => (Vec::new(), End::Failed(error.to_string())),
            Ok(()) => model.answer(request, &case.stop_tokens),
        };
        if answer.end == Some(End::Cancelled) {
            assert!(
                cancels.iter().any(|&(_, cancelled)| cancelled == id),
                "nobody cancelled request {}",
                id.0
            );
            assert!(tokens.starts_with(&answer.tokens), "request {}", id.0);
            assert!(answer.tokens.len() < tokens.len(), "request {}", id.0);
            cut += 1;
        } else {
            assert_eq!(answer.end, Some(end), "request {}", id.0);
            assert_eq!(answer.tokens, tokens, "request {}", id.0);
        }
    }
    cut
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Some ids are cancelled before they come, twice, or after their end, and some never existed.
    #[test]
    fn cancellation_leaks_nothing_and_disturbs_nobody(
        case in cases(),
        cancels in proptest::collection::vec((0usize..40, 0u64..16), 0..12),
    ) {
        let cancels: Vec<_> = cancels.into_iter().map(|(step, id)| (step, RequestId(id))).collect();
        check_cancelling(&case, &cancels);
    }
}

#[test]
fn hundreds_are_cancelled_under_a_tiny_pool() {
    for depth in [1, 2] {
        let case = Case {
            capacity: Capacity {
                n_blocks: 60,
                ..WIDE
            },
            max_chunk: 7,
            depth,
            stop_tokens: vec![3],
            requests: many(512),
        };
        let cancels: Vec<_> = (0..512)
            .filter(|id| id % 3 != 0)
            .map(|id| (1 + id as usize % 97, RequestId(id)))
            .collect();
        let cut = check_cancelling(&case, &cancels);
        assert!(cut > 200, "only {cut} were still open at depth {depth}");
    }
}

/// The blocks of a cancelled sequence may not go to another while a step in flight reads them.
#[test]
fn blocks_in_flight_are_freed_only_after_their_step() {
    let capacity = Capacity {
        n_blocks: 16,
        window: None,
        ..WIDE
    };
    let scheduler = Scheduler::new(capacity, vec![], capacity.max_seqs, 512);
    let executor = Box::new(FakeExecutor::new(capacity, None));
    let mut pipeline = Pipeline::new(scheduler, executor, 2);
    let free = |pipeline: &Pipeline| pipeline.scheduler.pool().n_free();
    pipeline
        .scheduler
        .add(request(0, vec![1; 10], 20, 0.0, false));
    pipeline.step().unwrap();
    let before = free(&pipeline);
    assert!(before < 16);
    let end = pipeline.scheduler.cancel(RequestId(0)).unwrap().unwrap();
    assert_eq!((end.n_tokens, end.end), (0, Some(End::Cancelled)));
    assert_eq!(free(&pipeline), before, "a step in flight still reads them");
    assert_eq!(pipeline.scheduler.cancel(RequestId(0)).unwrap(), None);
    // The step in flight ends and says nothing of the request.
    let step = pipeline.step().unwrap().unwrap();
    let said = (step.tokens, step.outputs, step.rounds);
    assert_eq!((step.rows, said), (1, (vec![], vec![], vec![])));
    assert_eq!(free(&pipeline), 16);
    assert!(pipeline.is_idle());
}
