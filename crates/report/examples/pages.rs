//! Pages of made-up runs, for `.ci/pages` and for whoever changes how they look: `cargo run --release -p ossmark-report
//! --example pages -- DIR [RUN...]` writes a file for each kind of page; of the runs named, if any, one more.

use std::path::{Path, PathBuf};

use ossmark_record::{End, Row, Second};
use ossmark_report::{
    Completeness, Curve, CurvePoint, Depth, Figures, Hashed, Log, Run, Spread, Verdict, curve_page,
    page, read,
};
use serde_json::json;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let dir = args.next().ok_or("missing the directory for the pages")?;
    let runs: Vec<PathBuf> = args.collect();
    let three = [
        server("out/server-a", 6396, 1.0),
        server("out/server-b", 6396, 1.03),
        failed("out/server-c"),
    ];
    write(&dir, "one", &[server("out/server", 6396, 1.0)])?;
    write(&dir, "three", &three)?;
    write(&dir, "failed", &[failed("out/failed")])?;
    write(&dir, "empty", &[Run::default()])?;
    write(&dir, "hostile", &[hostile()])?;
    for (name, curve) in [
        ("curve", curve()),
        ("curve-empty", Curve::default()),
        ("curve-hostile", hostile_curve()),
    ] {
        let file = dir.join(name).with_extension("html");
        ossmark_files::write_whole(&file, curve_page(&curve).as_bytes())?;
    }
    if !runs.is_empty() {
        let read: Result<Vec<Run>, _> = runs.iter().map(|run| read(run, Depth::Page)).collect();
        write(&dir, "named", &read?)?;
    }
    Ok(())
}

fn write(dir: &Path, name: &str, runs: &[Run]) -> Result<(), Box<dyn std::error::Error>> {
    let runs: Vec<(Run, Figures)> = runs
        .iter()
        .map(|run| (run.clone(), Figures::of(run)))
        .collect();
    ossmark_files::write_whole(
        &dir.join(name).with_extension("html"),
        page(&runs).as_bytes(),
    )?;
    Ok(())
}

/// Numbers that look like noise and are the same each time.
struct Noise(u64);

