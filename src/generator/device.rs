//! Which device computes, from what was asked for and what there is.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use anyhow::{Result, bail};
use ossmark_engine::config::ModelConfig;
use ossmark_engine::{
    CpuSettings, CudaSettings, Drafter, Dtype, KvDtype, LoadError, LoadedModel, Repack,
    Speculation, cuda_devices, load_cpu, load_cpu_synthetic, load_cuda, load_cuda_synthetic,
};

use super::weights::Weights;

use crate::cli::{CudaArgs, EngineArg};
use crate::generator::loading::ProgressDisplay;

/// A device and what the engine may use of it.
#[derive(Clone, Debug)]
pub(crate) enum Device {
    Cpu(CpuSettings),
    Cuda(CudaSettings),
}

/// The options that devices share; `None` leaves the device's default.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeviceOptions {
    pub(crate) dtype: Dtype,
    pub(crate) kv: KvDtype,
    pub(crate) cuda: CudaArgs,
    pub(crate) kv_memory_mib: Option<u64>,
    pub(crate) max_batch: Option<u32>,
    pub(crate) max_step_tokens: Option<u32>,
    pub(crate) threads: Option<usize>,
    pub(crate) speculation: Option<Speculation>,
    pub(crate) cpu_repack: Option<Repack>,
}

/// Most sequences in a step on a GPU that has room for them, unless --max-batch says otherwise.
const MOST_CHOSEN_SEQS: u32 = 640;

impl Device {
    /// One device for each of `engines`. `auto` takes CUDA devices when there are any and nothing was asked for that only
    /// the CPU has.
    pub(crate) fn choose(
        asked: Option<EngineArg>,
        options: &DeviceOptions,
        engines: u32,
    ) -> Result<Vec<Self>> {
        let for_cpu_only = options.dtype == Dtype::F32
            || options.threads.is_some()
            || options.cpu_repack.is_some();
        let cuda = match asked.unwrap_or(EngineArg::Auto) {
            EngineArg::Cuda if for_cpu_only => bail!(
                "--engine cuda computes in bf16 and takes no --threads and no --cpu-repack; leave out --dtype f32, --threads \
                 and --cpu-repack, or use --engine cpu"
            ),
            EngineArg::Cuda => Some(cuda_devices()?),
            EngineArg::Auto if !for_cpu_only => cuda_devices().ok().filter(|n| *n > 0),
            EngineArg::Auto | EngineArg::Cpu | EngineArg::Echo | EngineArg::Http => None,
        };
        match cuda {
            Some(0) => bail!(
                "--engine cuda: NVIDIA's driver finds no device; see nvidia-smi, or use --engine cpu"
            ),
            Some(found) if found < engines => bail!(
                "--dp {engines}: NVIDIA's driver finds {found} device(s), expected one for each engine; lower --dp, or use \
                 --engine cpu"
            ),
            Some(_) => Ok((0..engines).map(|n| Self::cuda(options, n)).collect()),
            None => Ok((0..engines).map(|_| Self::cpu(options, engines)).collect()),
        }
    }

    fn cpu(options: &DeviceOptions, engines: u32) -> Self {
        let defaults = CpuSettings::default();
        Self::Cpu(CpuSettings {
            dtype: options.dtype,
            kv: options.kv,
            engines: engines as usize,
            memory_budget_bytes: options.kv_memory_mib.map(|mib| mib.saturating_mul(1 << 20)),
            max_seqs: options.max_batch.unwrap_or(defaults.max_seqs),
            max_step_tokens: options.max_step_tokens.unwrap_or(defaults.max_step_tokens),
            threads: options.threads,
            drafter: options.speculation.clone().map(Into::into),
            repack: options.cpu_repack.unwrap_or_default(),
            ..defaults
        })
    }

    fn cuda(options: &DeviceOptions, device: u32) -> Self {
        let defaults = CudaSettings::default();
        Self::Cuda(CudaSettings {
            device,
            kv: options.kv,
            graphs: !options.cuda.no_graphs,
            overlap: !options.cuda.no_overlap,
            reference_kernels: options.cuda.plain_kernels,
            without: options.cuda.without_kernels.iter().copied().collect(),
            check: !options.cuda.no_kernel_check,
            strict: options.cuda.strict_kernels,
            tune: !options.cuda.no_tune,
            tune_cache: cache_folder(),
            drafter: options.speculation.clone().map(Into::into),
            memory_budget_bytes: options.kv_memory_mib.map(|mib| mib.saturating_mul(1 << 20)),
            max_seqs: options.max_batch.unwrap_or(defaults.max_seqs),
            max_seqs_up_to: options.max_batch.unwrap_or(MOST_CHOSEN_SEQS),
            max_step_tokens: options.max_step_tokens.unwrap_or(defaults.max_step_tokens),
            ..defaults
        })
    }

