//! The options of `ossmark run`.

use std::path::PathBuf;

use clap::Args;
use ossmark_rules::{Mode, Scenario};

use super::engine::{EchoArgs, EngineArgs};
use super::http::HttpArgs;
use super::power::PowerArgs;
use super::sampling;
use super::speculate::SpeculateArgs;

/// Every option may also stand in the `--config` file; the command line wins.
#[derive(Args, Debug)]
#[command(
    override_usage = "ossmark run --scenario <SCENARIO> --mode <MODE> --output <DIR> --model <DIR> --dataset <FILE> [OPTIONS]
       ossmark run --scenario <SCENARIO> --mode <MODE> --output <DIR> --engine http --endpoint <URL> --dataset <FILE> [OPTIONS]
       ossmark run --scenario <SCENARIO> --mode <MODE> --output <DIR> --engine echo [OPTIONS]
       ossmark run --config <FILE.toml> [OPTIONS]"
)]
pub(crate) struct RunArgs {
    /// A TOML file with the options of this command under the same names, those of the echo engine in a table `echo`
    /// without the prefix, those of --engine http in a table `http`, what a GPU does without in a table `cuda`; paths in it are
    /// relative to it.
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) config: Option<PathBuf>,
    /// What LoadGen sends: all samples at once, or each at its own time.
    #[arg(long, value_enum)]
    pub(crate) scenario: Option<Scenario>,
    /// What it is for: a measurement, the log of all answers, or the highest rate that keeps the limits (Server).
    #[arg(long, value_enum)]
    pub(crate) mode: Option<Mode>,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    #[command(flatten)]
    pub(crate) speculate: SpeculateArgs,
    /// With --speculate: which release of which head it is, as the submitter states it. Nobody can check it yet, and the
    /// verdict says so.
    #[arg(long, value_name = "TEXT")]
    pub(crate) speculate_revision: Option<String>,
    /// Parquet file with the tokenised prompts, a folder of them, or a pattern in quotes.
    #[arg(long, value_name = "FILE")]
    pub(crate) dataset: Option<PathBuf>,
    /// Run also when --dataset is the benchmark's file for another kind of run.
    #[arg(long)]
    pub(crate) any_dataset: bool,
    /// Where logs, run_plan.json and verdict.json go.
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Move an earlier run in the output directory aside instead of refusing.
    #[arg(long)]
    pub(crate) force: bool,
    /// LoadGen's user.conf; checked before LoadGen sees it.
    #[arg(long, value_name = "FILE")]
    pub(crate) user_conf: Option<PathBuf>,
    /// A compliance test's audit.config. Never picked up from the working directory.
    #[arg(long, value_name = "FILE")]
    pub(crate) audit_config: Option<PathBuf>,
    /// Most tokens generated for a sample [default: the round's value for the mode].
    #[arg(long, value_name = "N")]
    pub(crate) max_new_tokens: Option<u32>,
    /// Seed of token sampling [default: the round's qsl_rng_seed].
    #[arg(long, value_name = "N", value_parser = sampling::seed_range())]
    pub(crate) seed: Option<u64>,
    /// Overrides user.conf's target_qps.
    #[arg(long, value_name = "X")]
    pub(crate) target_qps: Option<f64>,
    /// MLPerf round whose rules the run is held against [default: v6.1].
    #[arg(long, value_name = "ROUND")]
    pub(crate) round: Option<String>,
    /// What the logits are divided by before the next token is drawn; 0 takes the likeliest, always [default: the rules' 1].
    #[arg(long, value_name = "X")]
    pub(crate) temperature: Option<f32>,
    /// Draw from the likeliest tokens only that together have this probability; 1 keeps all [default: the rules' 1].
    #[arg(long, value_name = "X")]
    pub(crate) top_p: Option<f32>,
    /// Draw from this many of the likeliest tokens only; 0 keeps all [default: the rules' 0].
    #[arg(long, value_name = "N")]
    pub(crate) top_k: Option<u32>,
    /// The run is ended as invalid when nothing has moved for this long [default: 300].
    #[arg(long, value_name = "SECONDS")]
    pub(crate) watchdog: Option<f64>,
    /// End a performance run of Server or Interactive as invalid as soon as it cannot become VALID any more: more samples are
    /// over a limit than early stopping allows at the most samples that the run may have.
    #[arg(long)]
    pub(crate) stop_hopeless: bool,
    /// Only tell what the run would issue, and when it would end: nothing is started, nothing but --json is written.
    #[arg(long)]
    pub(crate) plan: bool,
    /// Write what happened when (the engine's steps, each sample from its issue to its end) for Chrome's tracing or Perfetto:
    /// 2,000,000 events at most.
    #[arg(long, value_name = "FILE.json")]
    pub(crate) trace: Option<PathBuf>,
    /// Leave no record of the samples (samples.parquet, timeline.jsonl), which `report`, `compare` and `runs` read.
    #[arg(long)]
    pub(crate) no_record: bool,
    #[command(flatten)]
    pub(crate) power: PowerArgs,
    #[command(flatten)]
    pub(crate) http: HttpArgs,
    #[command(flatten)]
    pub(crate) echo: EchoArgs,
    /// Write the verdict also here.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Break something on purpose (a drill for the fault handling; the run will be invalid).
    #[arg(long, value_name = "KIND[@N]", hide = true)]
    pub(crate) drill: Option<String>,
}
