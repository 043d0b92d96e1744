//! The command line of `ossmark bench`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

use ossmark_engine::FastKernel;
use ossmark_rules::Scenario;

use super::engine::fast_kernels;
use super::heading;
use super::{CpuRepackArg, DtypeArg, KvDtypeArg, ShapeArg, SpeculateArgs};

#[derive(Subcommand, Debug)]
pub(crate) enum BenchCommand {
    /// LoadGen through the whole adapter with an engine that answers at once.
    #[command(after_help = r"Example:
  ossmark bench loadgen --compare-python --python .venv/bin/python3 \
      --json bench.json")]
    Loadgen(BenchLoadgenArgs),
    /// Times of the CUDA operations at gpt-oss-120b's shape on random weights; what is wrong is not timed.
    #[command(after_help = r"Example:
  ossmark bench kernels --copy-gbs 3000 --json kernels.json")]
    Kernels(BenchKernelsArgs),
    /// Which CUDA kernels are faster for how many rows, measured on the weights at hand, and what an engine would choose.
    #[command(after_help = r"Example:
  ossmark bench tune --synthetic gpt-oss-120b --max-batch 640 \
      --json tune.json")]
    Tune(BenchTuneArgs),
    /// An engine of this program: decode at several batch sizes, prefill at several lengths; on the CPU with the share of what
    /// memory and arithmetic allow. With a draft head: decode without and with it.
    #[command(after_help = r"Example:
  ossmark bench engine --synthetic gpt-oss-120b --kv-dtype bf16,fp8 \
      --without graphs,overlap --json engine.json")]
    Engine(Box<BenchEngineArgs>),
}

#[derive(Args, Debug)]
pub(crate) struct BenchLoadgenArgs {
    /// Also run LoadGen's Python binding (pip package mlcommons-loadgen) through the same tests.
    #[arg(long)]
    pub(crate) compare_python: bool,
    /// The interpreter that has mlcommons-loadgen.
    #[arg(long, default_value = "python3")]
    pub(crate) python: PathBuf,
    /// Where the runs' logs go [default: a temporary directory, removed].
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Write the result as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Move earlier --output and --json aside instead of refusing.
    #[arg(long)]
    pub(crate) force: bool,
    /// Seconds per Server test.
    #[arg(long, default_value_t = 3.0)]
    pub(crate) seconds: f64,
    /// Tokens per answer.
    #[arg(long, default_value_t = 100)]
    pub(crate) tokens: u32,
}

#[derive(Args, Debug)]
pub(crate) struct BenchKernelsArgs {
    /// Rows of the decode steps.
    #[arg(long, value_delimiter = ',', default_value = "1,8,64,256")]
    pub(crate) batch: Vec<usize>,
    /// Rows of the prefill steps: dense products and experts alone.
    #[arg(long, value_delimiter = ',', default_value = "512,2048,8192")]
    pub(crate) prefill: Vec<usize>,
    /// Positions before each row.
    #[arg(long, default_value_t = 2047)]
    pub(crate) context: usize,
    /// Runs for each median.
    #[arg(long, default_value_t = 20)]
    pub(crate) runs: usize,
    /// Also time the plain kernels, the references on the device.
    #[arg(long)]
    pub(crate) plain: bool,
    /// Without these fast kernels, by the names of their files: others do their work.
    #[arg(long, value_name = "KERNEL", value_delimiter = ',', value_parser = fast_kernels(), hide_short_help = true)]
    pub(crate) without_kernels: Vec<FastKernel>,
    /// Of weights and inputs.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u32,
    /// GB/s of a large copy on this device, for the share that each operation reaches.
    #[arg(long)]
    pub(crate) copy_gbs: Option<f64>,
    /// TFLOP/s of a large bf16 product on this device, likewise.
    #[arg(long)]
    pub(crate) product_tflops: Option<f64>,
    /// A tiny shape, to try the command itself.
    #[arg(long, hide = true)]
    pub(crate) tiny: bool,
    /// Write the result as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Move an earlier --json file aside instead of refusing.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Args, Debug)]
#[command(group(ArgGroup::new("tune-weights").required(true).args(["model", "synthetic"])))]
pub(crate) struct BenchTuneArgs {
    /// Directory with config.json and safetensors.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    /// Random weights, made on the device.
    #[arg(long, value_enum)]
    pub(crate) synthetic: Option<ShapeArg>,
    /// Most sequences in a step: more rows than that are timed as prompts.
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub(crate) max_batch: u32,
    /// Most input tokens in a step.
    #[arg(long, value_name = "N", default_value_t = 4096)]
    pub(crate) max_step_tokens: u32,
    /// KV pool in MiB [default: what the weights leave].
    #[arg(long)]
    pub(crate) kv_memory_mib: Option<u64>,
    /// Without these fast kernels, by the names of their files: others do their work.
    #[arg(long, value_name = "KERNEL", value_delimiter = ',', value_parser = fast_kernels(), hide_short_help = true)]
    pub(crate) without_kernels: Vec<FastKernel>,
    /// Other seeds, other random weights.
    #[arg(
        long = "synthetic-seed",
        visible_alias = "seed",
        value_name = "N",
        default_value_t = 1
    )]
    pub(crate) seed: u32,
    /// Write the result as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Move an earlier --json file aside instead of refusing.
    #[arg(long)]
    pub(crate) force: bool,
}

