//! The command line of `ossmark dataset`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use ossmark_harmony::Effort;

#[derive(Subcommand, Debug)]
pub(crate) enum DatasetCommand {
    /// A data set from its publishers' files: Harmony prompts as tokens, with a manifest beside it.
    ///
    /// The recipe lists the sources; kinds and prompts are explained in docs/datasets.md:
    ///
    ///     [[source]]
    ///     kind = "aime25"
    ///     files = ["aime2025-I.jsonl", "aime2025-II.jsonl"]
    ///
    ///     [[source]]
    ///     kind = "livecodebench_v6"
    ///     directory = "code_generation_lite"
    ///     release = "release_v6"
    #[command(after_help = r"Example:
  ossmark dataset prepare accuracy.toml --tokenizer gpt-oss-120b/ \
      --output acc_eval.parquet")]
    #[command(verbatim_doc_comment)]
    Prepare(DatasetPrepareArgs),
    /// Row count, columns, token statistics and fingerprints of a parquet file; which benchmark file it is and which runs it
    /// suits.
    #[command(after_help = r"Example:
  ossmark dataset inspect perf.parquet")]
    Inspect(DatasetInspectArgs),
}

#[derive(Args, Debug)]
#[command(
    override_usage = "ossmark dataset prepare <FILE.toml> --tokenizer <PATH>
                                --output <FILE.parquet> [OPTIONS]"
)]
pub(crate) struct DatasetPrepareArgs {
    /// Which files become which data sets; paths in it are relative to it.
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) recipe: PathBuf,
    /// The model's directory, or its tokenizer.json.
    #[arg(long, value_name = "PATH")]
    pub(crate) tokenizer: PathBuf,
    /// The data set; FILE.manifest.json is written beside it.
    #[arg(long, value_name = "FILE.parquet")]
    pub(crate) output: PathBuf,
    /// Reasoning effort in the system message [default: the recipe's, else high].
    #[arg(long, value_enum)]
    pub(crate) effort: Option<EffortArg>,
    /// The date in the system message [default: the recipe's, else 2025-09-30].
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) date: Option<String>,
    /// Seed of the order of GPQA's options [default: the recipe's, else 0].
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u32>,
    /// Prompt templates instead of the recipe's or the built-in ones.
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) templates: Option<PathBuf>,
    /// Threads that tokenise; the result does not depend on it [default: the machine's cores].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub(crate) workers: Option<u64>,
    /// Move earlier output files aside instead of refusing.
    #[arg(long)]
    pub(crate) force: bool,
    /// Write the manifest here too.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct DatasetInspectArgs {
    /// The parquet file, a folder of them, or a pattern in quotes.
    #[arg(long, value_name = "FILE")]
    pub(crate) dataset: PathBuf,
    /// Write the result as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Move an earlier --json file aside instead of refusing.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EffortArg {
    /// What the performance set is made with.
    Low,
    Medium,
    /// What the accuracy set is made with.
    High,
}

impl EffortArg {
    pub(crate) fn effort(self) -> Effort {
        match self {
            Self::Low => Effort::Low,
            Self::Medium => Effort::Medium,
            Self::High => Effort::High,
        }
    }
}
