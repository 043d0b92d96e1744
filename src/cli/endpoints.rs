//! The command line of `ossmark endpoints`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::heading;
use super::{EchoArgs, EngineArgs, HttpArgs, SamplingArgs, SpeculateArgs};

#[derive(Subcommand, Debug)]
pub(crate) enum EndpointsCommand {
    /// Everything that MLCommons' own checker objects to in a submission of MLPerf Endpoints, and what it lets through.
    ///
    /// Where events.jsonl of a run is there, every figure of its summary is recomputed from it.
    #[command(after_help = r"Example:
  ossmark endpoints check submissions/org --tokenizer gpt-oss-120b/ \
      --json findings.json")]
    Check(EndpointsCheckArgs),
    /// The points of a curve: regions, requests, hours, seeds.
    #[command(after_help = r"Example:
  ossmark endpoints plan --c-max 512 --c-min 32 --seconds 32=4.5 \
      --seconds 512=21")]
    Plan(EndpointsPlanArgs),
    /// A rehearsal of a curve: each point with its requests under way, against servers or an engine in process, in files as
    /// MLCommons' client writes them. It may be killed at any time; the same command goes on.
    ///
    /// Exits 1 when requests failed. Nothing of it may be submitted: a curve is measured with MLCommons' own client.
    #[command(after_help = r"Example:
  ossmark endpoints run --points 1,8,32 --dataset perf.parquet --engine http \
      --endpoint http://127.0.0.1:30000 --tokenizer gpt-oss-120b/ \
      --output out/curve")]
    Run(Box<EndpointsRunArgs>),
    /// A submission's tree from run directories (of MLCommons' client, or rehearsals) and a description; then its check.
    ///
    /// What does not add up is refused, all of it at once. Exits 1 when the check of the finished tree finds errors.
    #[command(after_help = r"Example:
  ossmark endpoints build curve.toml --tokenizer gpt-oss-120b/ \
      --output submissions")]
    Build(EndpointsBuildArgs),
    /// A curve as one self-contained page: rates, each point's distributions, power.
    #[command(after_help = r"Example:
  ossmark endpoints report submissions/org --output curve.html")]
    Report(EndpointsReportArgs),
}

