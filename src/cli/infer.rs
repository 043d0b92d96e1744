//! The command line of `ossmark infer`.

use std::path::PathBuf;

use clap::Args;

use super::{EchoArgs, EngineArgs, HttpArgs, SamplingArgs, SpeculateArgs};

#[derive(Args, Debug)]
#[command(
    override_usage = "ossmark infer --dataset <FILE.parquet> --output <FILE.parquet>
                     --model <DIR> [OPTIONS]
       ossmark infer --dataset <FILE.parquet> --output <FILE.parquet>
                     --engine http --endpoint <URL> --tokenizer <PATH>
                     [OPTIONS]"
)]
pub(crate) struct InferArgs {
    /// Parquet file with the tokenised prompts.
    #[arg(long, value_name = "FILE.parquet")]
    pub(crate) dataset: PathBuf,
    /// The file that `score --inferred` reads.
    ///
    /// The data set's columns as they are, with model_output_0 and on. Until all answers are there they are kept in
    /// FILE.parquet.journal; run the same command again to resume, and to try failed requests again.
    #[arg(long, value_name = "FILE.parquet")]
    pub(crate) output: PathBuf,
    /// Answers to each prompt.
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) pass_k: u32,
    /// tokenizer.json or its directory [default: --model's].
    ///
    /// For the outputs' text.
    #[arg(long, value_name = "PATH")]
    pub(crate) tokenizer: Option<PathBuf>,
    /// Most tokens generated for an answer.
    #[arg(long, value_name = "N", default_value_t = 32768, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_new_tokens: u32,
    /// Seconds that servers get to come back [default: 600].
    ///
    /// With --engine http, where all are gone: requests wait meanwhile. 0: they fail at once.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) hold: Option<f64>,
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
    /// Leave no record of the answers' times.
    ///
    /// Else FILE.parquet.record has a row of each answer, for `report`, `compare` and `runs`.
    #[arg(long)]
    pub(crate) no_record: bool,
    /// Begin anew: move what is there aside.
    ///
    /// Output, journal and record.
    #[arg(long)]
    pub(crate) force: bool,
    /// Write what was done as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}
