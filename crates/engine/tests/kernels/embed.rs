//! `kernels/embed.cu`.

use ossmark_engine::executor::{InputToken, SampleSpec};
use ossmark_protocol::Sampling;

use crate::bench::{Bench, Device, on_each_device, sampling};
use crate::tiny::Tiny;

on_each_device!(known_and_previous, bad_token_reads_row_0);

const GREEDY: SampleSpec = SampleSpec {
    sampling: Sampling::GREEDY,
    uniform: 0.0,
};

/// Chooses tokens for all of `n` slots: `favourite(slot)`, or none where it is out of the vocabulary.
fn choose<D: Device>(b: &mut Bench<D>, n: usize, favourite: impl Fn(usize) -> usize) {
    let plan = b.plan(&vec![(0, 1); n]);
    b.begin_plan(sampling(plan, &vec![GREEDY; n]));
    let vocab = b.m.vocab;
    let mut logits = vec![0.0; n * vocab];
    for slot in 0..n {
        match favourite(slot) {
            id if id < vocab => logits[slot * vocab + id] = 1.0,
            _ => logits[slot * vocab] = f32::NAN,
        }
    }
    let buf = b.filled(&logits, vocab);
    b.ops.sample(&buf, 0..n).unwrap();
}

fn known_and_previous<D: Device>() {
    let mut b = Bench::<D>::new(&Tiny {
        hidden: 96,
        ..Tiny::default()
    });
    choose(&mut b, 3, |slot| 60 + slot);
    let mut plan = b.plan(&[(0, 1), (0, 1), (5, 3)]);
    plan.seqs[0].inputs = vec![InputToken::FromPrevious(2)];
    plan.seqs[1].inputs = vec![InputToken::FromPrevious(0)];
    plan.seqs[2].inputs = [66, 0, 7].map(InputToken::Known).to_vec();
    b.begin_plan(plan);
    let source = b.sources.embedding.clone();
    let table = b.ops.linear_weights(&source).unwrap();
    let mut out = b.poisoned(5, 96);
    b.ops.embed(&table, &mut out).unwrap();
    let got = b.read(&out, 5);
    let all = source.weight[0].to_vec();
    for (row, token) in [62, 60, 66, 0, 7].into_iter().enumerate() {
        assert_eq!(got[row * 96..][..96], all[token * 96..][..96], "row {row}");
    }
}

fn bad_token_reads_row_0<D: Device>() {
    let mut b = Bench::<D>::new(&Tiny::default());
    choose(&mut b, 1, |_| usize::MAX);
    let mut plan = b.plan(&[(1, 1)]);
    plan.seqs[0].inputs = vec![InputToken::FromPrevious(0)];
    b.begin_plan(plan);
    let source = b.sources.embedding.clone();
    let table = b.ops.linear_weights(&source).unwrap();
    let mut out = b.poisoned(1, 64);
    b.ops.embed(&table, &mut out).unwrap();
    assert_eq!(b.read(&out, 1), source.weight[0].to_vec()[..64]);
}