#[derive(Args, Debug)]
pub(crate) struct EndpointsReportArgs {
    /// A rehearsal's directory, a model's folder of a tree, or a tree with one.
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// The page.
    #[arg(long, value_name = "FILE.html")]
    pub(crate) output: PathBuf,
    /// Write the figures that it shows as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Move earlier files aside instead of refusing.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Args, Debug)]
pub(crate) struct EndpointsBuildArgs {
    /// Names, disclosures, the system, the runs (submission/endpoints.toml is one); paths in it are relative to it.
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) description: PathBuf,
    /// A new directory, which will hold the organisation's.
    #[arg(long, value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// tokenizer.json or its directory: counts the tokens of events.jsonl, without which there is no steady state.
    #[arg(long, value_name = "PATH")]
    pub(crate) tokenizer: Option<PathBuf>,
    /// Take rehearsals too; every file of theirs says that nobody may submit them.
    #[arg(long)]
    pub(crate) rehearsal: bool,
    /// Move an earlier tree aside instead of refusing.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Args, Debug)]
pub(crate) struct EndpointsRunArgs {
    /// Parquet file with the tokenised prompts of the performance set.
    #[arg(long, value_name = "FILE.parquet")]
    pub(crate) dataset: PathBuf,
    /// A directory for each point, r8 and so on; run the same command again to go on.
    #[arg(long, value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// Requests under way at each point; with --c-max, beside the plan's.
    #[arg(long, value_name = "C,C,...", value_delimiter = ',')]
    pub(crate) points: Vec<u64>,
    /// The points of `ossmark endpoints plan` for this maximum supported concurrency.
    #[arg(long, value_name = "N")]
    pub(crate) c_max: Option<u32>,
    /// The lowest concurrency of that plan.
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub(crate) c_min: u32,
    /// An Offline run beside them: all requests at once.
    #[arg(long)]
    pub(crate) dedicated_offline: bool,
    /// Over the data set, at each point; at least 5 are needed for a steady-state window.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(crate) passes: u64,
    /// With --api chat: the column, of every data set, with what the user says; servers render conversations themselves.
    #[arg(help_heading = heading::HTTP, long, value_name = "NAME")]
    pub(crate) message_column: Option<String>,
    /// Only the first rows of the data set: a shortened rehearsal.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rows: Option<u32>,
    /// Requests before each point that do not count.
    #[arg(help_heading = heading::WARM_UP, long, value_name = "N")]
    pub(crate) warmup_requests: Option<u64>,
    /// Their prompts, none of the performance set [default number of requests: its rows].
    #[arg(help_heading = heading::WARM_UP, long, value_name = "FILE.parquet")]
    pub(crate) warmup_dataset: Option<PathBuf>,
    /// Accuracy runs over these prompts, right after the points that need one (one of each region, and the Offline result).
    #[arg(help_heading = heading::ACCURACY, long, value_name = "FILE.parquet")]
    pub(crate) accuracy_dataset: Option<PathBuf>,
    /// Most tokens generated for an answer of an accuracy run.
    #[arg(help_heading = heading::ACCURACY, long, value_name = "N", default_value_t = 32_768, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) accuracy_max_new_tokens: u32,
    /// LiveCodeBench's problems, for the accuracy data set's programs, which run in `score`'s sandbox.
    #[arg(help_heading = heading::ACCURACY, long, value_name = "PATH", num_args = 1..)]
    pub(crate) lcb_problems: Vec<PathBuf>,
    /// The published seeds that give the order of the samples.
    #[arg(long, value_name = "NAME", default_value = "A")]
    pub(crate) seed_set: String,
    /// tokenizer.json or its directory, which counts the tokens of answers [default: that of --model].
    #[arg(long, value_name = "PATH")]
    pub(crate) tokenizer: Option<PathBuf>,
    /// Most tokens generated for an answer.
    #[arg(help_heading = heading::SAMPLING, long, value_name = "N", default_value_t = 10_240, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_new_tokens: u32,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    #[command(flatten)]
    pub(crate) speculate: SpeculateArgs,
    #[command(flatten)]
    pub(crate) http: HttpArgs,
    #[command(flatten)]
    pub(crate) echo: EchoArgs,
    /// Begin anew: move an earlier rehearsal aside.
    #[arg(long)]
    pub(crate) force: bool,
    /// Write the figures of all points as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct EndpointsPlanArgs {
    /// The maximum supported concurrency, more than 32.
    #[arg(long, value_name = "N")]
    pub(crate) c_max: u32,
    /// The lowest concurrency, 1 to 32; lower ones take longer.
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub(crate) c_min: u32,
    /// Seconds of an answer at a concurrency, measured or guessed; several times, and what lies between is interpolated.
    #[arg(long, value_name = "C=SECONDS", value_parser = service_time)]
    pub(crate) seconds: Vec<(i128, f64)>,
    /// An Offline run of its own, instead of electing the point at C_max.
    #[arg(long)]
    pub(crate) dedicated_offline: bool,
    /// C_min is declared in every system_desc.json (c_min_override).
    #[arg(long)]
    pub(crate) c_min_override: bool,
    /// Write the plan as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Move an earlier --json file aside instead of refusing.
    #[arg(long)]
    pub(crate) force: bool,
}

fn service_time(text: &str) -> Result<(i128, f64), String> {
    let expected = "expected a concurrency of at least 1 and seconds above 0, as 32=4.5";
    let (at, seconds) = text.split_once('=').ok_or(expected)?;
    let at: u32 = at.parse().map_err(|_| expected)?;
    let seconds: f64 = seconds.parse().map_err(|_| expected)?;
    if at == 0 || !seconds.is_finite() || seconds <= 0.0 {
        return Err(expected.into());
    }
    Ok((at.into(), seconds))
}

#[derive(Args, Debug)]
pub(crate) struct EndpointsCheckArgs {
    /// The organisation's directory, or the submission's below it that holds results/, docs/ and src/; or what a client left
    /// of one run, with its events.jsonl.
    #[arg(value_name = "TREE")]
    pub(crate) tree: PathBuf,
    /// Count the tokens of events.jsonl with this tokenizer.json (or the one in a model's directory); without it figures of
    /// tokens are not recomputed.
    #[arg(long, value_name = "PATH")]
    pub(crate) tokenizer: Option<PathBuf>,
    /// The verdict of MLCommons' own checker: its rules and severities, nothing else.
    #[arg(long)]
    pub(crate) official_only: bool,
    /// Warnings count as errors do.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Write verdict and findings as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Move an earlier --json file aside instead of refusing.
    #[arg(long)]
    pub(crate) force: bool,
}
