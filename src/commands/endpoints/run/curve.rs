//! A curve's directory: what is measured, and what is left to measure.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use ossmark_endpoints::client::Summary;
use ossmark_endpoints::rehearsal::{self, Journal, Point, STAMP};
use ossmark_endpoints::{SampleOrder, SteadyState};
use ossmark_files::{Directory, Escaped, make_directories, write_whole};
use ossmark_protocol::TokenId;
use serde_json::{Value, json};

use super::accuracy::Accuracy;
use super::load::{Load, Task};
use super::phase::Measured;
use crate::cli::EndpointsRunArgs;
use crate::commands::endpoints::Counting;
use crate::terminal::{note, progress, say};

/// What a curve is set to, and how far it is.
const STATE: &str = "rehearsal.json";

/// A curve's directory, which belongs to this process.
pub(super) struct Curve {
    dir: Directory,
    /// What is in [`STATE`].
    pub(super) state: Value,
    next_id: u64,
}

impl Curve {
    /// A directory that is empty, or holds a curve of these settings.
    pub(super) fn open(args: &EndpointsRunArgs, settings: Value) -> Result<Self> {
        let shown = Escaped::path(&args.output);
        let dir = Directory::claim(&args.output);
        let mut dir =
            dir.with_context(|| format!("--output {shown}: cannot have the directory"))?;
        let is_empty = std::fs::read_dir(&args.output)?.next().is_none();
        if args.force && !is_empty {
            let (empty, aside) = dir.make_room()?;
            note!("moved the earlier one aside: {}", aside.display());
            dir = empty;
        }
        let file = args.output.join(STATE);
        let state = if file.exists() {
            let text = ossmark_files::read(&file)?;
            let state: Value = serde_json::from_slice(&text)
                .with_context(|| format!("{}: no state of a rehearsal", file.display()))?;
            let other = state["settings"].as_object().into_iter().flatten();
            let differing = other.filter(|(name, value)| settings[name.as_str()] != **value);
            let differing: Vec<&str> = differing.map(|(name, _)| name.as_str()).collect();
            if !differing.is_empty() || !state["points"].is_array() || !state["accuracy"].is_array()
            {
                bail!(
                    "--output {shown}: holds a rehearsal with other settings ({}); give another directory, or --force to move it aside",
                    Escaped(differing.join(", "))
                );
            }
            state
        } else if is_empty || args.force {
            json!({"rehearsal": STAMP, "settings": settings, "points": [], "accuracy": []})
        } else {
            bail!(
                "--output {shown}: is not empty and holds no rehearsal; give another directory, or --force to move it aside"
            );
        };
        let this = Self {
            dir,
            state,
            next_id: 0,
        };
        this.save()?;
        Ok(this)
    }

    fn save(&self) -> Result<()> {
        let file = self.dir.path().join(STATE);
        let text = serde_json::to_string_pretty(&self.state)?;
        write_whole(&file, text.as_bytes())
            .with_context(|| format!("cannot write {}", file.display()))
    }

    /// Measures a point unless it is there; whether no request failed.
    pub(super) fn measure(
        &mut self,
        point: &Point,
        prompts: &[Arc<[TokenId]>],
        load: &Load,
        tokens: &Counting,
    ) -> Result<bool> {
        let name = point.name();
        if let Some(done) = self.done("points", &name) {
            progress!("{name}: is there");
            return Ok(done["failed"] == 0);
        }
        let dir = self.dir.path().join(&name);
        let requests = usize::try_from(point.requests())?;
        let order = SampleOrder::new(point.dataloader_seed, point.rows).samples();
        let task = Task {
            name: &name,
            at_once: usize::try_from(point.concurrency.unwrap_or(point.requests()))?,
            rows: order.take(requests).collect(),
            prompts,
            max_new_tokens: point.max_new_tokens,
            has_warmup: true,
        };
        let measured = self.run(&dir, &task, load)?;
        let written = rehearsal::write(&dir, point, &measured.order, tokens);
        let (summary, steady_state) = written.with_context(|| format!("{}", dir.display()))?;
        print(&name, &summary, &steady_state, &measured);
        let failed = summary.failed();
        self.add(
            "points",
            json!({
                "name": name,
                "concurrency": point.concurrency,
                "requests": requests,
                "failed": failed,
                "system_tps": summary.tokens_per_second(),
                "tps_per_user": summary.tpot_p90_ns().map(|ns| 1e9 / ns),
                "ttft_p90_ms": summary.ttft_p90_ns().map(|ns| ns / 1e6),
                "mean_under_way_while_issuing": measured.mean_under_way,
                "steady_state": steady_state,
            }),
        )?;
        Ok(failed == 0)
    }

