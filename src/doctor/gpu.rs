//! What the CUDA engine will use on this machine, and what of its GPUs' set-up to change before a run. Asks the driver and
//! NVML, where they are; makes no context and changes nothing.

use ossmark_engine::cuda::{DeviceInfo, cuda_device, has_cuda_driver, has_kernels_for};
use ossmark_engine::{LoadError, cuda_devices};
use ossmark_telemetry::{GpuState, gpu_states};

use super::Check;

const GIB: f64 = (1_u64 << 30) as f64;
/// More than this of others' memory, or of the clock or power that is held back, is worth a word.
const OTHERS_BYTES: u64 = 1 << 30;
const NEARLY: f64 = 0.98;

/// Nothing where there is no driver, which another line says.
pub(super) fn checks() -> Vec<Check> {
    let mut checks = Vec::new();
    if !has_cuda_driver() {
        return checks;
    }
    let purpose = "CUDA runs";
    match cuda_devices() {
        Err(e) => checks.push(Check::new(
            "GPU",
            purpose,
            Err(e.to_string()),
            "see docs/gpu.md",
        )),
        Ok(0) => checks.push(Check::new(
            "GPU",
            purpose,
            Err("the driver finds no device".into()),
            "see nvidia-smi, and CUDA_VISIBLE_DEVICES",
        )),
        Ok(count) => checks.extend((0..count).map(|ordinal| {
            let found = cuda_device(ordinal).map(|info| engine(ordinal, &info));
            let found = found.map_err(|e: LoadError| e.to_string());
            Check::new("GPU", purpose, found, "see nvidia-smi")
        })),
    }
    let purpose = "undisturbed CUDA runs";
    match gpu_states(None) {
        Err(e) => checks.push(Check::new("GPU set-up", purpose, Err(e), "see nvidia-smi")),
        Ok(states) => {
            for state in &states {
                if let Some(error) = &state.lost {
                    let found = format!("{}: does not answer: {error}", state.index);
                    let fix = "reset it (nvidia-smi -r), or start the machine anew";
                    checks.push(Check::new("GPU set-up", purpose, Err(found), fix));
                    continue;
                }
                checks.push(Check::new("GPU set-up", purpose, Ok(set_up(state)), ""));
                let advice = advice(state).into_iter();
                checks.extend(advice.map(|(found, fix)| {
                    let found = format!("{}: {found}", state.index);
                    Check::new("GPU set-up", purpose, Err(found), fix)
                }));
            }
        }
    }
    checks
}

/// What the engine makes of a device.
fn engine(ordinal: u32, info: &DeviceInfo) -> String {
    let (major, minor) = info.capability;
    let kernels = match has_kernels_for(info.capability) {
        true => "kernels built in",
        false => "kernels compiled at the start, by NVRTC",
    };
    let fast = match info.capability {
        (9, 0) => "all kernels made for speed",
        _ => "without the wgmma kernels, which are Hopper's",
    };
    format!(
        "{ordinal}: {}, compute capability {major}.{minor}, {} multiprocessors, {:.1} GiB; {kernels}, {fast}; driver for CUDA \
         {}.{}",
        info.name,
        info.multiprocessors,
        info.total_bytes as f64 / GIB,
        info.driver / 1000,
        info.driver % 1000 / 10
    )
}

/// As it is.
fn set_up(state: &GpuState) -> String {
    let mut parts = vec![format!("{}: {}", state.index, state.name)];
    let on = |on: bool| if on { "on" } else { "off" };
    for (name, value) in [
        ("persistence", state.persistence),
        ("ECC", state.ecc),
        ("MIG", state.mig),
    ] {
        parts.extend(value.map(|value| format!("{name} {}", on(value))));
    }
    let clock = state.clock_mhz;
    parts.extend(clock.map(|(now, most)| format!("{now} of {most} MHz")));
    let limit = state.power_limit_w;
    parts.extend(limit.map(|(limit, default)| format!("limit {limit:.0} of {default:.0} W")));
    let memory = state.memory_bytes;
    parts.extend(memory.map(|(used, all)| {
        let (used, all) = (used as f64 / GIB, all as f64 / GIB);
        format!("{used:.1} of {all:.1} GiB used")
    }));
    let processes = state.processes;
    parts.extend(processes.map(|n| format!("{n} process(es)")));
    if !state.throttle_reasons.is_empty() {
        parts.push(format!("clocks: {}", state.throttle_reasons.join(", ")));
    }
    parts.join(", ")
}

