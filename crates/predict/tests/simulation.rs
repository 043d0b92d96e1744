//! Simulated runs against closed forms, and against each other.

use std::num::NonZeroU32;

use ossmark_predict::{
    BatchLimits, Batching, Lengths, Limits, Measured, Model, Outcome, Plan, Query, Seeds, Service,
    Slots, Step, at_once, forecast, server, simulate,
};
use ossmark_record::Row;
use proptest::prelude::*;

const MS: i64 = 1_000_000;

fn plan(target_qps: f64, min_duration_ms: u64, seed: u64) -> Plan {
    Plan {
        target_qps,
        min_duration_ms,
        min_query_count: 100,
        loaded_samples: NonZeroU32::new(100).unwrap(),
        equal_issue: true,
        issue_unique: false,
        seeds: Seeds {
            qsl: seed,
            sample_index: seed + 1,
            schedule: seed + 2,
        },
    }
}

fn tokens(output: u32) -> impl FnMut(&Query) -> Lengths {
    move |_| Lengths { prompt: 10, output }
}

fn fixed(ttft_ms: i64, tpot_ms: i64) -> impl FnMut(&Row) -> Service {
    move |_| Service {
        ttft_ns: ttft_ms * MS,
        tpot_ns: tpot_ms * MS,
    }
}

/// No steps but the first are made of more than this.
const MODEL: Model = Model {
    step_s: 0.01,
    prefill_token_s: 1e-5,
    decode_row_s: 1e-4,
    context_s: 1e-7,
};

const WIDE: BatchLimits = BatchLimits {
    max_seqs: 64,
    max_step_tokens: 4096,
    max_chunk: 1024,
};

#[test]
fn without_a_limit_on_slots_every_sample_has_its_own_times() {
    let rows = simulate(
        &mut Slots::new(0, fixed(30, 7)),
        &server(&plan(200.0, 5000, 1)),
        tokens(11),
    );
    assert!(rows.len() >= 900);
    for row in &rows {
        assert_eq!(
            (row.ttft_ns(), row.tpot_ns()),
            (Some(30 * MS), Some(7 * MS))
        );
        assert_eq!(row.latency_ns(), Some(100 * MS));
    }
}

/// 3 slots, 50 ms each: the k-th sample of a queue that was there from the start is the k / 3 -th of its slot.
#[test]
fn samples_that_are_all_there_go_through_the_slots_in_turns() {
    let samples: Vec<u32> = (0..100).collect();
    let rows = simulate(
        &mut Slots::new(3, fixed(10, 10)),
        &at_once(&samples),
        tokens(5),
    );
    for (k, row) in rows.iter().enumerate() {
        assert_eq!(row.completed_ns, Some((k as i64 / 3 + 1) * 50 * MS));
        assert_eq!(row.ttft_ns(), Some(k as i64 / 3 * 50 * MS + 10 * MS));
    }
}

/// Poisson arrivals, one server, the same service time D for each: they wait for D·ρ / (2·(1 − ρ)) on average
/// (Pollaczek and Khinchine).
#[test]
fn one_slot_is_an_m_d_1_queue() {
    for (load, d_ms) in [(50.0, 10.0), (80.0, 10.0)] {
        let queries = server(&plan(load, 4_000_000, 7));
        let rows = simulate(&mut Slots::new(1, fixed(10, 0)), &queries, tokens(1));
        let latency: i64 = rows.iter().filter_map(Row::latency_ns).sum();
        let mean_ms = latency as f64 / rows.len() as f64 / MS as f64;
        let rho = load * d_ms / 1e3;
        let expected = d_ms + d_ms * rho / (2.0 * (1.0 - rho));
        assert!(
            (mean_ms / expected - 1.0).abs() < 0.02,
            "{mean_ms} ms, expected {expected} ms"
        );
    }
}