    /// As `--engine` spells it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Cpu(_) => "cpu",
            Self::Cuda(_) => "cuda",
        }
    }

    /// The head that drafts, if any.
    pub(crate) fn speculation(&self) -> Option<&Speculation> {
        let drafter = match self {
            Self::Cpu(settings) => settings.drafter.as_ref(),
            Self::Cuda(settings) => settings.drafter.as_ref(),
        };
        match drafter {
            Some(Drafter::Head(speculation)) => Some(speculation),
            Some(Drafter::Synthetic(_)) | None => None,
        }
    }

    /// Most sequences of a step, from and to what the engine will choose when it is loaded, and most tokens.
    pub(crate) fn limits(&self) -> (RangeInclusive<u32>, u32) {
        match self {
            Self::Cpu(settings) => (
                settings.max_seqs..=settings.max_seqs,
                settings.max_step_tokens,
            ),
            // Those that draft take no more than they were told.
            Self::Cuda(settings) if settings.drafter.is_some() => (
                settings.max_seqs..=settings.max_seqs,
                settings.max_step_tokens,
            ),
            Self::Cuda(settings) => (
                settings.max_seqs..=settings.max_seqs_up_to.max(settings.max_seqs),
                settings.max_step_tokens,
            ),
        }
    }

    /// Bytes of keys and values that a sequence of so many positions takes, and those that there are for all of them, where
    /// that is known before the weights are loaded.
    pub(crate) fn kv_bytes(&self, config: &ModelConfig, positions: u64) -> (u64, Option<u64>) {
        match self {
            Self::Cpu(settings) => (
                settings.sequence_bytes(config, positions),
                Some(settings.kv_budget_bytes()),
            ),
            Self::Cuda(settings) => (
                settings.sequence_bytes(config, positions),
                settings.memory_budget_bytes,
            ),
        }
    }

    /// How keys and values are kept.
    pub(crate) fn kv_dtype(&self) -> &'static str {
        let (kv, as_activations) = match self {
            Self::Cpu(settings) if settings.dtype == Dtype::F32 => (settings.kv, "f32"),
            Self::Cpu(settings) => (settings.kv, "bf16"),
            Self::Cuda(settings) => (settings.kv, "bf16"),
        };
        match kv {
            KvDtype::AsActivations => as_activations,
            KvDtype::Fp8 => "fp8",
        }
    }

    /// Loads weights onto it.
    pub(crate) fn load(&self, weights: &Weights) -> Result<LoadedModel, LoadError> {
        match self {
            Self::Cpu(settings) => match weights {
                Weights::Checkpoint(path) => load_cpu(path, settings),
                Weights::Synthetic { shape, which } => {
                    load_cpu_synthetic(&shape.config(), *which, settings)
                }
            },
            Self::Cuda(settings) => {
                let _shown = ProgressDisplay::start(&settings.progress);
                match weights {
                    Weights::Checkpoint(path) => load_cuda(path, settings),
                    Weights::Synthetic { shape, which } => {
                        load_cuda_synthetic(&shape.config(), *which, settings)
                    }
                }
            }
        }
    }

    /// Steps in flight: the CPU computes inside `submit`, a GPU while the next step is planned. With a head it is known when a
    /// round is over where its sequences go on: of two steps each would have half of them, and read all weights for it.
    pub(crate) fn pipeline_depth(&self) -> u32 {
        match self {
            Self::Cpu(_) => 1,
            Self::Cuda(settings) if settings.drafter.is_some() => 1,
            Self::Cuda(_) => 2,
        }
    }
}

/// Where what can be found out again is kept: `$XDG_CACHE_HOME/ossmark`, else `$HOME/.cache/ossmark`.
pub(crate) fn cache_folder() -> Option<PathBuf> {
    cache_folder_of(|name| std::env::var_os(name).map(PathBuf::from))
}

fn cache_folder_of(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    // The XDG Base Directory Specification: a path that is not absolute is ignored.
    let absolute = |name| variable(name).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME");
    let cache = cache.or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    cache.map(|cache| cache.join("ossmark"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_where_xdg_says() {
        let of = |xdg: Option<&str>, home: Option<&str>| {
            cache_folder_of(|name| match name {
                "HOME" => home.map(PathBuf::from),
                _ => xdg.map(PathBuf::from),
            })
        };
        let path = |text: &str| Some(PathBuf::from(text));
        assert_eq!(of(Some("/x"), Some("/h")), path("/x/ossmark"));
        assert_eq!(of(Some("x"), Some("/h")), path("/h/.cache/ossmark"));
        assert_eq!(of(None, Some("/h")), path("/h/.cache/ossmark"));
        assert_eq!(of(Some(""), None), None);
    }
}
