//! The command line as typed: names, help texts, nothing validated. Validation makes a plan of it (`run::plan`).

mod audit;
mod auditor;
mod bench;
pub(crate) mod config_file;
mod dataset;
mod earlier;
mod endpoints;
mod engine;
pub(crate) mod everywhere;
mod heading;
#[cfg(test)]
mod help;
mod http;
mod infer;
pub(crate) mod missing;
mod peak;
mod power;
mod preflight;
mod report;
mod run;
mod run_options;
mod sampling;
mod score;
mod serve;
mod speculate;
mod submission;
mod synthetic;
#[cfg(test)]
pub(crate) mod tests;

use std::path::PathBuf;

pub(crate) use audit::{AuditArgs, AuditCommand, AuditTest07Args, AuditTest09Args};
pub(crate) use auditor::{
    AuditorAnomaliesArgs, AuditorCommand, AuditorFingerprintArgs, AuditorPerturbArgs,
    AuditorReportArgs, AuditorReproduceArgs,
};
pub(crate) use bench::{
    BenchChildArgs, BenchCommand, BenchEngineArg, BenchEngineArgs, BenchKernelsArgs,
    BenchLoadgenArgs, BenchTuneArgs, WithoutArg,
};
pub(crate) use dataset::{DatasetCommand, DatasetInspectArgs, DatasetPrepareArgs};
pub(crate) use endpoints::{
    EndpointsBuildArgs, EndpointsCheckArgs, EndpointsCommand, EndpointsPlanArgs,
    EndpointsReportArgs, EndpointsRunArgs,
};
pub(crate) use engine::{
    CpuRepackArg, CudaArgs, DtypeArg, EchoArgs, EngineArg, EngineArgs, KvDtypeArg,
};
pub(crate) use http::{ApiArg, HttpArgs, StreamArg};
pub(crate) use infer::InferArgs;
pub(crate) use peak::PeakArgs;
pub(crate) use power::PowerArgs;
pub(crate) use preflight::PreflightArgs;
pub(crate) use report::{CompareArgs, ReportArgs, RunsArgs, SettingsArg, VerdictArg, WatchArgs};
pub(crate) use run::RunArgs;
pub(crate) use sampling::SamplingArgs;
pub(crate) use score::{ScoreArgs, TimeLimitArg};
pub(crate) use serve::ServeArgs;
pub(crate) use speculate::{FeaturesArg, SpeculateArgs};
pub(crate) use submission::{
    SubmissionBuildArgs, SubmissionCheckArgs, SubmissionCommand, SubmissionPackArgs,
    SubmissionRehearseArgs, SubmissionTruncateArgs,
};
pub(crate) use synthetic::{ShapeArg, SyntheticArgs};

use clap::{Args, Parser, Subcommand};

/// An MLPerf Inference harness for gpt-oss-120b.
///
/// LoadGen, engine, logs and verdict in one binary. Exit status: 0 done and good, 1 done and not good (invalid run, failed
/// check), 2 could not run, 130 interrupted. Output files named - or /dev/stdout are standard output.
#[derive(Parser, Debug)]
#[command(name = "ossmark", version, max_term_width = 110)]
#[command(after_help = r"To begin with:
  ossmark doctor    what this machine has
  ossmark demo      the main job in minutes, without any file")]