    /// The accuracy run of a point, right after it: every row once, in order, and graded; whether no request failed.
    pub(super) fn accuracy(
        &mut self,
        point: &Point,
        accuracy: &Accuracy,
        load: &Load,
        tokens: &Counting,
    ) -> Result<bool> {
        let name = point.name();
        if let Some(done) = self.done("accuracy", &name) {
            progress!("{name} accuracy: is there");
            return Ok(done["failed"] == 0);
        }
        let dir = self.dir.path().join(&name).join("accuracy");
        let rows = u32::try_from(accuracy.prompts.len())?;
        let task = Task {
            name: &format!("{name} accuracy"),
            at_once: usize::try_from(point.concurrency.unwrap_or(rows.into()))?,
            rows: (0..rows).collect(),
            prompts: &accuracy.prompts,
            max_new_tokens: accuracy.max_new_tokens,
            has_warmup: false,
        };
        let measured = self.run(&dir, &task, load)?;
        let scored = accuracy.score(&dir, &measured.order, tokens)?;
        say!("{name} accuracy: {}", scored.sentence);
        let failed = scored.failed;
        self.add(
            "accuracy",
            json!({"name": name, "failed": failed, "exact_match": scored.exact_match}),
        )?;
        Ok(failed == 0)
    }

    /// Makes the requests that are left of a run.
    fn run(&mut self, dir: &Path, task: &Task<'_>, load: &Load) -> Result<Measured> {
        let name = task.name;
        make_directories(dir)?;
        let opened = Journal::open(dir);
        let (log, resumed) =
            opened.with_context(|| format!("{}", dir.join("events.jsonl").display()))?;
        if resumed.has_ended {
            return Ok(Measured::resumed(&resumed, task));
        }
        if !resumed.is_new() {
            let (kept, dropped) = (resumed.kept.len(), resumed.dropped);
            progress!("{name}: going on after {kept} requests; {dropped} are made again");
        }
        let measured = load.measure(task, log, &resumed, &mut self.next_id)?;
        if let Some(message) = &measured.failure {
            let failed = measured.failed;
            note!(
                "ossmark: {name}: {failed} requests failed, the first: {}",
                Escaped(message)
            );
        }
        Ok(measured)
    }

    fn done(&self, list: &str, name: &str) -> Option<&Value> {
        let mut all = self.state[list].as_array().into_iter().flatten();
        all.find(|one| one["name"] == name)
    }

    fn add(&mut self, list: &str, result: Value) -> Result<()> {
        if let Some(all) = self.state[list].as_array_mut() {
            all.push(result);
        }
        self.save()
    }
}

fn print(name: &str, summary: &Summary, steady_state: &SteadyState, measured: &Measured) {
    let shown =
        |value: Option<f64>| value.map_or_else(|| "-".into(), |value| format!("{value:.1}"));
    say!(
        "{name}: {} requests, {} failed; {} tokens/s, {} tokens/s a user, TTFT p90 {} ms; {} under way while there was load; {} ({})",
        measured.order.len(),
        summary.failed(),
        shown(summary.tokens_per_second()),
        shown(summary.tpot_p90_ns().map(|ns| 1e9 / ns)),
        shown(summary.ttft_p90_ns().map(|ns| ns / 1e6)),
        shown(measured.mean_under_way),
        steady_state.verdict,
        steady_state.status,
    );
}
