//! The command line of `ossmark score`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};

use super::heading::PROGRAMS;

#[derive(Args, Debug)]
#[command(group(ArgGroup::new("input").required(true).args(["log", "inferred"])))]
#[command(
    override_usage = "ossmark score <RUN_DIR> --dataset <FILE> --tokenizer <PATH>
                     [--lcb-problems <PATH>...] [OPTIONS]
       ossmark score --inferred <FILE> [--lcb-problems <PATH>...]
                     [OPTIONS]"
)]
pub(crate) struct ScoreArgs {
    /// An accuracy run's directory, or its mlperf_log_accuracy.json
    #[arg(long, value_name = "RUN_DIR")]
    pub(crate) log: Option<PathBuf>,
    /// pass@k of a parquet file instead.
    ///
    /// With model_output_0 and on, tok_model_output_len_0 and on, dataset, ground_truth, as `infer` writes it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["reference", "tokenizer", "log_hash"])]
    pub(crate) inferred: Option<PathBuf>,
    /// The run's data set.
    ///
    /// Parquet with the columns dataset and ground_truth.
    #[arg(long, value_name = "FILE", required_unless_present = "inferred")]
    pub(crate) reference: Option<PathBuf>,
    /// The model's directory, or its tokenizer.json.
    #[arg(long, value_name = "PATH", required_unless_present = "inferred")]
    pub(crate) tokenizer: Option<PathBuf>,
    /// LiveCodeBench's problems.
    ///
    /// The directory that holds test.jsonl, test2.jsonl ... test6.jsonl (release_v6 is all six), or files, or a pattern in
    /// quotes. Forms: docs/datasets.md.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(crate) lcb_problems: Vec<PathBuf>,
    /// Seconds a program may take for one test.
    #[arg(help_heading = PROGRAMS, long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) lcb_timeout: u64,
    /// What the time limit counts.
    ///
    /// wall is the reference's, and depends on what else the machine does.
    #[arg(help_heading = PROGRAMS, long, value_enum, default_value = "wall")]
    pub(crate) time_limit: TimeLimitArg,
    /// The programs' interpreter; the official has numpy.
    #[arg(help_heading = PROGRAMS, long, value_name = "PATH", default_value = "python3")]
    pub(crate) python: PathBuf,
    /// Programs run at once [default: the machine's cores].
    #[arg(help_heading = PROGRAMS, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub(crate) workers: Option<u64>,
    /// MiB of memory a program may use.
    #[arg(help_heading = PROGRAMS, long, value_name = "MIB", default_value_t = 4096, value_parser = clap::value_parser!(u64).range(64..=1 << 20))]
    pub(crate) lcb_memory_mib: u64,
    /// Run programs even where nothing confines them.
    ///
    /// See `ossmark doctor`. They may do whatever you may.
    #[arg(help_heading = PROGRAMS, long)]
    pub(crate) allow_unconfined: bool,
    /// What came of each answer, a line each.
    ///
    /// An object of seq_id, qsl_idx, dataset, extracted, correct, reason and token_count, in the log's order. While programs
    /// are run, their verdicts are kept in FILE.jsonl.partial; run the same command again to resume.
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) details: Option<PathBuf>,
    /// The printed result as a submission's accuracy.txt.
    #[arg(long, value_name = "FILE")]
    pub(crate) accuracy_txt: Option<PathBuf>,
    /// Add the log's hash to accuracy.txt.
    ///
    /// As hash=SHA256, which a submission with truncated logs needs.
    #[arg(long)]
    pub(crate) log_hash: bool,
    /// Write the result as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Score a log that seems to be another run's too.
    ///
    /// Where what the run left beside it (run_plan.json, LoadGen's detail log) says that it was made from another data set, in
    /// another mode or with another tokenizer.
    #[arg(long, conflicts_with = "inferred")]
    pub(crate) anyway: bool,
    /// Move earlier output files aside.
    #[arg(long)]
    pub(crate) force: bool,
    /// Read --dataset or --inferred from a pandas pickle too.
    ///
    /// It is read as data; nothing in it is run.
    #[arg(long)]
    pub(crate) allow_pickle: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TimeLimitArg {
    Wall,
    Cpu,
}
