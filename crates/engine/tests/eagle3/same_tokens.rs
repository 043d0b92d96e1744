//! Whatever a head drafts, the tokens are plain decoding's: any head, alone and together, in any chunks, preempted, cancelled.

use std::path::Path;

use ossmark_engine::{Dtype, KvDtype, Speculation};
use ossmark_protocol::{End, Request, RequestId};

use crate::drive::{
    Answers, Run, all_heads, answers, fixtures, golden, golden_prompts, requests, speculation,
};
use crate::heads::Head;

/// Pairs of a prompt and a seed for each head; `OSSMARK_EAGLE3_PAIRS` of them in all where that is set.
fn pairs(heads: usize) -> u64 {
    let asked = std::env::var("OSSMARK_EAGLE3_PAIRS").ok();
    asked.map_or(64, |n| n.parse::<u64>().unwrap().div_ceil(heads as u64))
}

fn requests_of(checkpoint: &str, n: u64) -> Vec<Request> {
    let vocab = match checkpoint {
        "a" => 512,
        "b" => 331,
        _ => 448,
    };
    requests(n, vocab, &golden_prompts(checkpoint))
}

fn copycat() -> Speculation {
    speculation(&fixtures().join("eagle3/a/copycat"))
}

fn same(found: &Answers, plain: &Answers, requests: &[Request], what: &str) {
    assert_eq!(found.by_id.len(), requests.len(), "{what}");
    for request in requests {
        let id = request.id;
        assert_eq!(
            found.by_id[&id], plain.by_id[&id],
            "{what}: request {}",
            id.0
        );
    }
}

/// Compares runs of `a` with the plain one.
fn check_a(runs: &[(&str, Run)], n: u64) -> Vec<Answers> {
    let requests = requests_of("a", n);
    let plain = answers(&Run::plain(&golden("a")), &requests);
    let run = |(what, run): &(&str, Run)| {
        let found = answers(run, &requests);
        same(&found, &plain, &requests, what);
        found
    };
    runs.iter().map(run).collect()
}

fn with_copycat() -> Run {
    Run::with(&golden("a"), copycat())
}

#[test]
fn with_every_head() {
    let mut heads = all_heads();
    heads.push(("demo", golden("demo").join("eagle3")));
    let n = pairs(heads.len());
    for checkpoint in ["a", "b", "demo"] {
        let model = golden(checkpoint);
        let requests = requests_of(checkpoint, n);
        let plain = answers(&Run::plain(&model), &requests);
        for (_, head) in heads.iter().filter(|(of, _)| *of == checkpoint) {
            let found = answers(&Run::with(&model, speculation(head)), &requests);
            let name = head.display().to_string();
            same(&found, &plain, &requests, &name);
            let accepted: u32 = found.rounds.iter().map(|r| r.accepted).sum();
            println!(
                "{name}: {accepted} accepted in {} rounds",
                found.rounds.len()
            );
            assert!(name.ends_with("random") || accepted > 10, "{name}");
        }
    }
}

#[test]
fn alone_in_chunks_and_with_other_numbers_of_drafts() {
    let steps = |steps| Run::with(&golden("a"), Speculation { steps, ..copycat() });
    let found = check_a(
        &[
            (
                "alone",
                Run {
                    max_batch: 1,
                    ..with_copycat()
                },
            ),
            (
                "chunks of 1",
                Run {
                    max_chunk: 1,
                    ..with_copycat()
                },
            ),
            (
                "chunks of 7",
                Run {
                    max_chunk: 7,
                    ..with_copycat()
                },
            ),
            (
                "two steps in flight",
                Run {
                    pipeline_depth: 2,
                    ..with_copycat()
                },
            ),
            ("one draft", steps(1)),
            ("seven drafts", steps(7)),
        ],
        64,
    );
    // Alone a step is of one sequence, so that what is accepted is what is saved.
    let alone = &found[0];
    let accepted: u32 = alone.rounds.iter().map(|r| r.accepted).sum();
    let plain = answers(
        &Run {
            max_batch: 1,
            ..Run::plain(&golden("a"))
        },
        &requests_of("a", 64),
    );
    // What was accepted behind a stop token saved nothing.
    let saved = plain.stats.steps - alone.stats.steps;
    assert!(
        saved > 10 && saved <= u64::from(accepted),
        "{saved} of {accepted}"
    );
}

