//! The command line as typed: names, help texts, nothing validated. Validation makes a plan of it (`run::plan`).

mod audit;
mod auditor;
mod bench;
pub(crate) mod config_file;
mod dataset;
mod endpoints;
mod engine;
#[cfg(test)]
mod help;
mod http;
mod infer;
mod power;
mod report;
mod sampling;
mod score;
mod serve;
mod speculate;
mod submission;
mod synthetic;
#[cfg(test)]
mod tests;

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
pub(crate) use power::PowerArgs;
pub(crate) use report::{CompareArgs, ReportArgs, RunsArgs, SettingsArg, VerdictArg, WatchArgs};
pub(crate) use sampling::SamplingArgs;
pub(crate) use score::{ScoreArgs, TimeLimitArg};
pub(crate) use serve::ServeArgs;
pub(crate) use speculate::{FeaturesArg, SpeculateArgs};
pub(crate) use submission::{
    SubmissionBuildArgs, SubmissionCheckArgs, SubmissionCommand, SubmissionPackArgs,
    SubmissionTruncateArgs,
};
pub(crate) use synthetic::{ShapeArg, SyntheticArgs};

use clap::{Args, Parser, Subcommand};
use ossmark_rules::{Mode, Scenario};

/// MLPerf Inference harness for gpt-oss-120b: LoadGen, engine, logs and verdict in one binary.
///
/// Exit status: 0 done and good, 1 done and not good (invalid run, failed check), 2 could not run, 130 interrupted. Output
/// files named - or /dev/stdout are standard output.
#[derive(Parser, Debug)]
#[command(name = "ossmark", version, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// The main job on the embedded default: Offline, Server, Interactive and accuracy runs of the demo checkpoint on the CPU.
    ///
    /// Example: ossmark demo --output out/demo
    Demo(DemoArgs),
    /// One LoadGen test: logs, run plan and verdict.
    ///
    /// Example: ossmark run --scenario offline --mode performance --model DIR --dataset perf.parquet --output out/offline
    Run(Box<RunArgs>),
    /// Tokens for prompts without LoadGen, for debugging and golden comparison.
    ///
    /// Example: ossmark generate --model DIR --input prompts.jsonl --output tokens.jsonl --temperature 0
    Generate(GenerateArgs),
    /// Answers to all prompts of a data set, K times each, through any engine: a parquet file for `score --inferred`.
    ///
    /// Exits 1 when requests failed; run it again to try them again. It may be killed at any time.
    ///
    /// Example: ossmark infer --dataset acc.parquet --output inferred.parquet --pass-k 5 --engine http --endpoint
    /// http://host:30000 --tokenizer gpt-oss-120b/ --max-concurrency 4096
    Infer(Box<InferArgs>),
    /// The accuracy score of a log, as the reference gives it, or pass@k of a file of inferred outputs.
    ///
    /// Exits 0 whatever the score. LiveCodeBench's programs are run confined (see `ossmark doctor`).
    ///
    /// Example: ossmark score --log out/accuracy/mlperf_log_accuracy.json --reference acc_eval_ref.parquet --tokenizer
    /// gpt-oss-120b/ --lcb-problems test6.jsonl --details details.jsonl --accuracy-txt accuracy.txt
    Score(Box<ScoreArgs>),
    /// A page of one run or several side by side: why each passed or failed, how far each limit was, what happened when.
    ///
    /// Exits 1 when files of a run are not those that its verdict was given on, or cannot be read. See docs/report.md.
    ///
    /// Example: ossmark report out/server --output report.html
    Report(ReportArgs),
    /// What differs between runs: settings, and metrics with their ratio, its interval and whether it is more than noise.
    ///
    /// Example: ossmark compare out/before out/after --expect-within 2
    Compare(CompareArgs),
    /// The runs below a directory, a line each, the latest first.
    ///
    /// Example: ossmark runs out --scenario server --verdict valid
    Runs(RunsArgs),
    /// A run that goes on, or ended, live: progress, rates, limits with the samples that may still be over them, faults.
    ///
    /// Reads the run's record only: it may be started in another terminal, ended and started again at any time, and never
    /// delays the run. Where standard output is no terminal it prints one view and ends, as with --once. See docs/report.md.
    ///
    /// Example: ossmark watch out/server
    Watch(WatchArgs),
    /// The engine behind HTTP: SGLang's /generate, OpenAI's completions and chat, /health, /metrics.
    ///
    /// Prints its address, and ends at SIGTERM or Ctrl-C once open requests have ended. See docs/serve.md.
    ///
    /// Example: ossmark serve --model gpt-oss-120b/ --dp 8 --port 30000
    Serve(Box<ServeArgs>),
    /// Data sets: made from their publishers' files, or looked at.
    Dataset {
        #[command(subcommand)]
        command: DatasetCommand,
    },
    /// Compliance tests: the run, or the logs of one; the verdict; the directory that is submitted.
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// For auditors: oddities of a tree or a run, the machine against its description, a run made again, probes, the report.
    Auditor {
        #[command(subcommand)]
        command: AuditorCommand,
    },
    /// Submissions: build a tree from runs, truncate its logs, check it, pack it.
    Submission {
        #[command(subcommand)]
        command: SubmissionCommand,
    },
    /// MLPerf Endpoints: plan a curve, check a submission's tree.
    Endpoints {
        #[command(subcommand)]
        command: EndpointsCommand,
    },
    /// Measurements.
    Bench {
        #[command(subcommand)]
        command: BenchCommand,
    },
    /// What this machine has for the main job: driver, Python, sandbox features, LoadGen's version and hashes.
    ///
    /// Example: ossmark doctor --json doctor.json
    Doctor(DoctorArgs),
    /// Completions of commands and options for a shell, to be put where it looks for them.
    ///
    /// Example: ossmark completions bash > ~/.local/share/bash-completion/completions/ossmark
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
    #[arg(long, default_value = "out/demo")]
    pub(crate) output: PathBuf,
    /// Move an earlier demo's output aside instead of refusing.
    #[arg(long)]
    pub(crate) force: bool,
    /// Write the table as JSON.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

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

#[derive(Args, Debug)]
#[command(
    override_usage = "ossmark generate --input <FILE.jsonl> --output <FILE.jsonl> --model <DIR> [OPTIONS]
       ossmark generate --input <FILE.jsonl> --output <FILE.jsonl> --synthetic <SHAPE> [OPTIONS]"
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
