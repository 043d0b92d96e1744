//! The options of `ossmark run`.

use std::path::PathBuf;

use clap::Args;
use ossmark_rules::{Mode, Scenario};

use super::engine::{EchoArgs, EngineArgs};
use super::heading;
use super::http::HttpArgs;
use super::power::PowerArgs;
use super::sampling;
use super::speculate::SpeculateArgs;

/// Every option may also stand in the `--config` file; the command line wins.
#[derive(Args, Debug)]
#[command(next_help_heading = heading::RUN)]
#[command(
    override_usage = "ossmark run --scenario <SCENARIO> --mode <MODE> --output <DIR>
                   --model <DIR> --dataset <FILE> [OPTIONS]
       ossmark run --scenario <SCENARIO> --mode <MODE> --output <DIR>
                   --engine http --endpoint <URL> --dataset <FILE> [OPTIONS]
       ossmark run --scenario <SCENARIO> --mode <MODE> --output <DIR>
                   --engine echo [OPTIONS]
       ossmark run --config <FILE.toml> [OPTIONS]"
)]
pub(crate) struct RunArgs {
    /// Options from a file; the command line wins.
    ///
    /// TOML with the options of this command under the same names, those of the echo engine in a table `echo` without the
    /// prefix, those of --engine http in a table `http`, what a GPU does without in a table `cuda`; paths in it are relative to
    /// it. mlperf_conf/run.toml is one to begin with.
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) config: Option<PathBuf>,
    /// What LoadGen sends: all at once, or each at its own time.
    #[arg(long, value_enum)]
    pub(crate) scenario: Option<Scenario>,
    /// What the run is for.
    ///
    /// A measurement, the log of all answers, or the highest rate that keeps the limits (Server).
    #[arg(long, value_enum)]
    pub(crate) mode: Option<Mode>,
    /// Parquet file with the tokenised prompts.
    ///
    /// Or a folder of them, or a pattern in quotes.
    #[arg(long, value_name = "FILE")]
    pub(crate) dataset: Option<PathBuf>,
    /// Where logs, run_plan.json and verdict.json go.
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Move an earlier run in --output aside.
    #[arg(long)]
    pub(crate) force: bool,
    /// LoadGen's user.conf; checked before LoadGen sees it.
    #[arg(long, value_name = "FILE")]
    pub(crate) user_conf: Option<PathBuf>,
    /// Overrides user.conf's target_qps.
    #[arg(long, value_name = "X")]
    pub(crate) target_qps: Option<f64>,
    /// A compliance test's audit.config.
    ///
    /// Never picked up from the working directory.
    #[arg(long, value_name = "FILE")]
    pub(crate) audit_config: Option<PathBuf>,
    /// Only tell what the run would be; start nothing.
    ///
    /// What it would issue, when it would end, how it deviates from the round's rules. Nothing but --json is written.
    #[arg(long, visible_alias = "plan")]
    pub(crate) dry_run: bool,
    /// Refuse, with exit status 2, what deviates from the rules.
    ///
    /// Before the engine is loaded, so that hours of a run that could not be submitted are not spent.
    #[arg(long)]
    pub(crate) require_official: bool,
    /// End a run that cannot become VALID any more.
    ///
    /// A performance run of Server or Interactive, as invalid, as soon as more samples are over a limit than early stopping
    /// allows at the most samples that the run may have.
    #[arg(long)]
    pub(crate) stop_hopeless: bool,
    /// Run also when --dataset is the benchmark's file for another kind of run.
    #[arg(long, hide_short_help = true)]
    pub(crate) any_dataset: bool,
    /// MLPerf round whose rules the run is held against [default: v6.1].
    #[arg(long, value_name = "ROUND", hide_short_help = true)]
    pub(crate) round: Option<String>,
    /// The run is ended as invalid when nothing has moved for this long [default: 300].
    #[arg(long, value_name = "SECONDS", hide_short_help = true)]
    pub(crate) watchdog: Option<f64>,
    /// Break something on purpose (a drill for the fault handling; the run will be invalid).
    #[arg(long, value_name = "KIND[@N]", hide = true)]
    pub(crate) drill: Option<String>,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    #[command(flatten)]
    pub(crate) speculate: SpeculateArgs,
    /// Which release of which head --speculate names, as the submitter states it.
    ///
    /// Nobody can check it yet, and the verdict says so.
    #[arg(long, value_name = "TEXT", help_heading = heading::SPECULATION)]
    pub(crate) speculate_revision: Option<String>,
    #[command(flatten)]
    pub(crate) http: HttpArgs,
    #[command(flatten)]
    pub(crate) echo: EchoArgs,
    /// Most tokens generated for a sample [default: the round's value for the mode].
    #[arg(long, value_name = "N", help_heading = heading::SAMPLING)]
    pub(crate) max_new_tokens: Option<u32>,
    /// Seed of token sampling [default: the round's qsl_rng_seed].
    #[arg(long, value_name = "N", value_parser = sampling::seed_range(), help_heading = heading::SAMPLING)]
    pub(crate) seed: Option<u64>,
    /// What the logits are divided by before the next token is drawn; 0 takes the likeliest, always [default: the rules' 1].
    #[arg(long, value_name = "X", help_heading = heading::SAMPLING)]
    pub(crate) temperature: Option<f32>,
    /// Draw from the likeliest tokens only that together have this probability; 1 keeps all [default: the rules' 1].
    #[arg(long, value_name = "X", help_heading = heading::SAMPLING)]
    pub(crate) top_p: Option<f32>,
    /// Draw from this many of the likeliest tokens only; 0 keeps all [default: the rules' 0].
    #[arg(long, value_name = "N", help_heading = heading::SAMPLING)]
    pub(crate) top_k: Option<u32>,
    #[command(flatten)]
    pub(crate) power: PowerArgs,
    /// Write the verdict also here; with --dry-run, what is known before.
    #[arg(long, value_name = "FILE", help_heading = heading::OUTPUT)]
    pub(crate) json: Option<PathBuf>,
    /// Leave no record of the samples (samples.parquet, timeline.jsonl), which `report`, `compare` and `runs` read.
    #[arg(long, help_heading = heading::OUTPUT)]
    pub(crate) no_record: bool,
    /// Write what happened when (the engine's steps, each sample from its issue to its end) for Chrome's tracing or Perfetto:
    /// 2,000,000 events at most.
    #[arg(long, value_name = "FILE.json", help_heading = heading::OUTPUT)]
    pub(crate) trace: Option<PathBuf>,
}