pub(crate) struct Cli {
    /// Say results, warnings and errors only: no progress.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// The main job on an embedded checkpoint: four runs, their score.
    ///
    /// Offline, Server, Interactive and accuracy through LoadGen on the CPU, with test settings. Minutes on 2 cores.
    #[command(after_help = r"Example:
  ossmark demo --output out/demo")]
    Demo(DemoArgs),
    /// One LoadGen test: logs, run plan and verdict.
    ///
    /// The first line says what the run will be and how it deviates from the round's rules; --dry-run says the same and starts
    /// nothing. Exits 1 when the run is invalid.
    #[command(after_help = r"Example:
  ossmark run --scenario offline --mode performance --model DIR \
      --dataset perf.parquet --output out/offline")]
    Run(Box<RunArgs>),
    /// The highest load that passes, in a few runs.
    ///
    /// Short probes correct a model, then come runs of official length. Options of `run` go to every run. Each is a directory
    /// below the output; killed, the same command goes on. Of Offline, which has no load, the rate. Exits 1 when nothing
    /// passed, or not as often as was asked for. See docs/peak.md.
    #[command(after_help = r"Example:
  ossmark peak --scenario server --model DIR --dataset perf.parquet \
      --user-conf user.conf --output out/peak")]
    Peak(Box<PeakArgs>),
    /// What can be known before hours of GPU time.
    ///
    /// Settings, files, machine, and of every run its queries, its time, whether it can pass. Without --mode: performance,
    /// accuracy, TEST07 and TEST09 of the scenario, or of all three. Exits 1 when a run cannot pass, or would be no official
    /// one. Nothing is started but connections to servers. See docs/peak.md.
    #[command(after_help = r"Example:
  ossmark preflight --scenario server --model DIR --dataset perf.parquet \
      --user-conf user.conf --from out/server")]
    Preflight(Box<PreflightArgs>),
    /// Tokens for prompts without LoadGen, for debugging.
    #[command(after_help = r"Example:
  ossmark generate --model DIR --input prompts.jsonl --output tokens.jsonl \
      --temperature 0")]
    Generate(GenerateArgs),
    /// Answers to all prompts of a data set, K times each.
    ///
    /// Through any engine, to a parquet file for `score --inferred`. Exits 1 when requests failed; run it again to try them
    /// again. It may be killed at any time.
    #[command(after_help = r"Example:
  ossmark infer --dataset acc.parquet --output inferred.parquet --pass-k 5 \
      --engine http --endpoint http://host:30000 --tokenizer gpt-oss-120b/ \
      --max-concurrency 4096")]
    Infer(Box<InferArgs>),
    /// The accuracy score of a log, or pass@k of inferred outputs.
    ///
    /// As the reference gives it. Exits 0 whatever the score. LiveCodeBench's programs are run confined (see `ossmark doctor`).
    #[command(after_help = r"Example:
  ossmark score out/accuracy \
      --dataset acc_eval_ref.parquet --tokenizer gpt-oss-120b/ \
      --lcb-problems test6.jsonl --details details.jsonl \
      --accuracy-txt accuracy.txt")]
    Score(Box<ScoreArgs>),
    /// A page of one run or several: why each passed or failed.
    ///
    /// Also how far each limit was, and what happened when. Exits 1 when files of a run are not those that its verdict was
    /// given on, or cannot be read. See docs/report.md.
    #[command(after_help = r"Example:
  ossmark report out/server --output report.html")]
    Report(ReportArgs),
    /// What differs between runs, and whether it is noise.
    ///
    /// Settings, and metrics with their ratio, its interval and whether it is more than noise.
    #[command(after_help = r"Example:
  ossmark compare out/before out/after --expect-within 2")]
    Compare(CompareArgs),
    /// The runs below a directory, a line each, the latest first.
    #[command(after_help = r"Example:
  ossmark runs out --scenario server --verdict valid")]
    Runs(RunsArgs),
    /// A run that goes on, live, from another terminal.
    ///
    /// Progress, rates, limits with the samples that may still be over them, faults. Reads the run's record only: it may be
    /// started in another terminal, ended and started again at any time, and never delays the run. Where standard output is no
    /// terminal it prints one view and ends, as with --once. See docs/report.md.
    #[command(after_help = r"Example:
  ossmark watch out/server")]
    Watch(WatchArgs),
    /// The engine behind HTTP: SGLang's and OpenAI's interfaces.
    ///
    /// /generate, /v1/completions, /v1/chat/completions, /v1/models, /health, /metrics. Prints its address, and ends at SIGTERM
    /// or Ctrl-C once open requests have ended. See docs/serve.md.
    #[command(after_help = r"Example:
  ossmark serve --model gpt-oss-120b/ --dp 8 --port 30000")]
    Serve(Box<ServeArgs>),
    /// Data sets: made from their publishers' files, or looked at.
    Dataset {
        #[command(subcommand)]
        command: DatasetCommand,
    },
    /// Compliance tests: the run or its logs, the verdict.
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// For auditors: oddities, the machine, a run made again, probes.
    Auditor {
        #[command(subcommand)]
        command: AuditorCommand,
    },
    /// Submissions: build a tree, truncate, check, pack; rehearse it.
    Submission {
        #[command(subcommand)]
        command: SubmissionCommand,
    },
    /// MLPerf Endpoints: plan, rehearse, build, check, report.
    Endpoints {
        #[command(subcommand)]
        command: EndpointsCommand,
    },
    /// Measurements of the harness, the engine, the kernels.
    Bench {
        #[command(subcommand)]
        command: BenchCommand,
    },
    /// What this machine has for the main job, and what it lacks.
    ///
    /// Driver, Python, sandbox features, LoadGen's version and hashes.
    #[command(after_help = r"Example:
  ossmark doctor --json doctor.json")]
    Doctor(DoctorArgs),
    /// Completions of commands and options for a shell.
    #[command(after_help = r"Example:
  ossmark completions bash > ~/.local/share/bash-completion/completions/ossmark")]
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// A page of the manual, as `man` wants it; `.ci/dist` packs them all.
    #[command(hide = true)]
    Man {
        /// Its name: ossmark-run for the page of `ossmark run`.
        #[arg(default_value = "ossmark")]
        page: String,
    },
    /// One LoadGen test of `bench loadgen`, in a process of its own.
    #[command(name = "bench-loadgen-child", hide = true)]
    BenchLoadgenChild(BenchChildArgs),
    /// Locks itself into the sandbox and becomes the interpreter of LiveCodeBench candidates.
    #[command(hide = true)]
    Confine {
        /// What the scorer asks for, as JSON.
        spec: String,
    },
}