/// Alone: a prompt in chunks, then a step for each token, whose context grows.
#[test]
fn a_sample_alone_takes_the_sum_of_its_steps() {
    let limits = BatchLimits {
        max_chunk: 40,
        ..WIDE
    };
    let lengths = Lengths {
        prompt: 100,
        output: 4,
    };
    let rows = simulate(&mut Batching::new(MODEL, limits), &at_once(&[0]), |_| {
        lengths
    });
    let prefill: f64 = [40, 40, 20]
        .map(|n| 0.01 + f64::from(n) * 1e-5)
        .iter()
        .sum();
    let decode: f64 = [101, 102, 103]
        .map(|n| 0.01 + 1e-4 + f64::from(n) * 1e-7)
        .iter()
        .sum();
    let ms = |ns: Option<i64>| ns.unwrap() as f64 / 1e6;
    assert!((ms(rows[0].ttft_ns()) - prefill * 1e3).abs() < 1e-5);
    assert!((ms(rows[0].latency_ns()) - (prefill + decode) * 1e3).abs() < 1e-5);
}

/// Steps of always the same length, as many rows as are there: all sequences move together.
#[test]
fn a_batch_decodes_together() {
    let model = Model {
        step_s: 0.02,
        prefill_token_s: 0.0,
        decode_row_s: 0.0,
        context_s: 0.0,
    };
    let limits = BatchLimits {
        max_seqs: 4,
        ..WIDE
    };
    let samples: Vec<u32> = (0..8).collect();
    let rows = simulate(
        &mut Batching::new(model, limits),
        &at_once(&samples),
        tokens(5),
    );
    for row in &rows[..4] {
        assert_eq!(
            (row.ttft_ns(), row.latency_ns()),
            (Some(20 * MS), Some(100 * MS))
        );
    }
    // The others are let in when those have gone.
    for row in &rows[4..] {
        assert_eq!(
            (row.ttft_ns(), row.latency_ns()),
            (Some(120 * MS), Some(200 * MS))
        );
    }
}

fn models() -> impl Strategy<Value = Model> {
    (1e-3..0.05_f64, 0.0..1e-4_f64, 0.0..1e-3_f64, 0.0..1e-7_f64).prop_map(|(a, b, c, d)| Model {
        step_s: a,
        prefill_token_s: b,
        decode_row_s: c,
        context_s: d,
    })
}

fn limits() -> impl Strategy<Value = BatchLimits> {
    (1..40_usize, 1..300_u64, 1..300_u64).prop_map(|(max_seqs, max_step_tokens, max_chunk)| {
        BatchLimits {
            max_seqs,
            max_step_tokens,
            max_chunk,
        }
    })
}

