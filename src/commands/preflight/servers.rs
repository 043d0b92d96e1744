//! Servers of `--engine http`: whether they answer, with which models, and whether prompts and answers fit them. Connects to
//! them as a run would, and sends no prompt of the benchmark.

use std::path::Path;

use ossmark_protocol::Description;
use ossmark_rules::Scenario;
use serde_json::Value;

use super::runs::RunForecast;
use crate::doctor::probes::{Needs, Probe};
use crate::generator::engine_plan::{EnginePlan, check_prompts};
use crate::run::plan::RunPlan;

/// None of another engine.
pub(super) fn servers(plan: &RunPlan) -> Option<Probe> {
    let EnginePlan::Http { settings, .. } = &plan.engine else {
        return None;
    };
    let result = match plan.engine.start(Box::new(|_| true), None) {
        Err(error) => Err(format!("{error:#}")),
        Ok(started) => {
            let file = plan
                .dataset
                .as_ref()
                .map_or(Path::new("prompts"), |data| data.path.as_path());
            let new = plan.template.max_new_tokens;
            let fits = check_prompts(&*started.generator, &plan.prompts, new, file);
            let description = started.generator.describe();
            started.generator.shutdown();
            let differs = description.as_ref().and_then(|of| of.differences.first());
            match (fits, differs) {
                (Err(error), _) => Err(format!("{error:#}")),
                (Ok(()), Some(difference)) => Err(difference.clone()),
                (Ok(()), None) => Ok(format!(
                    "{} answer ({}); all prompts and answers fit",
                    settings.endpoints.len(),
                    told(description.as_ref())
                )),
            }
        }
    };
    let mend = "see that the servers run, are reachable from here and serve the model; docs/remote.md says what they are asked";
    Some(Probe::new("servers", result, mend))
}

/// What each server says it is.
fn told(description: Option<&Description>) -> String {
    let servers = description.map_or(&[][..], |description| description.servers.as_slice());
    let each = servers.iter().map(|server| {
        let mut parts = vec![format!("{}: {}", server.endpoint, server.api)];
        parts.extend(server.version.as_ref().map(|of| format!("version {of}")));
        let most = server.max_model_len;
        parts.extend(most.map(|most| format!("{most} positions")));
        let at_once = server.settings.get("max_running_requests");
        let at_once = at_once.and_then(Value::as_u64);
        parts.extend(at_once.map(|most| format!("{most} requests at once")));
        parts.join(", ")
    });
    each.collect::<Vec<_>>().join("; ")
}

/// Whether as many requests may be open as the run will have, where servers answer and that is known. In Offline all are due at
/// once, and it does not matter where they wait.
pub(super) fn streams(plan: &RunPlan, run: &str, forecast: &RunForecast) -> Option<Probe> {
    let EnginePlan::Http { settings, .. } = &plan.engine else {
        return None;
    };
    if plan.scenario == Scenario::Offline {
        return None;
    }
    let (open, most) = (forecast.open?, settings.max_concurrency as u64);
    let text = format!("{run}: up to {open} requests open at once, --max-concurrency {most}");
    let result = match open <= most {
        true => Ok(text),
        false => Err(text + ": the others wait here, which counts as the servers' time"),
    };
    let mend = "raise --max-concurrency, or lower target_qps";
    Some(Probe::new("streams", result, mend))
}

/// What a run needs of this machine.
pub(super) fn needs(plan: &RunPlan) -> Needs {
    match &plan.engine {
        EnginePlan::Http { settings, .. } => {
            let connections = settings.max_concurrency as u64;
            let each = connections.div_ceil(settings.source_addresses.len().max(1) as u64);
            Needs {
                descriptors: connections,
                connections: each.div_ceil(settings.endpoints.len().max(1) as u64),
            }
        }
        EnginePlan::Model { .. } | EnginePlan::Echo(_) => Needs::default(),
    }
}
