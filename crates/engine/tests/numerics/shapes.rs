//! The whole model on random checkpoints of odd shapes, in f32, against the f64 reference; and the same bits however a
//! sequence is cut, batched or stored.

use ossmark_engine::Dtype;
use tempfile::tempdir;

use crate::drive::{Seq, alone, load, log_softmax, run, settings};
use crate::reference;
use crate::tiny::Tiny;

/// Log-probabilities of prompts of these lengths within 1e-3 of the reference.
fn matches(m: &Tiny, lengths: &[usize]) {
    let dir = m.folder();
    let tensors = m.tensors();
    let mut exec = load(dir.path(), &settings(Dtype::F32));
    let longest = m.prompt(*lengths.iter().max().unwrap());
    let expected = reference::logits(m, &tensors, &longest);
    let expected: Vec<f32> = expected.iter().map(|x| *x as f32).collect();
    let expected = log_softmax(&expected, m.vocab);
    for n in lengths {
        let got = log_softmax(&alone(&mut *exec, &longest[..*n], 1, 512).logits, m.vocab);
        assert_eq!(got.len(), n * m.vocab);
        // Causal: a prefix has the same distributions.
        let diffs = got.iter().zip(&expected).map(|(a, b)| (a - b).abs());
        let (at, worst) = diffs
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .unwrap();
        println!(
            "length {n}: {:.1}% of the tolerance at position {}",
            worst * 1e5,
            at / m.vocab
        );
        assert!(
            worst < 1e-3,
            "length {n}: {worst} at position {}",
            at / m.vocab
        );
    }
}

#[test]
fn prompt_of_one_token_and_of_a_few() {
    matches(&Tiny::default(), &[1, 2, 7, 8, 9, 17]);
}

#[test]
fn eight_query_heads_per_kv_head() {
    matches(
        &Tiny {
            heads: 8,
            kv_heads: 1,
            ..Tiny::default()
        },
        &[33],
    );
}

#[test]
fn more_query_heads_per_kv_head_than_lanes() {
    matches(
        &Tiny {
            heads: 11,
            kv_heads: 1,
            ..Tiny::default()
        },
        &[19],
    );
}

#[test]
fn a_kv_head_for_every_query_head_and_other_head_dims() {
    matches(
        &Tiny {
            heads: 3,
            kv_heads: 3,
            ..Tiny::default()
        },
        &[20],
    );
    matches(
        &Tiny {
            head_dim: 36,
            ..Tiny::default()
        },
        &[20],
    );
}

#[test]
fn one_expert() {
    matches(
        &Tiny {
            experts: 1,
            top_k: 1,
            ..Tiny::default()
        },
        &[20],
    );
}

#[test]
fn experts_128_top_4() {
    matches(
        &Tiny {
            experts: 128,
            top_k: 4,
            ..Tiny::default()
        },
        &[40],
    );
}

#[test]
fn only_full_or_only_window_layers() {
    matches(
        &Tiny {
            layers: "ff",
            ..Tiny::default()
        },
        &[20],
    );
    matches(
        &Tiny {
            layers: "www",
            ..Tiny::default()
        },
        &[20],
    );
}

#[test]
fn window_edge_127_128_129() {
    matches(
        &Tiny {
            window: 128,
            ..Tiny::default()
        },
        &[127, 128, 129, 150],
    );
}

#[test]
fn window_of_one_and_odd_window() {
    matches(
        &Tiny {
            window: 1,
            ..Tiny::default()
        },
        &[20],
    );
    matches(
        &Tiny {
            window: 13,
            ..Tiny::default()
        },
        &[40],
    );
}

#[test]
fn context_beyond_the_yarn_original() {
    matches(
        &Tiny {
            original_context: 16,
            factor: 8,
            ..Tiny::default()
        },
        &[100],
    );
    matches(
        &Tiny {
            original_context: 64,
            factor: 4,
            ..Tiny::default()
        },
        &[200],
    );
}

fn logits_of(dir: &std::path::Path, prompt: &[u32]) -> Vec<f32> {
    alone(&mut *load(dir, &settings(Dtype::F32)), prompt, 5, 512).logits
}

#[test]
fn every_layout_gives_the_same_bits() {
    let m = Tiny {
        layers: "wfw",
        ..Tiny::default()
    };
    let prompt = m.prompt(30);
    let single = logits_of(m.folder().path(), &prompt);
    let dir = tempdir().unwrap();
    m.write_sharded(dir.path());
    assert!(logits_of(dir.path(), &prompt) == single, "sharded");
    let dir = tempdir().unwrap();
    m.write_original(&dir.path().join("original"));
    assert!(
        logits_of(&dir.path().join("original"), &prompt) == single,
        "original/ itself"
    );
    assert!(
        logits_of(dir.path(), &prompt) == single,
        "the folder above original/"
    );
    // Both present: the root wins, here with other weights.
    let other = Tiny { seed: 9, ..m };
    other.write(dir.path());
    assert!(
        logits_of(dir.path(), &prompt) != single,
        "root before original/"
    );
}

#[test]
fn the_same_bits_alone_batched_and_in_chunks() {
    let m = Tiny {
        window: 16,
        experts: 8,
        top_k: 4,
        ..Tiny::default()
    };
    let dir = m.folder();
    for dtype in [Dtype::F32, Dtype::Bf16] {
        let mut exec = load(dir.path(), &settings(dtype));
        let prompts: Vec<_> = (0..64)
            .map(|i| {
                Tiny {
                    seed: i,
                    ..m.clone()
                }
                .prompt(1 + i as usize)
            })
            .collect();
        let whole: Vec<Seq> = prompts
            .iter()
            .map(|p| alone(&mut *exec, p, 6, 512))
            .collect();
        for chunk in [1, 7] {
            let cut = alone(&mut *exec, &prompts[63], 6, chunk);
            assert!(
                cut.logits == whole[63].logits,
                "{dtype:?} in chunks of {chunk}"
            );
        }
        for chunk in [1, 7, 512] {
            let mut seqs: Vec<Seq> = prompts.iter().map(|p| Seq::new(p)).collect();
            run(&mut *exec, &mut seqs, 6, chunk, true, false);
            for (i, (a, b)) in seqs.iter().zip(&whole).enumerate() {
                assert!(
                    a.tokens == b.tokens && a.logits == b.logits,
                    "{dtype:?} sequence {i}, batched, chunks of {chunk}"
                );
            }
        }
        let one = settings(dtype);
        let mut exec = load(
            dir.path(),
            &ossmark_engine::CpuSettings {
                threads: Some(1),
                block_size: 5,
                ..one
            },
        );
        let again = alone(&mut *exec, &prompts[63], 6, 512);
        assert!(
            again.logits == whole[63].logits,
            "{dtype:?} on one thread, blocks of 5"
        );
    }
}
