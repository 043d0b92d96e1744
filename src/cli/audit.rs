//! The command line of `ossmark audit`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Subcommand, Debug)]
pub(crate) enum AuditCommand {
    /// TEST07: is the score of a performance run's answers high enough, over each of the 990 samples once?
    #[command(after_help = r"Example:
  ossmark audit test07 --logs out/test07 --dataset gpqa.parquet \
      --tokenizer MODEL --output out/Offline")]
    Test07(AuditTest07Args),
    /// TEST09: is the mean length of a performance run's answers within bounds, over each of the 6396 samples once?
    #[command(after_help = r"Example:
  ossmark audit test09 --output out/Offline -- --scenario offline --model DIR \
      --dataset perf.parquet")]
    Test09(AuditTest09Args),
}

#[derive(Args, Debug)]
pub(crate) struct AuditArgs {
    /// The directory of the run that is verified, made with the test's audit.config [default: make the run now].
    #[arg(long, value_name = "DIR")]
    pub(crate) logs: Option<PathBuf>,
    /// Gets TEST07/ or TEST09/ as it is submitted, and the ledger of all attempts.
    #[arg(long, value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// Read the bounds from this file [default: the round's].
    #[arg(long, value_name = "FILE")]
    pub(crate) audit_config: Option<PathBuf>,
    /// Options of `ossmark run` for the run that is made when there are no --logs; mode, output and audit.config are set.
    #[arg(last = true, value_name = "RUN OPTIONS", conflicts_with = "logs")]
    pub(crate) run: Vec<OsString>,
    /// Verdict and text of MLCommons' own script, which does not count samples; no ledger.
    #[arg(long)]
    pub(crate) official_only: bool,
    /// Write the result as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Move an earlier result aside instead of refusing.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Args, Debug)]
#[command(override_usage = "ossmark audit test07 --output <DIR> --logs <DIR>
                            --dataset <FILE> --tokenizer <PATH> [OPTIONS]
       ossmark audit test07 --output <DIR> --logs <DIR>
                            --accuracy-output <FILE> [OPTIONS]
       ossmark audit test07 --output <DIR> --dataset <FILE> --tokenizer <PATH>
                            [OPTIONS] -- <RUN OPTIONS>...")]
pub(crate) struct AuditTest07Args {
    #[command(flatten)]
    pub(crate) common: AuditArgs,
    /// The compliance data set, to score the log: columns dataset and ground_truth.
    #[arg(
        long,
        value_name = "FILE",
        requires = "tokenizer",
        required_unless_present = "accuracy_output"
    )]
    pub(crate) reference: Option<PathBuf>,
    /// The model's directory or its tokenizer.json, to score the log.
    #[arg(
        long,
        value_name = "PATH",
        requires = "reference",
        required_unless_present = "accuracy_output"
    )]
    pub(crate) tokenizer: Option<PathBuf>,
    /// What a scorer printed about the log, instead of scoring it; its first 'exact_match': counts.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["reference", "tokenizer"])]
    pub(crate) accuracy_output: Option<PathBuf>,
    /// Lowest score in percent [default: the audit.config's, else the round's].
    #[arg(long, value_name = "X")]
    pub(crate) accuracy_threshold: Option<f64>,
}

#[derive(Args, Debug)]
#[command(
    override_usage = "ossmark audit test09 --output <DIR> --logs <DIR> [OPTIONS]
       ossmark audit test09 --output <DIR> [OPTIONS] -- <RUN OPTIONS>..."
)]
pub(crate) struct AuditTest09Args {
    #[command(flatten)]
    pub(crate) common: AuditArgs,
    /// Lowest mean of output tokens [default: the audit.config's, else the round's].
    #[arg(long, value_name = "X")]
    pub(crate) min_output_tokens: Option<f64>,
    /// Highest mean of output tokens [default: the audit.config's, else the round's].
    #[arg(long, value_name = "X")]
    pub(crate) max_output_tokens: Option<f64>,
}
