//! Who answers: from the options of a command to a plan that can be refused before anything is started, and from the plan
//! to a warm generator.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use ossmark_engine::eagle3::MOST_STEPS;
use ossmark_engine::{Dtype, Features, KvDtype, ModelInfo, Speculation};
use ossmark_protocol::{Sink, TokenId};

use super::device::{Device, DeviceOptions};
use super::echo::{self, Echo, Script};
use super::fault_injection::FaultInjection;
use super::local::{Local, LocalSettings};
use super::remote::{self, Http};
use super::replicas::Replicas;
use super::weights::Weights;
use crate::cli::{
    CpuRepackArg, DtypeArg, EchoArgs, EngineArg, EngineArgs, FeaturesArg, HttpArgs, KvDtypeArg,
    SpeculateArgs, StreamArg,
};
use crate::terminal::{note, progress};
use ossmark_protocol::Generator;

/// Who answers.
pub(crate) enum EnginePlan {
    /// One engine on each of these, which are of one kind.
    Model {
        weights: Weights,
        devices: Vec<Device>,
    },
    Echo(Script),
    Http {
        settings: Box<ossmark_remote::Settings>,
        /// The model's directory, if it was named: nothing of it is loaded.
        model: Option<PathBuf>,
    },
}

/// A generator that is warm.
pub(crate) struct Started {
    pub(crate) generator: Arc<dyn Generator>,
    /// Of the model, where there is one.
    pub(crate) info: Option<ModelInfo>,
}

/// Most engines behind one generator.
const MOST_ENGINES: u32 = 64;

impl EnginePlan {
    /// Validates what was asked; nothing is started. `http`: for the commands that servers can answer.
    pub(crate) fn choose(
        args: &EngineArgs,
        speculate: &SpeculateArgs,
        http: Option<&HttpArgs>,
        echo: &EchoArgs,
    ) -> Result<Self> {
        let engines = args.dp.unwrap_or(1);
        if !(1..=MOST_ENGINES).contains(&engines) {
            bail!("--dp {engines}: expected 1 to {MOST_ENGINES} engines");
        }
        if args.engine != Some(EngineArg::Http)
            && http.is_some_and(|http| !http.endpoint.is_empty())
        {
            bail!("--endpoint is for --engine http; leave it out, or give that");
        }
        let speculation = speculation(speculate)?;
        if let (Some(engine @ (EngineArg::Echo | EngineArg::Http)), Some(s)) =
            (args.engine, &speculation)
        {
            let name = engine.to_possible_value();
            bail!(
                "--speculate {}: --engine {} has no model here that could verify what a head drafts; leave one out",
                s.head.display(),
                name.as_ref().map_or("", |value| value.get_name())
            );
        }
        if args.engine == Some(EngineArg::Echo) {
            if engines > 1 {
                bail!(
                    "--dp {engines}: the echo engine is one thread that computes nothing; leave --dp out"
                );
            }
            return Ok(Self::Echo(script(echo)?));
        }
        if args.engine == Some(EngineArg::Http) {
            if engines > 1 {
                bail!("--dp {engines}: give one --endpoint for each server instead");
            }
            let http = http.context(
                "--engine http: this command needs an engine of its own; servers answer run and infer",
            )?;
            return Ok(Self::Http {
                settings: Box::new(remote::settings(http)?),
                model: args.model.clone(),
            });
        }
        let weights = Weights::choose(args)?;
        if let (Some(DtypeArg::F32), Some(kv)) = (args.dtype, args.kv_dtype) {
            let kv = kv.to_possible_value();
            let kv = kv.as_ref().map_or("", |value| value.get_name());
            bail!(
                "--dtype f32 --kv-dtype {kv}: reference numerics keep keys and values in f32; leave one out"
            );
        }
        let options = DeviceOptions {
            dtype: engine_dtype(args.dtype.unwrap_or(DtypeArg::Bf16)),
            kv: match args.kv_dtype {
                Some(KvDtypeArg::Fp8) => KvDtype::Fp8,
                Some(KvDtypeArg::Bf16) | None => KvDtype::AsActivations,
            },
            cuda: args.cuda.clone(),
            kv_memory_mib: args.kv_memory_mib,
            max_batch: args.max_batch,
            max_step_tokens: args.max_step_tokens,
            threads: args.threads,
            speculation,
            cpu_repack: args.cpu_repack.map(CpuRepackArg::repack),
        };
        let devices = Device::choose(args.engine, &options, engines)?;
        Ok(Self::Model { weights, devices })
    }

    /// Whether servers are asked for tokens as they come, where nobody asked for either way.
    pub(crate) fn stream_unless_told(&mut self, told: StreamArg, wanted: bool) {
        if let (Self::Http { settings, .. }, StreamArg::Auto) = (self, told) {
            settings.stream = wanted;
        }
    }

    /// Opens so many connections to servers before the first request.
    pub(crate) fn connect_ahead(&mut self, connections: usize) {
        if let Self::Http { settings, .. } = self {
            settings.connect_ahead = connections;
        }
    }

    /// What the chat API is asked; each prompt is the place of one.
    pub(crate) fn say(&mut self, messages: &Arc<[Box<str>]>) {
        if let Self::Http { settings, .. } = self {
            settings.messages = Arc::clone(messages);
        }
    }

    /// Made-up tokens are below this: those of a tokenizer, so that they have a text.
    pub(crate) fn echo_below(&mut self, text_ids: u32) {
        if let Self::Echo(script) = self {
            script.ids = script.ids.min(text_ids);
        }
    }

    /// How long servers that are gone get to come back; false where there are none.
    pub(crate) fn hold(&mut self, time: Option<Duration>) -> bool {
        match self {
            Self::Http { settings, .. } => settings.hold = time,
            Self::Model { .. } | Self::Echo(_) => return false,
        }
        true
    }

