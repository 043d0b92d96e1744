//! KV memory of the engines here: what keys and values of a run take, and whether there is room. Loads nothing.

use std::path::Path;

use anyhow::{Context, Result};
use ossmark_telemetry::gpu_states;

use crate::doctor::probes::Probe;
use crate::generator::device::Device;
use crate::generator::engine_plan::EnginePlan;
use crate::run::plan::RunPlan;

const MIB: f64 = (1_u64 << 20) as f64;

/// Of one engine.
pub(super) struct KvMemory {
    /// The longest prompt and answer.
    positions: u64,
    /// Bytes of a sequence as long as that.
    longest_bytes: u64,
    /// Sequences of a step, at most.
    seqs: u64,
    /// What there is; `None`: nothing says so before the weights are loaded.
    room_bytes: Option<u64>,
}

impl KvMemory {
    /// Of a run; none where no engine here computes, or its checkpoint has no configuration, which another check says.
    ///
    /// # Errors
    ///
    /// A checkpoint that cannot be read.
    pub(super) fn of(plan: &RunPlan, max_new_tokens: u32) -> Result<Option<Self>> {
        let EnginePlan::Model { weights, devices } = &plan.engine else {
            return Ok(None);
        };
        let Ok(config) = weights.config() else {
            return Ok(None);
        };
        let longest = plan.prompt_tokens.iter().copied().max().unwrap_or(0);
        let positions = u64::from(longest) + u64::from(max_new_tokens);
        let positions = positions.min(config.max_context as u64);
        let (longest_bytes, budget) = devices[0].kv_bytes(&config, positions);
        let room_bytes = match (&devices[0], budget) {
            (Device::Cuda(_), None) => on_gpus(weights.path())?,
            (_, budget) => budget,
        };
        Ok(Some(Self {
            positions,
            longest_bytes,
            seqs: u64::from(*devices[0].limits().0.end()),
            room_bytes,
        }))
    }

    /// Of as many of the longest sequences as there are in a step.
    pub(super) fn most_bytes(&self) -> u64 {
        self.longest_bytes.saturating_mul(self.seqs)
    }

    /// Whether one of the longest has room: with that every run comes to its end.
    pub(super) fn probe(&self, run: &str) -> Probe {
        let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / MIB);
        let each = format!(
            "{run}: {} for a sequence of {} positions, the longest",
            mib(self.longest_bytes),
            self.positions
        );
        let result = match self.room_bytes {
            None => Ok(format!(
                "{each}; how much there is, is known once the weights are loaded"
            )),
            Some(room) if self.longest_bytes > room => {
                Err(format!("{each}, there are {}", mib(room)))
            }
            Some(room) => {
                let at_once = room / self.longest_bytes.max(1);
                let fits = match at_once < self.seqs {
                    true => format!("{at_once} of those at once, others wait"),
                    false => format!("all {} of a step", self.seqs),
                };
                Ok(format!("{each}; {} hold {fits}", mib(room)))
            }
        };
        let mend = "raise --kv-memory-mib, free memory, take --kv-dtype fp8 on a GPU, or lower --max-new-tokens";
        Probe::new("KV memory", result, mend)
    }
}

/// What is free of the GPU that has least, less the files of the weights; buffers, some GiB, are not counted.
fn on_gpus(checkpoint: Option<&Path>) -> Result<Option<u64>> {
    let Some(dir) = checkpoint else {
        return Ok(None);
    };
    let mut weights = 0;
    for entry in std::fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let file = entry.with_context(|| dir.display().to_string())?.path();
        if file.extension().is_some_and(|end| end == "safetensors") {
            let what = std::fs::metadata(&file).with_context(|| file.display().to_string())?;
            weights += what.len();
        }
    }
    let states = gpu_states(None).unwrap_or_default();
    let free = states.iter().filter_map(|state| {
        let (used, all) = state.memory_bytes?;
        Some(all.saturating_sub(used))
    });
    Ok(free.min().map(|free| free.saturating_sub(weights)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_sequence_has_room_or_not() {
        let of = |room_bytes| KvMemory {
            positions: 5000,
            longest_bytes: 100 << 20,
            seqs: 8,
            room_bytes,
        };
        for (room_bytes, ok, part) in [
            (None, true, "once the weights are loaded"),
            (Some((100 << 20) - 1), false, "there are 100.0 MiB"),
            (Some(100 << 20), true, "100.0 MiB hold 1 of those at once"),
            (Some(700 << 20), true, "7 of those at once"),
            (Some(800 << 20), true, "800.0 MiB hold all 8 of a step"),
        ] {
            let found = of(room_bytes).probe("server performance");
            assert_eq!(found.ok, ok, "{found:?}");
            assert!(found.found.contains(part), "{found:?}");
            assert!(
                found
                    .found
                    .contains("100.0 MiB for a sequence of 5000 positions")
            );
        }
        assert_eq!(of(None).most_bytes(), 800 << 20);
    }
}
