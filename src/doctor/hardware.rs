//! The machine as an auditor describes it: processor, memory, network cards, accelerators with clocks and ECC, operating
//! system, the commit of a checkout, hashes of files. Reads /proc, /sys and files, and asks NVML; what cannot be seen
//! is said.

use std::path::Path;

use anyhow::{Context, Result};
use ossmark_audit::fingerprint::{Accelerator, Machine, NetworkCard};
use ossmark_dataset::file_sha256;
use ossmark_telemetry::{GpuState, gpu_states};

use crate::run::provenance::provenance;

/// All but the files and the source.
pub(crate) fn machine() -> Machine {
    let known = provenance(false);
    let mut machine = Machine {
        cpu: known.cpu.as_ref().map(|cpu| cpu.model.clone()),
        packages: known.cpu.as_ref().map(|cpu| cpu.packages as u64),
        cores: known.cpu.as_ref().map(|cpu| cpu.cores as u64),
        cpu_base_mhz: base_mhz(),
        cpu_mhz: cpufreq_mhz("cpuinfo_max_freq"),
        memory_bytes: Some(known.memory_bytes),
        network: network(),
        accelerators: accelerators(),
        os: known.os,
        kernel: Some(known.kernel),
        engine: Some(format!("ossmark {}", known.version)),
        ..Machine::default()
    };
    let mut unseen = |is_unseen: bool, what: &str| {
        if is_unseen {
            machine.not_seen.push(what.to_owned());
        }
    };
    unseen(
        machine.cpu.is_none(),
        "the processor: /proc/cpuinfo lists neither model nor cores",
    );
    unseen(
        machine.cpu_mhz.is_none(),
        "the processor's highest clock: there is no cpufreq in /sys",
    );
    unseen(
        machine.network.is_empty(),
        "network cards: none in /sys/class/net has a device behind it",
    );
    unseen(
        machine.accelerators.is_empty(),
        "accelerators, their clocks and ECC: NVML shows none; ask for the vendor's own tool (rocm-smi, xpu-smi)",
    );
    machine
        .not_seen
        .push("storage, cooling, interconnects, other nodes: look at them".into());
    machine
}

fn read(path: &Path) -> Option<String> {
    ossmark_files::read_to_string(path).ok()
}

fn cpufreq_mhz(name: &str) -> Option<f64> {
    let path = Path::new("/sys/devices/system/cpu/cpu0/cpufreq").join(name);
    let khz: f64 = read(&path)?.trim().parse().ok()?;
    Some(khz / 1000.0)
}

/// As the driver knows it; where there is none, as in a virtual machine, /proc/cpuinfo has the clock of the time stamp counter.
fn base_mhz() -> Option<f64> {
    cpufreq_mhz("base_frequency").or_else(|| {
        let has_driver = cpufreq_mhz("cpuinfo_max_freq").is_some();
        let cpuinfo = (!has_driver).then(|| read(Path::new("/proc/cpuinfo")))??;
        let line = cpuinfo.lines().find(|line| line.starts_with("cpu MHz"))?;
        line.split_once(':')?.1.trim().parse().ok()
    })
}

/// More interfaces than a machine has.
const MOST_CARDS: usize = 256;

fn network() -> Vec<NetworkCard> {
    let entries = std::fs::read_dir("/sys/class/net").into_iter().flatten();
    let cards = entries.take(MOST_CARDS).flatten().filter_map(|entry| {
        let dir = entry.path();
        // Those without are the kernel's own: lo, bridges, tunnels.
        let device = dir.join("device");
        if !device.exists() {
            return None;
        }
        let driver = std::fs::read_link(device.join("driver")).ok();
        let driver = driver.and_then(|link| Some(link.file_name()?.to_string_lossy().into_owned()));
        let speed = read(&dir.join("speed"));
        let slot = std::fs::read_link(&device).ok();
        let slot = slot.and_then(|link| Some(link.file_name()?.to_string_lossy().into_owned()));
        Some(NetworkCard {
            name: entry.file_name().to_string_lossy().into_owned(),
            // The ports of a card are functions of one slot: 0000:41:00.0 and 0000:41:00.1.
            slot: slot.map(|slot| {
                slot.split_once('.')
                    .map_or(slot.clone(), |(slot, _)| slot.into())
            }),
            driver,
            mbit_per_s: speed.and_then(|speed| speed.trim().parse().ok()),
        })
    });
    let mut cards: Vec<NetworkCard> = cards.collect();
    cards.sort_by(|a, b| a.name.cmp(&b.name));
    cards
}