    /// As `--engine` spells it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Model { devices, .. } => devices[0].name(),
            Self::Echo(_) => "echo",
            Self::Http { .. } => "http",
        }
    }

    /// Whether random weights answer.
    pub(crate) fn is_synthetic(&self) -> bool {
        matches!(self, Self::Model { weights, .. } if weights.are_synthetic())
    }

    /// The head that drafts, if any.
    pub(crate) fn speculation(&self) -> Option<&Speculation> {
        match self {
            Self::Model { devices, .. } => devices[0].speculation(),
            Self::Echo(_) | Self::Http { .. } => None,
        }
    }

    /// The model's directory, where one was named.
    pub(crate) fn model(&self) -> Option<&Path> {
        match self {
            Self::Model { weights, .. } => weights.path(),
            Self::Http { model, .. } => model.as_deref(),
            Self::Echo(_) => None,
        }
    }

    /// Starts and warms up what was planned; says on stderr what it is. Events go to `sink`.
    pub(crate) fn start(
        &self,
        sink: Sink,
        fault_injection: Option<FaultInjection>,
    ) -> Result<Started> {
        match self {
            Self::Echo(script) => {
                let echo =
                    Echo::start(script.clone(), sink).context("cannot start the echo engine")?;
                Ok(Started {
                    generator: Arc::new(echo),
                    info: None,
                })
            }
            Self::Http { settings, .. } => Ok(Started {
                generator: Arc::new(Http::start(settings, sink)?),
                info: None,
            }),
            Self::Model { weights, devices } => {
                let settings = |device: &Device| LocalSettings {
                    weights: weights.clone(),
                    device: device.clone(),
                    fault_injection,
                };
                if let Device::Cuda(_) = devices[0] {
                    note!(
                        "ossmark: warning: the CUDA kernels have not been verified on a GPU yet (docs/gpu.md); --engine cpu is \
                         the reference"
                    );
                }
                let (generator, info): (Arc<dyn Generator>, _) = match devices.as_slice() {
                    [device] => {
                        let local = Local::start(&settings(device), sink)?;
                        let info = local.info.clone();
                        (Arc::new(local), info)
                    }
                    several => {
                        let all: Vec<_> = several.iter().map(settings).collect();
                        let replicas = Replicas::start(&all, sink)?;
                        let info = replicas.info().clone();
                        (Arc::new(replicas), info)
                    }
                };
                match devices.len() {
                    1 => progress!("{}", info.description),
                    n => progress!("{n} engines, each: {}", info.description),
                }
                for warning in &info.warnings {
                    note!("ossmark: warning: {warning}");
                }
                Ok(Started {
                    generator,
                    info: Some(info),
                })
            }
        }
    }
}

/// Whether each prompt could be answered; the error names the row and says how to fix it.
pub(crate) fn check_prompts(
    generator: &dyn Generator,
    prompts: &[Arc<[TokenId]>],
    max_new_tokens: u32,
    file: &Path,
) -> Result<()> {
    for (row, prompt) in prompts.iter().enumerate() {
        generator.check(prompt, max_new_tokens).with_context(|| {
            format!(
                "{}: row {row} cannot be answered by this model",
                file.display()
            )
        })?;
    }
    Ok(())
}

fn engine_dtype(dtype: DtypeArg) -> Dtype {
    match dtype {
        DtypeArg::Bf16 => Dtype::Bf16,
        DtypeArg::F32 => Dtype::F32,
    }
}

/// Drafted at a time unless told otherwise: what MLPerf's rules name.
const DRAFTED: u32 = 3;

/// The head that was asked for, if one was.
pub(crate) fn speculation(args: &SpeculateArgs) -> Result<Option<Speculation>> {
    let Some(head) = &args.speculate else {
        if args.speculate_steps.is_some() || args.speculate_features.is_some() {
            bail!(
                "--speculate-steps and --speculate-features are for --speculate HEAD_DIR; give that, or leave them out"
            );
        }
        return Ok(None);
    };
    Ok(Some(Speculation {
        head: head.clone(),
        steps: drafted(args)?,
        features: match args.speculate_features {
            None | Some(FeaturesArg::BlockOutput) => Features::BlockOutput,
            Some(FeaturesArg::Boundary) => Features::Boundary,
        },
    }))
}

/// Tokens drafted at a time.
pub(crate) fn drafted(args: &SpeculateArgs) -> Result<u32> {
    let steps = args.speculate_steps.unwrap_or(DRAFTED);
    if !(1..=MOST_STEPS).contains(&steps) {
        bail!("--speculate-steps {steps}: expected 1 to {MOST_STEPS} tokens drafted at a time");
    }
    Ok(steps)
}

fn script(echo: &EchoArgs) -> Result<Script> {
    let ms = |value: Option<f64>, name: &str| {
        let value = value.unwrap_or(0.0);
        if (0.0..=1e9).contains(&value) {
            Ok(Duration::from_secs_f64(value / 1e3))
        } else {
            bail!("--{name} {value}: expected milliseconds between 0 and 1e9")
        }
    };
    let line = echo::Line {
        answer: echo::Answer::Count(echo.echo_tokens.unwrap_or(32)),
        ttft: ms(echo.echo_ttft_ms, "echo-ttft-ms")?,
        tpot: ms(echo.echo_tpot_ms, "echo-tpot-ms")?,
    };
    let lines = match &echo.echo_script {
        Some(file) => echo::read_script(file, line)?,
        None => vec![line],
    };
    Ok(Script {
        lines,
        slots: echo.echo_slots.unwrap_or(0) as usize,
        ids: echo::IDS,
    })
}
