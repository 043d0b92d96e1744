//! The options that say who answers, shared by the commands that need an engine.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use ossmark_engine::{FastKernel, Repack};
use serde::{Deserialize, Serialize};

use super::SyntheticArgs;
use super::heading;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum EngineArg {
    /// CUDA devices when there are any, else the CPU.
    Auto,
    Cpu,
    /// NVIDIA GPUs; see docs/gpu.md for what has been verified.
    Cuda,
    /// Scripted answers: measures and tests the harness, not a model.
    Echo,
    /// Servers that are there already (SGLang, vLLM, TensorRT-LLM): see --endpoint.
    Http,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum DtypeArg {
    /// bf16 activations and KV, f32 accumulation.
    Bf16,
    /// Reference numerics: activations and KV in f32.
    F32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KvDtypeArg {
    /// Keys and values as activations are.
    Bf16,
    /// Rounded to e4m3, without a scale; the CPU only rounds.
    Fp8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CpuRepackArg {
    /// When the copy takes at most half of the memory that is free.
    Auto,
    /// Copy.
    On,
    /// Read them as shipped.
    Off,
}

impl CpuRepackArg {
    pub(crate) fn repack(self) -> Repack {
        match self {
            Self::Auto => Repack::Auto,
            Self::On => Repack::On,
            Self::Off => Repack::Off,
        }
    }
}

/// A kernel that can be left out, by the name of its file.
pub(super) fn fast_kernels() -> impl TypedValueParser<Value = FastKernel> {
    let names = FastKernel::all().flat_map(FastKernel::files).copied();
    PossibleValuesParser::new(names).try_map(|name| name.parse::<FastKernel>())
}

/// What the CUDA engine is to do without: for finding out what is at fault, or what it is worth.
#[derive(Args, Debug, Default, Clone)]
#[command(next_help_heading = heading::GPU)]
pub(crate) struct CudaArgs {
    /// On a GPU, launch decode steps kernel by kernel instead of replaying recorded ones.
    #[arg(long)]
    pub(crate) no_graphs: bool,
    /// On a GPU, start each kernel when the one before it has ended, not while it ends.
    #[arg(long)]
    pub(crate) no_overlap: bool,
    /// On a GPU, compute with the plain kernels alone, which the fast ones are checked against. Slow.
    #[arg(long)]
    pub(crate) plain_kernels: bool,
    /// On a GPU, leave these fast kernels out, by the names of their files: others do their work. For one that hangs, which
    /// no check can catch.
    #[arg(long, value_name = "KERNEL", value_delimiter = ',', value_parser = fast_kernels())]
    pub(crate) without_kernels: Vec<FastKernel>,
    /// On a GPU, do not compare the fast kernels with the plain ones before the start.
    #[arg(long)]
    pub(crate) no_kernel_check: bool,
    /// On a GPU, refuse to start when a fast kernel disagrees with its plain one, instead of leaving it out.
    #[arg(long, conflicts_with = "no_kernel_check")]
    pub(crate) strict_kernels: bool,
    /// On a GPU, do not measure which kernels are faster for how many rows, but take the numbers that were counted.
    #[arg(long)]
    pub(crate) no_tune: bool,
}

/// Who answers, but for what servers and the scripted engine need to know besides.
#[derive(Args, Debug, Default, Clone)]
#[command(next_help_heading = heading::ENGINE)]
pub(crate) struct EngineArgs {
    /// Directory with config.json, safetensors, tokenizer.json.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    /// What answers [default: auto].
    #[arg(long, value_enum)]
    pub(crate) engine: Option<EngineArg>,
    /// Numerics of the engine [default: bf16].
    #[arg(long, value_enum)]
    pub(crate) dtype: Option<DtypeArg>,
    /// How keys and values are kept [default: bf16].
    ///
    /// fp8 has room for twice as many on a GPU.
    #[arg(long, value_enum)]
    pub(crate) kv_dtype: Option<KvDtypeArg>,
    /// Engines that share the work [default: 1].
    ///
    /// One on each of the first N GPUs, or N that share the CPU.
    #[arg(long, value_name = "N")]
    pub(crate) dp: Option<u32>,
    /// KV pool of each engine in MiB [default: computed from free memory].
    #[arg(long, value_name = "MIB", hide_short_help = true)]
    pub(crate) kv_memory_mib: Option<u64>,
    /// Most sequences in a step [default: by device and memory].
    ///
    /// 64 on the CPU, 256 to 640 on CUDA, by the memory that is left.
    #[arg(long, value_name = "N")]
    pub(crate) max_batch: Option<u32>,
    /// Most input tokens in a step [default: 512 on the CPU, 4096 on CUDA].
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub(crate) max_step_tokens: Option<u32>,
    /// CPU threads of each engine [default: all, shared out].
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Copy the experts at load into the order in which the CPU reads them: faster, for their size in memory [default: auto].
    #[arg(long, value_enum, hide_short_help = true)]
    pub(crate) cpu_repack: Option<CpuRepackArg>,
    #[command(flatten)]
    pub(crate) cuda: CudaArgs,
    #[command(flatten)]
    pub(crate) synthetic: SyntheticArgs,
}

#[derive(Args, Debug, Default, Clone)]
#[command(next_help_heading = heading::ECHO)]
pub(crate) struct EchoArgs {
    /// Scripted answers for --engine echo: columns index, tokens, and optionally ttft_ms and tpot_ms.
    #[arg(long, value_name = "FILE.parquet")]
    pub(crate) echo_script: Option<PathBuf>,
    /// Tokens per answer of the echo engine without a script [default: 32].
    #[arg(long, value_name = "N")]
    pub(crate) echo_tokens: Option<u32>,
    /// Time to first token of the echo engine [default: 0].
    #[arg(long, value_name = "MS")]
    pub(crate) echo_ttft_ms: Option<f64>,
    /// Time per output token of the echo engine [default: 0].
    #[arg(long, value_name = "MS")]
    pub(crate) echo_tpot_ms: Option<f64>,
    /// Requests that the echo engine serves at a time; 0 is no limit [default: 0].
    #[arg(long, value_name = "N")]
    pub(crate) echo_slots: Option<u32>,
    /// Rows of the stand-in data set when --engine echo has no --dataset [default: what the settings ask for].
    #[arg(long, value_name = "N")]
    pub(crate) echo_samples: Option<usize>,
}
