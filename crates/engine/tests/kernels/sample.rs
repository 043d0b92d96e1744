//! `kernels/sample.cu` against the rule in f64, on uniform numbers that lie in the middle of a token's share.

use ossmark_engine::executor::{SampleSpec, StepHandle};
use ossmark_engine::ops::BAD_LOGITS;
use ossmark_protocol::Sampling;

use crate::bench::{Bench, Device, on_each_device, round, sampling};
use crate::tiny::Tiny;

on_each_device!(
    greedy_and_ties,
    real_vocabulary,
    top_k_and_top_p,
    flat_rows,
    not_finite
);

fn bench<D: Device>(vocab: usize) -> Bench<D> {
    Bench::new(&Tiny {
        vocab,
        hidden: 32,
        inter: 32,
        experts: 1,
        top_k: 1,
        layers: "f",
        ..Tiny::default()
    })
}

/// Samples a row for each spec, and gives the tokens.
fn draw<D: Device>(b: &mut Bench<D>, rows: &[Vec<f32>], specs: &[SampleSpec]) -> Vec<u32> {
    let plan = b.plan(&vec![(0, 1); rows.len()]);
    b.begin_plan(sampling(plan, specs));
    let logits = b.filled(&rows.concat(), b.m.vocab);
    b.ops.sample(&logits, 0..rows.len()).unwrap();
    b.ops.end(StepHandle(0)).unwrap();
    b.ops.tokens(StepHandle(0)).unwrap()
}

fn spec(temperature: f32, top_p: f32, top_k: u32, uniform: f32) -> SampleSpec {
    SampleSpec {
        sampling: Sampling {
            temperature,
            top_p,
            top_k,
        },
        uniform,
    }
}

/// The tokens that are kept, in the order of ids, with their weights.
fn kept(row: &[f32], s: &Sampling) -> Vec<(usize, f64)> {
    let max = row.iter().fold(f32::NEG_INFINITY, |m, l| m.max(*l));
    let weight = |l: &f32| ((f64::from(*l) - f64::from(max)) / f64::from(s.temperature)).exp();
    let mut order: Vec<(usize, f64)> = row.iter().map(weight).enumerate().collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    if s.top_k > 0 {
        order.truncate(s.top_k as usize);
    }
    if s.top_p < 1.0 {
        let total: f64 = order.iter().map(|w| w.1).sum();
        let mut sum = 0.0;
        let enough = order.iter().position(|w| {
            sum += w.1;
            // A hair before: the device's sums may round the other way.
            sum >= f64::from(s.top_p) * total * (1.0 - 1e-6)
        });
        order.truncate(enough.unwrap_or(order.len()) + 1);
    }
    order.sort_by_key(|w| w.0);
    order
}

/// A uniform number in the middle of some kept token's share, and that token.
fn aim<D: Device>(b: &mut Bench<D>, row: &[f32], s: &Sampling) -> (f32, u32) {
    let kept = kept(row, s);
    let total: f64 = kept.iter().map(|w| w.1).sum();
    // A share that f32's uniform number can hit safely.
    let wide: Vec<usize> = (0..kept.len())
        .filter(|i| kept[*i].1 / total > 1e-6)
        .collect();
    let chosen = wide[b.below(wide.len())];
    let before: f64 = kept[..chosen].iter().map(|w| w.1).sum();
    (
        ((before + kept[chosen].1 / 2.0) / total) as f32,
        kept[chosen].0 as u32,
    )
}

fn aimed<D: Device>(b: &mut Bench<D>, rows: usize, spread: f32, settings: &[(f32, f32, u32)]) {
    let vocab = b.m.vocab;
    let (mut logits, mut specs, mut expected) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..rows {
        let (temperature, top_p, top_k) = settings[i % settings.len()];
        let row: Vec<f32> = b.random(vocab).iter().map(|l| round(l * spread)).collect();
        let mut s = spec(temperature, top_p, top_k, 0.0);
        let (uniform, token) = aim(b, &row, &s.sampling);
        s.uniform = uniform;
        expected.push(token);
        specs.push(s);
        logits.push(row);
    }
    let got = draw(b, &logits, &specs);
    for (i, (got, expected)) in got.iter().zip(&expected).enumerate() {
        assert_eq!(
            got,
            expected,
            "row {i}, {:?}; OSSMARK_TEST_SEED={}",
            specs[i],
            crate::bench::seed()
        );
    }
}

fn greedy_and_ties<D: Device>() {
    let mut b = bench::<D>(5000);
    let mut row = vec![0.0; 5000];
    for id in [700, 1500, 4999] {
        row[id] = 3.0;
    }
    let negative = row.iter().map(|l| l - 100.0).collect();
    let last = (0..5000)
        .map(|i| i as f32)
        .map(|l| if l == 4999.0 { 9000.0 } else { l / 16.0 })
        .collect();
    let greedy = spec(0.0, 1.0, 0, 0.9);
    assert_eq!(
        draw(&mut b, &[row, negative, last], &[greedy; 3]),
        [700, 700, 4999]
    );
}

fn real_vocabulary<D: Device>() {
    aimed(
        &mut bench::<D>(201_088),
        3,
        4.0,
        &[(1.0, 1.0, 0), (0.7, 0.9, 0), (1.0, 1.0, 50)],
    );
}

fn top_k_and_top_p<D: Device>() {
    let settings = [
        (1.0, 0.5, 0),
        (1.0, 0.99, 3),
        (0.5, 0.01, 0),
        (2.0, 1.0, 1),
        (1.0, 0.8, 100),
        (1.3, 0.7, 4000),
        (1.0, 1.0, 3000),
    ];
    aimed(&mut bench::<D>(3000), 28, 3.0, &settings);
}

/// Many equal logits: of the equals the lower ids stay.
fn flat_rows<D: Device>() {
    let mut b = bench::<D>(2500);
    let row = vec![1.0; 2500];
    let specs = [
        spec(1.0, 1.0, 3, 0.99),
        spec(1.0, 0.5, 0, 0.9999),
        spec(1.0, 0.5, 10, 0.9999),
        spec(1.0, 1.0, 0, 0.5001),
    ];
    let got = draw(&mut b, &[(); 4].map(|()| row.clone()), &specs);
    assert_eq!(got, [2, 1249, 4, 1250]);
}

fn not_finite<D: Device>() {
    let mut b = bench::<D>(1100);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut row = vec![0.5; 1100];
        row[1050] = bad;
        let fine = vec![0.5; 1100];
        for s in [
            spec(0.0, 1.0, 0, 0.5),
            spec(1.0, 1.0, 0, 0.5),
            spec(1.0, 0.5, 7, 0.5),
        ] {
            let got = draw(&mut b, &[row.clone(), fine.clone()], &[s, s]);
            assert!(got[0] == BAD_LOGITS && got[1] < 1100, "{bad} gives {got:?}");
        }
    }
}