/// What to change, each with how.
fn advice(state: &GpuState) -> Vec<(String, &'static str)> {
    let mut advice = Vec::new();
    let mut say = |found: &str, fix| advice.push((found.to_owned(), fix));
    if state.mig == Some(true) {
        say(
            "MIG is on: the engine uses one instance, not the GPU",
            "nvidia-smi -i GPU -mig 0, as root, while nobody uses it",
        );
    }
    if state.persistence == Some(false) {
        say(
            "persistence is off: each start waits for the driver, seconds",
            "nvidia-smi -i GPU -pm 1, as root, or nvidia-persistenced",
        );
    }
    if state.ecc == Some(false) {
        say(
            "ECC is off: a flipped bit in 60 GiB of weights goes unnoticed",
            "nvidia-smi -i GPU -e 1, as root, and a reset",
        );
    }
    if let Some((limit, default)) = state.power_limit_w
        && limit < NEARLY * default
    {
        say(
            "the power limit is below the default",
            "nvidia-smi -i GPU -pl WATTS, as root",
        );
    }
    if let Some((used, _)) = state.memory_bytes
        && used > OTHERS_BYTES
    {
        say(
            "others use its memory: keys and values get what is left",
            "end what nvidia-smi lists there",
        );
    }
    let held = |reason: &String| reason.contains("slowdown") || reason.contains("thermal");
    if state.throttle_reasons.iter().any(held) {
        say(
            "clocks are held down for heat or power",
            "look after cooling and power supply",
        );
    }
    advice
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> GpuState {
        GpuState {
            index: 3,
            name: "NVIDIA H200".into(),
            persistence: Some(true),
            ecc: Some(true),
            mig: Some(false),
            clock_mhz: Some((1980, 1980)),
            power_limit_w: Some((700.0, 700.0)),
            memory_bytes: Some((500 << 20, 140 << 30)),
            processes: Some(0),
            throttle_reasons: vec!["gpu_idle".into()],
            lost: None,
        }
    }

    #[test]
    fn what_is_good_is_told_and_nothing_to_change() {
        assert!(advice(&good()).is_empty());
        assert_eq!(
            set_up(&good()),
            "3: NVIDIA H200, persistence on, ECC on, MIG off, 1980 of 1980 MHz, limit 700 of 700 W, 0.5 of 140.0 GiB used, 0 \
             process(es), clocks: gpu_idle"
        );
        // What is not known is not told, and no reason to change anything.
        let unknown = GpuState::default();
        assert_eq!(
            (set_up(&unknown).as_str(), advice(&unknown).len()),
            ("0: ", 0)
        );
    }

    #[test]
    fn each_thing_to_change_is_named() {
        let bad = GpuState {
            persistence: Some(false),
            ecc: Some(false),
            mig: Some(true),
            power_limit_w: Some((500.0, 700.0)),
            memory_bytes: Some((30 << 30, 140 << 30)),
            throttle_reasons: vec!["hw_thermal_slowdown".into()],
            ..good()
        };
        let advice = advice(&bad);
        assert_eq!(advice.len(), 6, "{advice:?}");
        assert!(advice.iter().all(|(_, fix)| !fix.is_empty()));
    }

    #[test]
    fn what_the_engine_makes_of_a_device() {
        let info = DeviceInfo {
            name: "a GPU".into(),
            capability: (8, 0),
            multiprocessors: 108,
            total_bytes: 80 << 30,
            driver: 13_010,
        };
        let said = engine(1, &info);
        assert!(
            said.starts_with("1: a GPU, compute capability 8.0, 108 multiprocessors, 80.0 GiB; ")
                && said.contains("without the wgmma kernels")
                && said.ends_with("CUDA 13.1"),
            "{said}"
        );
    }
}