/// On the CPU a row is the same whatever stands beside it, in these numbers too.
#[test]
fn in_bf16_and_with_fp8_keys_and_values() {
    for kv in [KvDtype::AsActivations, KvDtype::Fp8] {
        let requests = requests_of("a", 64);
        let of = |run: Run| {
            let run = Run {
                dtype: Dtype::Bf16,
                kv,
                ..run
            };
            answers(&run, &requests)
        };
        let found = of(with_copycat());
        same(
            &found,
            &of(Run::plain(&golden("a"))),
            &requests,
            &format!("{kv:?}"),
        );
        assert!(found.rounds.iter().any(|round| round.accepted > 0));
    }
}

#[test]
fn preempted_repeatedly() {
    for pipeline_depth in [1, 2] {
        // The longest needs 17 blocks for all positions and 5 for the window.
        let run = Run {
            pipeline_depth,
            n_blocks: 23,
            ..with_copycat()
        };
        let found = check_a(&[("a tiny pool", run)], 64);
        assert!(found[0].stats.preemptions > 4, "{:?}", found[0].stats);
    }
}

#[test]
fn cancelled_while_others_go_on() {
    let requests = requests_of("a", 64);
    let plain = answers(&Run::plain(&golden("a")), &requests);
    let run = Run {
        cancel: (0..64)
            .filter(|id| id % 3 == 1)
            .map(|id| (100 + 5 * id as usize, RequestId(id)))
            .collect(),
        ..with_copycat()
    };
    let found = answers(&run, &requests);
    let mut cut = 0;
    for request in &requests {
        let ((tokens, end), (all, plain_end)) =
            (&found.by_id[&request.id], &plain.by_id[&request.id]);
        if *end == Some(End::Cancelled) {
            assert!(all.starts_with(tokens), "request {}", request.id.0);
            cut += 1;
        } else {
            assert_eq!((tokens, end), (all, plain_end), "request {}", request.id.0);
        }
    }
    assert!(cut > 0, "nothing was open any more");
}

/// A head whose only token is the stop token, by `d2t`.
#[test]
fn with_a_head_that_always_drafts_the_stop_token() {
    let dir = tempfile::tempdir().unwrap();
    let mut head = Head::read(&fixtures().join("eagle3/a/random"));
    head.config["draft_vocab_size"] = 1.into();
    head.put_f32("lm_head.weight", &[1, 128], &[0.25; 128]);
    head.put_i64("d2t", &[2]);
    head.write(dir.path());
    let run = Run::with(&golden("a"), speculation(dir.path()));
    let found = check_a(&[("the stop token", run)], 64).remove(0);
    let drafted = found.rounds.iter().flat_map(|r| &r.drafted);
    assert!(drafted.clone().count() > 500 && drafted.clone().all(|t| *t == 2));
}

/// The same head as another file: its drafts are the same too.
#[test]
fn names_shards_and_f32_change_nothing() {
    let original = fixtures().join("eagle3/a/copycat");
    let requests = requests_of("a", 16);
    let rounds = |head: &Path| {
        let run = Run {
            max_batch: 1,
            ..Run::with(&golden("a"), speculation(head))
        };
        answers(&run, &requests).rounds
    };
    let expected = rounds(&original);
    assert!(expected.iter().any(|round| round.accepted > 0));
    let dir = tempfile::tempdir().unwrap();
    for (prefix, layer) in [
        ("", "midlayer."),
        ("model.", "midlayer."),
        ("model.", "layers.0."),
    ] {
        let mut head = Head::read(&original);
        head.rename(|name| format!("{prefix}{}", name.replace("layers.0.", layer)));
        head.write(dir.path());
        assert_eq!(rounds(dir.path()), expected, "{prefix}{layer}");
    }
    let mut head = Head::read(&original);
    head.widen();
    head.write(dir.path());
    assert_eq!(rounds(dir.path()), expected, "f32");
    let shards = tempfile::tempdir().unwrap();
    Head::read(&original).write_sharded(shards.path());
    assert_eq!(rounds(shards.path()), expected, "sharded");
    // The target's own embedding and lm_head, as the head's.
    let target = Head::read(&golden("a"));
    let mut head = Head::read(&original);
    head.tensors.insert(
        "embed_tokens.weight".into(),
        target.tensors["model.embed_tokens.weight"].clone(),
    );
    head.tensors.insert(
        "lm_head.weight".into(),
        target.tensors["lm_head.weight"].clone(),
    );
    head.write(dir.path());
    assert_eq!(rounds(dir.path()), expected, "own embedding and lm_head");
}