fn of_sample(query: &Query) -> Lengths {
    Lengths {
        prompt: 1 + query.sample * 37 % 150,
        output: 1 + query.sample * 53 % 40,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Every sample gets its first token after it came and its last one no sooner; nobody overtakes to the first token.
    #[test]
    fn every_sample_is_served_in_turn(model in models(), limits in limits(), load in 1.0..60.0_f64, seed: u32) {
        let queries = server(&plan(load, 3000, seed.into()));
        for rows in [
            simulate(&mut Batching::new(model, limits), &queries, of_sample),
            simulate(&mut Slots::new(limits.max_seqs, fixed(20, 3)), &queries, of_sample),
        ] {
            prop_assert_eq!(rows.len(), queries.len());
            for row in &rows {
                prop_assert!(row.ttft_ns().unwrap() > 0);
                prop_assert!(row.completed_ns >= row.first_token_ns);
                prop_assert_eq!(row.output_tokens == 1, row.completed_ns == row.first_token_ns);
            }
            prop_assert!(rows.is_sorted_by_key(|row| row.first_token_ns) || limits.max_chunk < 150);
        }
    }

    /// One sequence at a time whose steps all take the same is a slot.
    #[test]
    fn a_batch_of_one_is_a_slot(step_ms in 1..40_i64, load in 1.0..60.0_f64, seed: u32) {
        let model = Model { step_s: step_ms as f64 / 1e3, prefill_token_s: 0.0, decode_row_s: 0.0, context_s: 0.0 };
        let limits = BatchLimits { max_seqs: 1, ..WIDE };
        let queries = server(&plan(load, 3000, seed.into()));
        let batch = simulate(&mut Batching::new(model, limits), &queries, of_sample);
        let slot = simulate(&mut Slots::new(1, fixed(step_ms, step_ms)), &queries, of_sample);
        prop_assert_eq!(batch, slot);
    }

    /// A system that is slower in everything never ends a run of one slot sooner, and no sample has its token sooner.
    #[test]
    fn slower_is_never_sooner(ms in 1..30_i64, slots in 0..9_usize, load in 1.0..90.0_f64, seed: u32) {
        let queries = server(&plan(load, 3000, seed.into()));
        let run = |ms| simulate(&mut Slots::new(slots, fixed(ms, ms)), &queries, of_sample);
        for (fast, slow) in run(ms).iter().zip(&run(ms + 1)) {
            prop_assert!(fast.ttft_ns() < slow.ttft_ns());
            prop_assert!(fast.latency_ns() < slow.latency_ns());
        }
    }

    /// A step's time is found again from steps, and from the outside where the context costs nothing.
    #[test]
    fn a_model_is_found_again_from_its_own_steps(model in models()) {
        let steps: Vec<Measured> = (0..200_u64)
            .map(|i| Step { prefill_tokens: i * 7919 % 2048, decode_rows: i * 31 % 97, context: i * 104_729 % 200_000 })
            .map(|step| Measured { step, seconds: model.seconds(&step) })
            .collect();
        let found = Model::of_steps(&steps).unwrap();
        for Measured { step, seconds } in &steps {
            prop_assert!((found.seconds(step) / seconds - 1.0).abs() < 1e-6);
        }
    }
}

/// From times alone, as the clients of a server see them: the percentiles of another load are predicted within 3%.
#[test]
fn a_server_is_modelled_from_what_its_clients_see() {
    let truth = Model {
        context_s: 0.0,
        ..MODEL
    };
    let run = |model, load| {
        let queries = server(&plan(load, 60_000, 3));
        simulate(&mut Batching::new(model, WIDE), &queries, of_sample)
    };
    let found = Model::of_samples(&run(truth, 20.0)).unwrap();
    let limits = Limits::new(1, 1, 0.99, 6396);
    for load in [5.0, 40.0] {
        let [measured, predicted] =
            [truth, found].map(|model| Outcome::of(&run(model, load), &limits));
        for k in 0..2 {
            let ratio = predicted.percentile_ns[k] as f64 / measured.percentile_ns[k] as f64;
            assert!(
                (ratio - 1.0).abs() < 0.03,
                "{load}: {predicted:?} {measured:?}"
            );
        }
    }
    assert_eq!(Model::of_samples(&[]), None);
    let one_token = simulate(
        &mut Slots::new(0, fixed(5, 5)),
        &at_once(&[1, 2]),
        tokens(1),
    );
    assert_eq!(Model::of_samples(&one_token), None);
}

/// Three samples of ten steps of 0.1 s; into the second one's comes the prompt of the third, 200 tokens of 1 ms each. What
/// a sample's own prompt took was over before its first token.
#[test]
fn prompts_delay_those_that_were_there_before() {
    let [alone, before, after] = [(0.0, 50, 1.0), (10.0, 50, 1.2), (10.5, 200, 1.0)];
    let row = |(first, prompt, span): (f64, u32, f64)| {
        let mut rows = simulate(
            &mut Slots::new(0, fixed(0, 0)),
            &at_once(&[1]),
            |_: &Query| Lengths { prompt, output: 11 },
        );
        let mut row = rows.remove(0);
        row.first_token_ns = Some((first * 1e9) as i64);
        row.completed_ns = Some(((first + span) * 1e9) as i64);
        row
    };
    let found = Model::of_samples(&[row(alone), row(before), row(after)]).unwrap();
    assert!((found.step_s - 0.1).abs() < 1e-6, "{found:?}");
    assert!((found.prefill_token_s - 1e-3).abs() < 1e-6, "{found:?}");
    assert!(found.decode_row_s < 1e-6, "{found:?}");
}

#[test]
fn what_is_slower_is_so_in_every_part() {
    let step = Step {
        prefill_tokens: 7,
        decode_rows: 5,
        context: 300,
    };
    let slower = MODEL.slower(3.0);
    for (before, after) in [
        (MODEL.step_s, slower.step_s),
        (MODEL.prefill_token_s, slower.prefill_token_s),
        (MODEL.decode_row_s, slower.decode_row_s),
        (MODEL.context_s, slower.context_s),
        (MODEL.seconds(&step), slower.seconds(&step)),
    ] {
        assert!((after / before - 3.0).abs() < 1e-9, "{slower:?}");
    }
}

/// 1000 samples: early stopping allows so many over a limit, and one more is one too many.
#[test]
fn a_run_is_valid_as_long_as_early_stopping_allows() {
    let samples: Vec<u32> = (0..1000).collect();
    let limits = Limits::new(20 * MS, 10 * MS, 0.99, 6396);
    let outcome = |slow_first: i64, slow_token: i64| {
        let service = |row: &Row| Service {
            ttft_ns: 20 * MS + i64::from((row.request as i64) < slow_first),
            tpot_ns: 10 * MS + i64::from(row.request as i64 >= 1000 - slow_token),
        };
        Outcome::of(
            &simulate(&mut Slots::new(0, service), &at_once(&samples), tokens(9)),
            &limits,
        )
    };
    let most = outcome(0, 0).allowed_over.unwrap() as i64;
    assert!(most >= 1);
    for (first, token, valid) in [
        (0, 0, true),
        (most, most, true),
        (most + 1, 0, false),
        (0, most + 1, false),
    ] {
        let found = outcome(first, token);
        assert_eq!(found.is_valid(), valid, "{found:?}");
        assert_eq!(found.over, [first as u64, token as u64]);
    }
    let found = outcome(0, 0);
    assert_eq!(
        (found.percentile_ns, found.ended_ns),
        ([20 * MS, 10 * MS], 100 * MS)
    );
    assert_eq!((found.samples, found.output_tokens), (1000, 9000));
    // A sample without an answer, and too few samples for any.
    let mut rows = simulate(
        &mut Slots::new(0, fixed(1, 1)),
        &at_once(&samples),
        tokens(2),
    );
    assert!(Outcome::of(&rows, &limits).is_valid());
    assert!(
        !Outcome::of(&rows[..458], &limits).is_valid()
            && Outcome::of(&rows[..459], &limits).is_valid()
    );
    rows[999].completed_ns = None;
    assert!(!Outcome::of(&rows, &limits).is_valid());
    assert!(!Outcome::of(&[], &limits).is_valid());
}

/// A load far below the limit is VALID in every repeat and one far above it in none; near it only in some.
#[test]
fn a_forecast_knows_where_it_is_sure() {
    let outputs: Vec<u32> = (1..200).collect();
    let limits = Limits::new(300 * MS, 100 * MS, 0.99, 6396);
    let probability = |load| {
        let queries = server(&plan(load, 20_000, 11));
        let made = forecast(NonZeroU32::new(40).unwrap(), 5, |draw| {
            let lengths = |_: &Query| Lengths {
                prompt: 1,
                output: *draw.one(&outputs),
            };
            Outcome::of(
                &simulate(&mut Slots::new(16, fixed(20, 1)), &queries, lengths),
                &limits,
            )
        });
        assert!(made.ttft_ns[0] <= made.ttft_ns[1] && made.ended_ns[0] <= made.ended_ns[1]);
        made.probability
    };
    // 16 slots of 119 ms on average take 134 samples a second.
    assert_eq!((probability(60.0), probability(200.0)), (1.0, 0.0));
    let shares: Vec<f64> = (120..160)
        .map(|load| probability(f64::from(load)))
        .collect();
    assert!(
        shares.iter().any(|share| (0.1..0.9).contains(share)),
        "{shares:?}"
    );
}
