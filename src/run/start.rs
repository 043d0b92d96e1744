//! Starts who answers, with the responder's channel as the sink of its events.

use std::sync::Arc;

use anyhow::Result;
use crossbeam_channel::Sender;
use ossmark_protocol::Sink;

use super::plan::RunPlan;
use super::plan_json::Description;
use super::responder::Message;
use crate::generator::engine_plan::{EnginePlan, check_prompts};
use ossmark_protocol::Generator;

/// Where the engine's events go; tells the responder when the engine lets go of it.
struct ResponderSink(Sender<Message>);

impl Drop for ResponderSink {
    fn drop(&mut self) {
        let _ = self.0.send(Message::EngineGone);
    }
}

pub(super) fn start_generator(
    plan: &RunPlan,
    messages: &Sender<Message>,
) -> Result<(Arc<dyn Generator>, Description)> {
    let to = ResponderSink(messages.clone());
    let sink: Sink = Box::new(move |event| to.0.send(Message::Event(event)).is_ok());
    let sink = match plan.fault_injection {
        Some(injection) => injection.wrap_sink(sink),
        None => sink,
    };
    let data = plan
        .dataset
        .as_ref()
        .map_or("stand-in".to_owned(), |d| d.content_sha256.clone());
    let started = plan.engine.start(sink, plan.fault_injection)?;
    if let Some(dataset) = &plan.dataset {
        // Servers refuse a request whose answer may outgrow their context; engines here end it there.
        let new = match plan.engine {
            EnginePlan::Http { .. } => plan.template.max_new_tokens,
            EnginePlan::Model { .. } | EnginePlan::Echo(_) => 1,
        };
        check_prompts(&*started.generator, &plan.prompts, new, &dataset.path)?;
    }
    let description = Description {
        engine: plan.engine.name().into(),
        data,
        kernels: started.info.as_ref().and_then(|i| i.kernels.clone()),
        model: started.info.map(|info| info.description),
        remote: started.generator.describe(),
    };
    Ok((started.generator, description))
}
