//! Faults on purpose: breaks the engine or its answers at a chosen point, so that the handling of each fault can be
//! rehearsed through the whole binary (`--drill`). Such a run is always labelled and never valid.

use std::time::Duration;

use ossmark_engine::executor::{Capacity, ExecError, Executor, StepHandle, StepPlan, StepTokens};
use ossmark_protocol::{End, Event, Sink, StepOutputs};

use crate::terminal::note;

/// What breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InjectedFault {
    /// The device reports an error in the n-th step.
    ExecError,
    /// The device code panics in the n-th step.
    ExecPanic,
    /// The device never comes back from the n-th step.
    ExecHang,
    /// The n-th message of the engine is that it died.
    Error,
    /// The engine's thread panics when it delivers its n-th message.
    Panic,
    /// Request n is never finished.
    Lose,
    /// Request n gets one token.
    Short,
    /// Request n is answered twice.
    Twice,
    /// The engine closes its side of the channel at its n-th message.
    Close,
}

/// What breaks, and at which step, message or request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FaultInjection {
    pub(crate) kind: InjectedFault,
    pub(crate) at: u64,
}

impl FaultInjection {
    /// What the verdict says of it.
    pub(crate) fn deviation(self) -> String {
        let Self { kind, at } = self;
        format!("--drill {kind:?}@{at}: something was broken on purpose")
    }
}

impl std::str::FromStr for FaultInjection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, at) = text.split_once('@').unwrap_or((text, "0"));
        let at = at
            .parse()
            .map_err(|_| format!("--drill {text}: expected a number after @, found {at}"))?;
        let kind = match kind {
            "exec-error" => InjectedFault::ExecError,
            "exec-panic" => InjectedFault::ExecPanic,
            "exec-hang" => InjectedFault::ExecHang,
            "error" => InjectedFault::Error,
            "panic" => InjectedFault::Panic,
            "lose" => InjectedFault::Lose,
            "short" => InjectedFault::Short,
            "twice" => InjectedFault::Twice,
            "close" => InjectedFault::Close,
            other => {
                return Err(format!(
                    "--drill {other}: expected exec-error, exec-panic, exec-hang, error, panic, lose, short, twice or close"
                ));
            }
        };
        Ok(Self { kind, at })
    }
}

impl FaultInjection {
    /// Breaks what goes through the sink.
    pub(crate) fn wrap_sink(self, mut sink: Sink) -> Sink {
        let mut n = 0;
        Box::new(move |event| {
            let Event::Step(step) = event else {
                return sink(event);
            };
            let here = n == self.at;
            n += 1;
            match self.kind {
                InjectedFault::Error if here => sink(Event::Fatal("drill: the engine died".into())),
                InjectedFault::Panic if here => panic!("drill: the engine's thread panics"),
                InjectedFault::Close if here => false,
                InjectedFault::Lose | InjectedFault::Short | InjectedFault::Twice => {
                    sink(Event::Step(self.break_outputs(step)))
                }
                _ => sink(Event::Step(step)),
            }
        })
    }

    fn break_outputs(self, step: StepOutputs) -> StepOutputs {
        let mut broken = StepOutputs::default();
        let mut at = 0;
        for mut out in step.outputs {
            let mut tokens = &step.tokens[at..at + out.n_tokens as usize];
            at += tokens.len();
            let mut copies = 1;
            if out.id.0 == self.at {
                match self.kind {
                    InjectedFault::Lose if out.end.is_some() => out.end = None,
                    InjectedFault::Short => {
                        tokens = &tokens[..tokens.len().min(1)];
                        out.end = Some(End::Length);
                    }
                    InjectedFault::Twice if out.end.is_some() => copies = 2,
                    _ => {}
                }
            }
            out.n_tokens = tokens.len() as u32;
            for _ in 0..copies {
                broken.tokens.extend_from_slice(tokens);
                broken.outputs.push(out.clone());
            }
        }
        broken
    }

    /// Breaks the device, for the faults that are about it.
    pub(crate) fn wrap_executor(self, inner: Box<dyn Executor>) -> Box<dyn Executor> {
        Box::new(FaultyExecutor {
            inner,
            injection: self,
            steps: 0,
        })
    }
}

struct FaultyExecutor {
    inner: Box<dyn Executor>,
    injection: FaultInjection,
    steps: u64,
}

impl Executor for FaultyExecutor {
    fn capacity(&self) -> Capacity {
        self.inner.capacity()
    }

    fn submit(&mut self, plan: StepPlan) -> Result<StepHandle, ExecError> {
        let here = self.steps == self.injection.at;
        self.steps += 1;
        match self.injection.kind {
            InjectedFault::ExecError if here => {
                Err(ExecError("drill: the device reports an error".into()))
            }
            InjectedFault::ExecPanic if here => panic!("drill: the device code panics"),
            InjectedFault::ExecHang if here => {
                note!("drill: the device hangs");
                loop {
                    std::thread::sleep(Duration::from_secs(3600));
                }
            }
            _ => self.inner.submit(plan),
        }
    }

    fn wait(&mut self, step: StepHandle) -> Result<StepTokens, ExecError> {
        self.inner.wait(step)
    }
}