fn accelerators() -> Vec<Accelerator> {
    let states = gpu_states(None).unwrap_or_default();
    states.into_iter().map(accelerator).collect()
}

fn accelerator(state: GpuState) -> Accelerator {
    Accelerator {
        name: state.name,
        memory_mib: state.memory_bytes.map(|(_, all)| all >> 20),
        driver: state.driver,
        mhz: state.clock_mhz.map(|(_, most)| most.into()),
        set_mhz: state.application_mhz.map(Into::into),
        ecc: state.ecc,
        power_limit_w: state.power_limit_w.map(|(enforced, _)| enforced),
    }
}

/// Hashes the files of a checkpoint and its tokenizer into `machine`.
pub(crate) fn hash_model(dir: &Path, machine: &mut Machine) -> Result<()> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("--model {}", dir.display()))?;
    let mut names: Vec<String> = entries
        .take(10_000)
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".safetensors") || name.ends_with(".json"))
        .collect();
    names.sort();
    for name in names {
        let hash = file_sha256(&dir.join(&name))?;
        if name == "tokenizer.json" {
            machine.hashes.insert("tokenizer".into(), hash.clone());
        }
        machine.hashes.insert(format!("checkpoint/{name}"), hash);
    }
    Ok(())
}

/// Hashes a data set into `machine`.
pub(crate) fn hash_dataset(file: &Path, machine: &mut Machine) -> Result<()> {
    let name = file.file_name().unwrap_or(file.as_os_str());
    let name = format!("dataset/{}", name.to_string_lossy());
    machine.hashes.insert(name, file_sha256(file)?);
    Ok(())
}

/// This program's own commit, for a submission that was made with it.
pub(crate) fn look_at_this_program(machine: &mut Machine) {
    let known = provenance(false);
    machine.commit = (known.git_revision != "unknown").then(|| known.git_revision.to_owned());
    machine.is_changed = Some(known.git_dirty == "true");
}

/// The commit of a checkout, from its files: git itself would run what a stranger's configuration names.
pub(crate) fn look_at_source(dir: &Path, machine: &mut Machine) {
    machine.commit = commit(&dir.join(".git"));
    if machine.commit.is_none() {
        let dir = dir.display();
        machine.not_seen.push(format!(
            "the commit of the source: {dir} holds no git checkout that can be read"
        ));
    }
    machine.not_seen.push(
        "whether files of the source were changed: see `git status` and `git diff` there".into(),
    );
}

fn commit(git: &Path) -> Option<String> {
    let is_commit = |text: &str| {
        let text = text.trim();
        let good = matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit());
        good.then(|| text.to_owned())
    };
    let head = read(&git.join("HEAD"))?;
    let Some(name) = head.trim().strip_prefix("ref: ") else {
        return is_commit(&head);
    };
    // A name that leads out of the checkout is none of a branch.
    if !name.starts_with("refs/") || name.contains("..") {
        return None;
    }
    let own = read(&git.join(name)).and_then(|text| is_commit(&text));
    own.or_else(|| {
        let packed = read(&git.join("packed-refs"))?;
        let line = packed
            .lines()
            .find_map(|line| line.strip_suffix(name)?.strip_suffix(' '));
        is_commit(line?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commit_of_a_checkout_is_read_from_its_files() {
        let tmp = tempfile::tempdir().unwrap();
        let git = tmp.path();
        let id = "0123456789abcdef0123456789abcdef01234567";
        let write = |name: &str, text: &str| {
            std::fs::create_dir_all(git.join(name).parent().unwrap()).unwrap();
            std::fs::write(git.join(name), text).unwrap();
        };
        assert_eq!(commit(git), None);
        write("HEAD", &format!("{id}\n"));
        assert_eq!(commit(git).as_deref(), Some(id));
        write("HEAD", "ref: refs/heads/main\n");
        assert_eq!(commit(git), None);
        write(
            "packed-refs",
            &format!("# pack-refs with: peeled\n{id} refs/heads/main\n"),
        );
        assert_eq!(commit(git).as_deref(), Some(id));
        let other = "f".repeat(40);
        write("refs/heads/main", &format!("{other}\n"));
        assert_eq!(commit(git), Some(other));
        write("HEAD", "ref: ../../etc/passwd\n");
        assert_eq!(commit(git), None);
    }

    /// Whatever the machine, there is a description of it.
    #[test]
    fn this_machine() {
        let machine = machine();
        assert!(machine.memory_bytes.unwrap() > 0 && machine.kernel.is_some());
        assert!(!machine.not_seen.is_empty());
    }
}
