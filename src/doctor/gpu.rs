//! What the CUDA engine will use on this machine, and how its GPUs are set up; what of that to change is a probe's to say. Asks
//! the driver, where it is; makes no context and changes nothing.

use ossmark_engine::cuda::{DeviceInfo, cuda_device, has_cuda_driver, has_kernels_for};
use ossmark_engine::{LoadError, cuda_devices};
use ossmark_telemetry::GpuState;

use super::Check;

const GIB: f64 = (1_u64 << 30) as f64;

/// Nothing where there is no driver, which another line says.
pub(super) fn checks(states: &Result<Vec<GpuState>, String>) -> Vec<Check> {
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
    match states {
        Err(e) => checks.push(Check::new(
            "GPU set-up",
            purpose,
            Err(e.clone()),
            "see nvidia-smi",
        )),
        Ok(states) => {
            let answering = states.iter().filter(|state| state.lost.is_none());
            checks.extend(
                answering.map(|state| Check::new("GPU set-up", purpose, Ok(set_up(state)), "")),
            );
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
    parts.extend(processes.map(|n| format!("processes: {n}")));
    if !state.throttle_reasons.is_empty() {
        parts.push(format!("clocks: {}", state.throttle_reasons.join(", ")));
    }
    parts.join(", ")
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
            driver: Some("570.86.10".into()),
            clock_mhz: Some((1980, 1980)),
            application_mhz: Some(1980),
            power_limit_w: Some((700.0, 700.0)),
            memory_bytes: Some((500 << 20, 140 << 30)),
            processes: Some(0),
            throttle_reasons: vec!["gpu_idle".into()],
            lost: None,
        }
    }

    #[test]
    fn what_is_known_is_told() {
        assert_eq!(
            set_up(&good()),
            "3: NVIDIA H200, persistence on, ECC on, MIG off, 1980 of 1980 MHz, limit 700 of 700 W, 0.5 of 140.0 GiB used, \
             processes: 0, clocks: gpu_idle"
        );
        // What is not known is not told.
        assert_eq!(set_up(&GpuState::default()), "0: ");
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