impl Noise {
    /// From 0 to 1.
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A Server run of so many samples at ten a second.
fn server(dir: &str, samples: u64, slower: f64) -> Run {
    let mut noise = Noise(samples + (slower * 1000.0) as u64);
    let mut at = 0.0;
    let rows: Vec<Row> = (0..samples)
        .map(|request| {
            at += -noise.next().ln() / 10.6;
            let prompt = 60 + (noise.next() * noise.next() * 1500.0) as u32;
            let tokens = 200 + (-noise.next().ln() * 1080.0) as u32;
            let ttft = slower * (0.15 + f64::from(prompt) / 4000.0 - 0.25 * noise.next().ln());
            let ttft = if noise.next() < 0.004 {
                ttft + 3.0
            } else {
                ttft
            };
            let tpot = slower * (0.028 + 0.02 * noise.next());
            let ns = |s: f64| (s * 1e9) as i64;
            Row {
                request,
                sample_index: (request % 6396) as u32,
                prompt_tokens: prompt,
                output_tokens: tokens.min(10_240),
                scheduled_ns: Some(ns(at)),
                issued_ns: Some(ns(at) + 40_000),
                first_token_ns: Some(ns(at + ttft)),
                completed_ns: Some(ns(at + ttft + tpot * f64::from(tokens - 1))),
                end: if tokens > 10_240 {
                    End::Length
                } else {
                    End::Stop
                },
                engine: (request % 8) as u16,
            }
        })
        .collect();
    let seconds = (0..at as u64).map(|t| Second {
        t_s: t as f64,
        running: Some(
            (320.0 * (1.0 - (-(t as f64) / 20.0).exp())) as u64 + (noise.next() * 30.0) as u64,
        ),
        waiting: Some((noise.next() * 12.0) as u64),
        kv_blocks: Some(40_000),
        kv_blocks_used: Some(
            (31_000.0 * (1.0 - (-(t as f64) / 20.0).exp()) + noise.next() * 2000.0) as u64,
        ),
        step_rows_mean: Some(280.0 + 40.0 * noise.next()),
        power_w: Some(4000.0 + 900.0 * noise.next()),
        ..Second::default()
    });
    let verdict: Verdict = serde_json::from_value(json!({
        "verdict": "valid", "settings": "test", "scenario": "server", "mode": "performance",
        "deviations": ["answers are scripted (--engine echo): no model was run", "prompts are made up, not given"],
        "loadgen": {"result": "VALID", "errors": 0, "warnings": 0}
    }))
    .expect("it is a verdict");
    let settings = json!({"server_ttft_latency": 3000000000u64, "server_tpot_latency": 80000000, "target_qps": 10.6,
        "qsl_rng_seed": 2085463073848966840u64, "min_duration_ms": 600000});
    let settings = settings.as_object().cloned().unwrap_or_default();
    Run {
        dir: dir.into(),
        verdict: Some(verdict),
        plan: json!({"engine": "cuda", "round": "v6.1", "ossmark": {"version": "0.1.0", "git_revision": "93aff5041e0c7ac0ea25cf9b"},
            "sampling": {"temperature": 1.0, "seed": 2085463073848966840u64}}),
        log: Some(Log {
            requested: settings.clone(),
            effective: settings,
            results: json!({"validity": "VALID", "completed_tokens_per_second": 13267.2})
                .as_object()
                .cloned()
                .unwrap_or_default(),
            date: Some("2026-11-29T19:42:49Z".into()),
            sut: Some("ossmark 0.1.0 (cuda)".into()),
            complete: true,
            ..Log::default()
        }),
        seconds: seconds.collect(),
        rows,
        record: Completeness::Complete,
        energy_j: Some(2_750_000.0),
        power: json!({"source": "NVML", "energy_j": 2_750_000.0, "sources": [{"name": "NVML", "kind": "nvml", "energy_j": 2_750_000.0,
            "mean_w": 4450.5, "max_w": 4990.0, "readings": 4896}], "left_out": [{"name": "command", "reasons": ["it printed nonsense"]}]}),
        files: vec![Hashed {
            name: "mlperf_log_detail.txt".into(),
            stated: "15638ec2ebed".repeat(5),
            found: Ok("15638ec2ebed".repeat(5)),
        }],
        ..Run::default()
    }
}

/// A run whose engine died, which was killed, and somebody changed a file of.
fn failed(dir: &str) -> Run {
    let mut run = server(dir, 900, 1.6);
    for row in &mut run.rows[700..] {
        (row.first_token_ns, row.completed_ns, row.end) = (None, None, End::Failed);
    }
    run.verdict = Some(
        serde_json::from_value(json!({
            "verdict": "invalid", "settings": "official", "scenario": "server", "mode": "performance", "interrupted": true,
            "reasons": ["the engine failed: out of memory", "the run was ended early; LoadGen's logs are cut off"],
            "faults": [{"kind": "engine", "message": "the engine failed: out of memory", "count": 200, "samples": [701, 702]}],
            "loadgen": {"result": null, "errors": 0, "warnings": 0}
        }))
        .expect("it is a verdict"),
    );
    run.files[0].found = Ok("0badc0de".repeat(8));
    run.record = Completeness::Incomplete(vec![
        "the run was cut: up to a second of it is missing".into(),
    ]);
    run
}

const ATTACK: &str = "</style></svg></textarea><script>document.title='owned'</script><img src=http://127.0.0.1:9/x \
                      onerror=alert(1)>\"'&{{7*7}}\u{202e}\u{7}\u{1b}[2J";

/// A run whose every text is an attack.
fn hostile() -> Run {
    let text = ATTACK;
    let long = "W".repeat(300);
    let mut run = failed(&format!("out/{text}"));
    run.problems = vec![text.into(), long.clone()];
    run.plan = json!({"engine": text, (text): {(text): text}, "long": long});
    run.power = json!({"source": text, "sources": [{"name": text, "kind": text, "energy_j": text}], "left_out": [{"name": text, "reasons": [text]}]});
    run.score = json!({"exact_match": 83.13, "findings": [text, {"x": text}],
        "summary": {"per_dataset": {(text): {"correct": 1, "total": 2, "accuracy": 50.0, "repeats": 1}, (long): {}}}});
    let log = run.log.get_or_insert_default();
    log.errors = vec![text.into(); 3];
    log.sut = Some(text.into());
    log.effective.insert(text.into(), json!(text));
    log.date = Some(text.into());
    let verdict = run.verdict.get_or_insert_default();
    verdict.reasons.push(text.into());
    verdict.deviations.push(text.into());
    verdict.scenario = Some(text.into());
    verdict.faults[0].message = text.into();
    run.files.push(Hashed {
        name: text.into(),
        stated: text.into(),
        found: Err(text.into()),
    });
    run
}

/// A curve of MLPerf Endpoints: eight points, of which the last stands for Offline.
fn curve() -> Curve {
    let mut noise = Noise(8);
    let mut spread = |name: &str, unit: &str, from: f64| {
        let edge = |at: u32| from * 1.16f64.powi(at as i32);
        let mut count = |at: u32| (3000.0 * noise.next() / f64::from(1 + at)) as u64;
        let buckets = (0..30).map(|at| (edge(at), edge(at + 1), count(at)));
        Spread {
            name: name.into(),
            unit: unit.into(),
            histogram: buckets.collect(),
            percentiles: [50.0, 90.0, 99.0]
                .map(|p| (p, from * (1.0 + p / 30.0)))
                .into(),
        }
    };
    let points = [1u64, 32, 40, 64, 128, 256, 512, 6396].map(|concurrency| {
        let tps = 320.0 * (concurrency as f64).powf(0.75);
        CurvePoint {
            name: format!("r{concurrency}"),
            concurrency,
            region: match concurrency {
                1..=32 => "low_latency".into(),
                33..=63 => "low_concurrency".into(),
                64..=127 => "med_concurrency".into(),
                128..=512 => "high_concurrency".into(),
                _ => "-, Offline dedicated".into(),
            },
            requests: 31_980,
            failed: u64::from(concurrency == 512),
            duration_s: 31_980.0 * 1300.0 / tps,
            system_tps: Some(tps),
            tps_per_user: Some(tps / concurrency as f64),
            power_kw: Some(9.6),
            steady: Some("not found (insufficient_passes)".into()),
            spreads: vec![
                spread("TTFT", "ms", 20.0 + concurrency as f64),
                spread("TPOT", "ms", 3.0),
                spread("latency", "ms", 4000.0),
                spread("output", "tokens", 100.0),
            ],
        }
    });
    Curve {
        title: "out/curve".into(),
        notices: vec![
            "A rehearsal, not measured with MLCommons' client: nothing of it may be submitted."
                .into(),
        ],
        points: points.into(),
    }
}

/// A curve whose every text is an attack, and whose figures are none.
fn hostile_curve() -> Curve {
    let mut curve = curve();
    curve.title = ATTACK.into();
    curve.notices = vec![ATTACK.into(), "W".repeat(300)];
    for (point, figure) in curve
        .points
        .iter_mut()
        .zip([f64::NAN, f64::INFINITY, -1.0, 0.0, 1e300])
    {
        for text in [&mut point.name, &mut point.region] {
            *text = ATTACK.into();
        }
        point.steady = Some(ATTACK.into());
        (point.system_tps, point.tps_per_user) = (Some(figure), Some(figure));
        (point.power_kw, point.duration_s) = (Some(figure), figure);
        for spread in &mut point.spreads {
            (spread.name, spread.unit) = (ATTACK.into(), ATTACK.into());
            spread.percentiles[1].1 = figure;
            spread.histogram[3].0 = figure;
        }
    }
    curve
}
