//! The in-process engine behind the harness: loads the model, warms it up, hands requests over.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use crossbeam_channel::bounded;
use ossmark_engine::executor::Capacity;
use ossmark_engine::{Engine, EngineSettings, ModelInfo};
use ossmark_protocol::{
    Closed, Event, Generator, Load, Request, RequestError, RequestId, Sampling, Sink, StopTokens,
    TokenId,
};

use super::device::Device;
use super::fault_injection::FaultInjection;
use super::weights::Weights;

use crate::terminal::note;

/// Which model, and what the engine may use.
#[derive(Clone, Debug)]
pub(crate) struct LocalSettings {
    pub(crate) weights: Weights,
    pub(crate) device: Device,
    pub(crate) fault_injection: Option<FaultInjection>,
}

/// A loaded, warm engine.
pub(crate) struct Local {
    engine: Mutex<Option<Engine>>,
    /// How it was doing when it was shut down: a run's verdict asks after that.
    last: Mutex<Option<Load>>,
    pub(crate) info: ModelInfo,
}

/// A warm-up that takes longer than this is a hang.
const WARM_UP: Duration = Duration::from_secs(600);
/// How long the engine may take to come back from its last step once the run is over.
const SHUTDOWN: Duration = Duration::from_secs(5);
const WARM_UP_ID: RequestId = RequestId(u64::MAX);

impl Local {
    /// Loads the model, starts the engine and runs one request through it, so that the first sample of a test pays for
    /// nothing but itself.
    pub(crate) fn start(settings: &LocalSettings, mut sink: Sink) -> Result<Self> {
        let loaded = settings.device.load(&settings.weights).with_context(|| {
            // Either may be at fault; the message names the file.
            let head = settings.device.speculation();
            head.map_or_else(
                || settings.weights.option(),
                |s| {
                    format!(
                        "{} --speculate {}",
                        settings.weights.option(),
                        s.head.display()
                    )
                },
            )
        })?;
        let executor = match settings.fault_injection {
            Some(injection) => injection.wrap_executor(loaded.executor),
            None => loaded.executor,
        };
        let engine_settings = EngineSettings {
            stop_tokens: loaded.info.stop_tokens.clone(),
            pipeline_depth: settings.device.pipeline_depth(),
            max_batch: None,
            max_chunk: None,
        };
        let (warm, warmed) = bounded(1);
        let mut warming = true;
        let gate: Sink = Box::new(move |event| {
            if !warming {
                return sink(event);
            }
            let end = match &event {
                Event::Step(step) => step
                    .outputs
                    .iter()
                    .find_map(|out| out.end.clone())
                    .map(|end| Ok(Some(end))),
                Event::Fatal(message) => Some(Err(message.clone())),
            };
            if let Some(end) = end {
                warming = false;
                let _ = warm.send(end);
            }
            true
        });
        let engine =
            Engine::start(executor, engine_settings, gate).context("cannot start the engine")?;
        let request = Request {
            id: WARM_UP_ID,
            prompt: [0].into(),
            sampling: Sampling::GREEDY,
            seed: 0,
            max_new_tokens: 2,
            want_logits: false,
            stop_tokens: StopTokens::default(),
            ignore_eos: false,
        };
        engine.submit(vec![request])?;
        match warmed.recv_timeout(WARM_UP) {
            Ok(Ok(_)) => {}
            Ok(Err(message)) => bail!("the engine failed on its first step: {message}"),
            Err(_) => bail!(
                "the engine did not finish its first step within {} s",
                WARM_UP.as_secs()
            ),
        }
        Ok(Self {
            engine: Mutex::new(Some(engine)),
            last: Mutex::new(None),
            info: loaded.info,
        })
    }

    /// What it can run at a time.
    pub(crate) fn capacity(&self) -> Result<Capacity, Closed> {
        let engine = self.engine.lock().map_err(|_| Closed)?;
        Ok(engine.as_ref().ok_or(Closed)?.capacity())
    }
}

fn load_of(engine: &Engine) -> Load {
    Load {
        stats: engine.stats(),
        total_blocks: u64::from(engine.capacity().n_blocks),
    }
}

impl Generator for Local {
    fn submit(&self, requests: Vec<Request>) -> Result<(), Closed> {
        let engine = self.engine.lock().map_err(|_| Closed)?;
        engine.as_ref().ok_or(Closed)?.submit(requests)
    }

    fn check(&self, prompt: &[TokenId], max_new_tokens: u32) -> Result<(), RequestError> {
        let engine = self.engine.lock().map_err(|_| Closed)?;
        engine.as_ref().ok_or(Closed)?.check(prompt, max_new_tokens)
    }

    fn cancel(&self, ids: Vec<RequestId>) {
        if let Ok(engine) = self.engine.lock()
            && let Some(engine) = engine.as_ref()
        {
            engine.cancel(ids);
        }
    }

    fn load(&self) -> Vec<Load> {
        let running = self.engine.lock().ok();
        let running = running.and_then(|engine| engine.as_ref().map(load_of));
        let last = || self.last.lock().ok().and_then(|last| *last);
        running.or_else(last).into_iter().collect()
    }

    fn shutdown(&self) {
        let engine = self.engine.lock().ok().and_then(|mut engine| engine.take());
        if let (Some(engine), Ok(mut last)) = (&engine, self.last.lock()) {
            *last = Some(load_of(engine));
        }
        // A device that does not come back is left behind: the process is about to end.
        if let Some(Err(error)) = engine.map(|engine| engine.shutdown(SHUTDOWN)) {
            note!("ossmark: {error}");
        }
    }
}
