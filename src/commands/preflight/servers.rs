//! Servers of `--engine http`: whether they answer, with which models, and whether prompts and answers fit them. Connects to
//! them as a run would, and sends no prompt of the benchmark.

use std::path::Path;

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
            started.generator.shutdown();
            match fits {
                Ok(()) => Ok(format!(
                    "{} answer; all prompts fit",
                    settings.endpoints.len()
                )),
                Err(error) => Err(format!("{error:#}")),
            }
        }
    };
    let mend = "see that the servers run, are reachable from here and serve the model; docs/remote.md says what they are asked";
    Some(Probe::new("servers", result, mend))
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
