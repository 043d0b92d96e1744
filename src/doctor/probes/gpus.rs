//! GPUs as NVML shows them: what makes one of them slower than it could be, or unlike the next time.

use ossmark_telemetry::GpuState;

use super::Probe;
use crate::terminal::text::counted;

/// Reasons that hold a clock down without anything being wrong: nothing to do, or a limit of the board that all runs meet.
const HARMLESS: [&str; 4] = [
    "gpu_idle",
    "sw_power_cap",
    // Looked at by itself.
    "applications_clocks_setting",
    "user_defined_clocks",
];

/// More than this of others' memory is worth a word: a driver and its display use some.
const OTHERS_BYTES: u64 = 1 << 30;
/// Of the default power limit.
const NEARLY: f64 = 0.98;

/// Looks at each; none of no GPU.
pub(crate) fn gpus(gpus: &[GpuState]) -> Vec<Probe> {
    if gpus.is_empty() {
        return Vec::new();
    }
    let of = |bad: &dyn Fn(&GpuState) -> Option<String>, good: &str| {
        let wrong: Vec<String> = gpus
            .iter()
            .filter_map(|gpu| Some(format!("GPU {}: {}", gpu.index, bad(gpu)?)))
            .collect();
        match wrong.is_empty() {
            true => Ok(format!("{good} ({})", counted(gpus.len() as u64, "GPU"))),
            false => Err(wrong.join("; ")),
        }
    };
    vec![
        Probe::new(
            "GPU answers",
            of(&|gpu| gpu.lost.clone(), "yes"),
            "reset it (nvidia-smi -r), or start the machine anew",
        ),
        Probe::new(
            "GPU MIG",
            of(
                &|gpu| {
                    (gpu.mig == Some(true))
                        .then(|| "on: the engine uses one instance, not the GPU".to_owned())
                },
                "off, or not known",
            ),
            "nvidia-smi -i GPU -mig 0, as root, while nobody uses it",
        ),
        Probe::new(
            "GPU power limit",
            of(
                &|gpu| {
                    let (limit, default) = gpu.power_limit_w?;
                    (limit < NEARLY * default)
                        .then(|| format!("{limit:.0} W, below the default of {default:.0} W"))
                },
                "the default, or not known",
            ),
            "nvidia-smi -i GPU -pl WATTS, as root, or say in the system's description that it is lower",
        ),
        Probe::new(
            "GPU memory",
            of(
                &|gpu| {
                    let (used, all) = gpu.memory_bytes?;
                    (used > OTHERS_BYTES).then(|| {
                        format!(
                            "others use {} of {} MiB: keys and values get what is left",
                            used >> 20,
                            all >> 20
                        )
                    })
                },
                "not used by others",
            ),
            "end what nvidia-smi lists there",
        ),
        Probe::new(
            "GPU ECC",
            of(
                &|gpu| (gpu.ecc == Some(false)).then(|| "off".to_owned()),
                "on, or not known",
            ),
            "switch it on and restart: nvidia-smi -e 1 (datacenter systems run with it)",
        ),
        Probe::new(
            "GPU persistence",
            of(
                &|gpu| (gpu.persistence == Some(false)).then(|| "off".to_owned()),
                "on, or not known",
            ),
            "nvidia-smi -pm 1, or nvidia-persistenced: the driver loads anew for each process otherwise",
        ),
        Probe::new(
            "GPU processes",
            of(
                &|gpu| {
                    let others = gpu.processes.filter(|n| *n > 0)?;
                    Some(format!("other processes: {others}"))
                },
                "none",
            ),
            "end them (nvidia-smi shows which): they take memory and time",
        ),
        Probe::new(
            "GPU clocks",
            of(
                &|gpu| {
                    let (set, (_, most)) = (gpu.application_mhz?, gpu.clock_mhz?);
                    (set < most).then(|| format!("{set} MHz of {most} MHz"))
                },
                "not held down by settings",
            ),
            "nvidia-smi -rac, or say in the system's description that they are lower",
        ),
        Probe::new(
            "GPU throttling",
            of(
                &|gpu| {
                    let reasons = gpu.throttle_reasons.iter();
                    let wrong: Vec<&str> = reasons
                        .map(String::as_str)
                        .filter(|reason| !HARMLESS.contains(reason))
                        .collect();
                    (!wrong.is_empty()).then(|| wrong.join(", "))
                },
                "none",
            ),
            "cool it, or see what holds its clock down: nvidia-smi -q -d PERFORMANCE",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> GpuState {
        GpuState {
            index: 0,
            name: "NVIDIA H200".into(),
            ecc: Some(true),
            persistence: Some(true),
            processes: Some(0),
            mig: Some(false),
            clock_mhz: Some((345, 1980)),
            application_mhz: Some(1980),
            power_limit_w: Some((700.0, 700.0)),
            memory_bytes: Some((500 << 20, 140 << 30)),
            throttle_reasons: vec!["gpu_idle".into()],
            ..GpuState::default()
        }
    }

    fn wrong(state: GpuState) -> Vec<(&'static str, String)> {
        let all = [good(), GpuState { index: 1, ..state }];
        let wrong = gpus(&all).into_iter().filter(|probe| !probe.ok);
        wrong.map(|probe| (probe.name, probe.found)).collect()
    }

    #[test]
    fn good_gpus_are_not_called_bad() {
        assert!(gpus(&[]).is_empty());
        for state in [
            good(),
            GpuState::default(),
            GpuState {
                throttle_reasons: vec!["sw_power_cap".into()],
                ..good()
            },
        ] {
            assert!(wrong(state.clone()).is_empty(), "{state:?}");
        }
    }

    #[test]
    fn each_planted_mistake_is_found_and_no_other() {
        for (name, part, state) in [
            (
                "GPU answers",
                "GPU is lost",
                GpuState {
                    lost: Some("GPU is lost".into()),
                    ..GpuState::default()
                },
            ),
            (
                "GPU MIG",
                "on",
                GpuState {
                    mig: Some(true),
                    ..good()
                },
            ),
            (
                "GPU power limit",
                "500 W, below the default of 700 W",
                GpuState {
                    power_limit_w: Some((500.0, 700.0)),
                    ..good()
                },
            ),
            (
                "GPU memory",
                "others use 30720 of 143360 MiB",
                GpuState {
                    memory_bytes: Some((30 << 30, 140 << 30)),
                    ..good()
                },
            ),
            (
                "GPU ECC",
                "off",
                GpuState {
                    ecc: Some(false),
                    ..good()
                },
            ),
            (
                "GPU persistence",
                "off",
                GpuState {
                    persistence: Some(false),
                    ..good()
                },
            ),
            (
                "GPU processes",
                "other processes: 3",
                GpuState {
                    processes: Some(3),
                    ..good()
                },
            ),
            (
                "GPU clocks",
                "1500 MHz of 1980 MHz",
                GpuState {
                    application_mhz: Some(1500),
                    ..good()
                },
            ),
            (
                "GPU throttling",
                "hw_thermal_slowdown",
                GpuState {
                    throttle_reasons: vec!["gpu_idle".into(), "hw_thermal_slowdown".into()],
                    ..good()
                },
            ),
        ] {
            let found = wrong(state);
            let expected = format!("GPU 1: {part}");
            assert!(
                matches!(&found[..], [(only, found)] if *only == name && found.starts_with(&expected)),
                "{name}: {found:?}"
            );
        }
    }
}