#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    /// Write the result as JSON.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Move an earlier --json file aside instead of refusing.
    #[arg(long)]
    pub(crate) force: bool,
    /// The Python interpreter to look at.
    #[arg(long, default_value = "python3")]
    pub(crate) python: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// Where the runs go; a subdirectory each.
    #[arg(long, value_name = "DIR", default_value = "out/demo")]
    pub(crate) output: PathBuf,
    /// Move an earlier demo's output aside instead of refusing.
    #[arg(long)]
    pub(crate) force: bool,
    /// Write the table as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[command(
    override_usage = "ossmark generate --input <FILE.jsonl> --output <FILE.jsonl>
                        --model <DIR> [OPTIONS]
       ossmark generate --input <FILE.jsonl> --output <FILE.jsonl>
                        --synthetic <SHAPE> [OPTIONS]"
)]
pub(crate) struct GenerateArgs {
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    /// One {"id":…, "input_tokens":[…]} or {"id":…, "prompt":"…"} a line.
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) input: PathBuf,
    /// One {"id","output_tokens","finish_reason"} a line, in input order.
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) output: PathBuf,
    /// Replace existing output files by moving them aside.
    #[arg(long)]
    pub(crate) force: bool,
    /// Most tokens generated for a prompt.
    #[arg(long, default_value_t = 128)]
    pub(crate) max_new_tokens: u32,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
    #[command(flatten)]
    pub(crate) speculate: SpeculateArgs,
    /// Also write tensor `logits.<id>` = f32 [prompt tokens + generated tokens - 1, vocabulary].
    #[arg(long, value_name = "FILE.safetensors")]
    pub(crate) logits: Option<PathBuf>,
    /// With --speculate: one {"id","position","drafted","accepted"} for each round of a prompt, where `position` is that of the
    /// first drafted token in prompt and generated tokens.
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) drafts: Option<PathBuf>,
}