/// What the engine can do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WithoutArg {
    /// Decode steps that are recorded and replayed.
    Graphs,
    /// Kernels that start while the ones before them end.
    Overlap,
}

/// The engines that [`BenchEngineArgs`] measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchEngineArg {
    Cuda,
    Cpu,
}

/// Those that were given, or else the default; a 0 stands for none at all.
fn chosen<N: Copy + PartialEq + Default>(given: &[N], default: &[N]) -> Vec<N> {
    let of = if given.is_empty() { default } else { given };
    of.iter().copied().filter(|n| *n != N::default()).collect()
}

impl BenchEngineArgs {
    /// The batch sizes, or those of an engine.
    pub(crate) fn batch(&self, default: &[u32]) -> Vec<u32> {
        chosen(&self.batch, default)
    }

    /// The prompt lengths, or those of an engine.
    pub(crate) fn prefill(&self, default: &[usize]) -> Vec<usize> {
        chosen(&self.prefill, default)
    }
}

#[derive(Args, Debug)]
#[command(group(ArgGroup::new("weights").required(true).args(["model", "synthetic"])))]
pub(crate) struct BenchEngineArgs {
    /// Directory with config.json and safetensors.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    /// Random weights, made on the device.
    #[arg(long, value_enum)]
    pub(crate) synthetic: Option<ShapeArg>,
    /// What is measured.
    #[arg(long, value_enum, default_value = "cuda")]
    pub(crate) engine: BenchEngineArg,
    /// Sequences that decode together; 0 leaves decoding out [default: 1,8,64,256; on the CPU 1,8,32; with a head 1,8,64].
    #[arg(long, value_delimiter = ',')]
    pub(crate) batch: Vec<u32>,
    /// Prompt of each before decoding [default: 128; on the CPU 16].
    #[arg(long)]
    pub(crate) prompt: Option<usize>,
    /// Tokens that each generates, at most so many with --dataset [default: 128; on the CPU 17, with a head 65].
    #[arg(long)]
    pub(crate) tokens: Option<u32>,
    /// Prompt lengths for prefill; 0 leaves it out [default: 2048,4096,8192; on the CPU 512,2048].
    #[arg(long, value_delimiter = ',')]
    pub(crate) prefill: Vec<usize>,
    #[command(flatten)]
    pub(crate) speculate: SpeculateArgs,
    /// Random weights in the shape of MLPerf's head, whose drafts are accepted without a look at them, so that a round leaves
    /// LENGTH tokens on average, 3 unless given: what speculation is worth at an acceptance length. The answers are noise.
    #[arg(long, value_name = "LENGTH", num_args = 0..=1, default_missing_value = "3", conflicts_with = "speculate")]
    pub(crate) synthetic_head: Option<f64>,
    /// With a head: the prompts of this file (parquet) instead of made-up ones, answered to their stop tokens.
    #[arg(long, value_name = "FILE.parquet")]
    pub(crate) dataset: Option<PathBuf>,
    /// CPU threads; each number of several is measured [default: 1, and all cores].
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub(crate) threads: Vec<usize>,
    /// Numerics on the CPU [default: bf16].
    #[arg(long, value_enum)]
    pub(crate) dtype: Option<DtypeArg>,
    /// Copy the experts at load into the order in which the CPU reads them [default: auto].
    #[arg(long, value_enum)]
    pub(crate) cpu_repack: Option<CpuRepackArg>,
    /// Requests given at once, as LoadGen's Offline does: prompts of --offline-prompt tokens, each answered to
    /// --offline-tokens; 0 leaves it out.
    #[arg(help_heading = heading::OFFLINE, long, value_name = "N", default_value_t = 0)]
    pub(crate) offline: u32,
    /// Mean length of their prompts.
    #[arg(help_heading = heading::OFFLINE, long, value_name = "N", default_value_t = 4638)]
    pub(crate) offline_prompt: usize,
    /// Mean length of their answers.
    #[arg(help_heading = heading::OFFLINE, long, value_name = "N", default_value_t = 1300)]
    pub(crate) offline_tokens: u32,
    /// Lengths are spread evenly between 1 - X and 1 + X times the mean.
    #[arg(help_heading = heading::OFFLINE, long, value_name = "X", default_value_t = 0.0)]
    pub(crate) offline_spread: f64,
    /// Most input tokens in a step [default: 4096; on the CPU 512].
    #[arg(long)]
    pub(crate) max_step_tokens: Option<u32>,
    /// KV pool in MiB [default: what the weights leave].
    #[arg(long)]
    pub(crate) kv_memory_mib: Option<u64>,
    /// How keys and values are kept; each of several is measured.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "bf16")]
    pub(crate) kv_dtype: Vec<KvDtypeArg>,
    /// Measure once more without this, with the first of --kv-dtype; each of several for itself.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) without: Vec<WithoutArg>,
    /// On a GPU, without these fast kernels, by the names of their files: others do their work.
    #[arg(long, value_name = "KERNEL", value_delimiter = ',', value_parser = fast_kernels(), hide_short_help = true)]
    pub(crate) without_kernels: Vec<FastKernel>,
    /// On a GPU, with the numbers of rows that were counted for each kernel, not with those that are measured at the start.
    #[arg(long)]
    pub(crate) no_tune: bool,
    /// Other seeds, other random weights.
    #[arg(
        long = "synthetic-seed",
        visible_alias = "seed",
        value_name = "N",
        default_value_t = 1
    )]
    pub(crate) seed: u32,
    /// Write the result as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Move an earlier --json file aside instead of refusing.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Args, Debug)]
pub(crate) struct BenchChildArgs {
    /// Which test.
    #[arg(long, value_enum)]
    pub(crate) scenario: Scenario,
    /// Queries per second that are offered.
    #[arg(long)]
    pub(crate) qps: f64,
    /// How long.
    #[arg(long)]
    pub(crate) seconds: f64,
    /// Tokens per answer.
    #[arg(long)]
    pub(crate) tokens: u32,
    /// Where the logs go.
    #[arg(long)]
    pub(crate) output: PathBuf,
    /// Answer inside IssueQuery, without the adapter.
    #[arg(long)]
    pub(crate) inline: bool,
    /// Leave a record, as `run` does.
    #[arg(long)]
    pub(crate) record: bool,
    /// Answers from this server over HTTP.
    #[arg(long)]
    pub(crate) endpoint: Option<String>,
    /// Token by token.
    #[arg(long, requires = "endpoint")]
    pub(crate) stream: bool,
}
