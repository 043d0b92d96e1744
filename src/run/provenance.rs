//! Where a result comes from: the program, its commit, the machine. Written into run_plan.json, from where `submission build`
//! takes what it can of the system description: the machine that ran is described, not the one that builds the tree.

use std::collections::BTreeSet;
use std::process::Command;

use serde::Serialize;

/// The program and the machine.
#[derive(Debug, Serialize)]
pub(crate) struct Provenance {
    pub(crate) version: &'static str,
    /// The commit that the binary was built from, or "unknown" outside a checkout.
    pub(crate) git_revision: &'static str,
    /// "true" when tracked files had been changed.
    pub(crate) git_dirty: &'static str,
    pub(crate) kernel: String,
    /// The distribution's name for itself.
    pub(crate) os: Option<String>,
    pub(crate) machine: String,
    /// Threads that this process may use.
    pub(crate) cores: usize,
    pub(crate) cpu: Option<Cpu>,
    pub(crate) memory_bytes: u64,
    /// What NVIDIA's driver lists, in a run on a GPU.
    pub(crate) gpus: Vec<Gpu>,
}

/// As Linux describes it.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Cpu {
    pub(crate) model: String,
    pub(crate) packages: usize,
    /// Of one package, not counting hyperthreads.
    pub(crate) cores: usize,
}

/// As NVIDIA's driver describes it.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Gpu {
    pub(crate) name: String,
    pub(crate) memory_mib: u64,
    pub(crate) driver: String,
}

/// Of this process; `on_gpu` says whether to ask for GPUs.
pub(crate) fn provenance(on_gpu: bool) -> Provenance {
    let uname = rustix::system::uname();
    let info = rustix::system::sysinfo();
    let read =
        |path: &str| ossmark_files::read_to_string(std::path::Path::new(path)).unwrap_or_default();
    Provenance {
        version: env!("CARGO_PKG_VERSION"),
        git_revision: env!("OSSMARK_GIT_REV"),
        git_dirty: env!("OSSMARK_GIT_DIRTY"),
        kernel: format!(
            "{} {}",
            uname.sysname().to_string_lossy(),
            uname.release().to_string_lossy()
        ),
        os: os(&read("/etc/os-release")),
        machine: uname.machine().to_string_lossy().into_owned(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        cpu: cpu(&read("/proc/cpuinfo")),
        memory_bytes: info.totalram * u64::from(info.mem_unit),
        gpus: if on_gpu { gpus() } else { Vec::new() },
    }
}

fn os(release: &str) -> Option<String> {
    let value = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(value.trim_matches('"').to_owned())
}

/// None where Linux lists neither packages nor cores, as on some other architectures.
fn cpu(cpuinfo: &str) -> Option<Cpu> {
    let field = |cpu: &str, key: &str| {
        let pairs = cpu.lines().filter_map(|line| line.split_once(':'));
        let mut values = pairs.filter(|(k, _)| k.trim() == key);
        values.next().map(|(_, value)| value.trim().to_owned())
    };
    // Hyperthreads share a (package, core) pair.
    let cores: BTreeSet<(String, String)> = cpuinfo
        .split("\n\n")
        .filter_map(|cpu| Some((field(cpu, "physical id")?, field(cpu, "core id")?)))
        .collect();
    let packages = cores
        .iter()
        .map(|(package, _)| package)
        .collect::<BTreeSet<_>>()
        .len();
    Some(Cpu {
        model: field(cpuinfo, "model name")?,
        packages,
        cores: cores.len().checked_div(packages)?,
    })
}

fn gpus() -> Vec<Gpu> {
    let query = [
        "--query-gpu=name,memory.total,driver_version",
        "--format=csv,noheader,nounits",
    ];
    let output = Command::new("nvidia-smi").args(query).output();
    output
        .map(|output| listed(&String::from_utf8_lossy(&output.stdout)))
        .unwrap_or_default()
}

/// A line for each GPU; what nvidia-smi says when it finds none is no such line.
fn listed(text: &str) -> Vec<Gpu> {
    let gpu = |line: &str| {
        let fields: Vec<&str> = line.split(", ").collect();
        let [name, memory_mib, driver] = fields.as_slice() else {
            return None;
        };
        Some(Gpu {
            name: (*name).into(),
            memory_mib: memory_mib.parse().ok()?,
            driver: driver.trim().into(),
        })
    };
    text.lines().filter_map(gpu).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_described_as_linux_and_the_driver_do() {
        let thread = |package: u8, core: u8| {
            format!(
                "processor\t: 0\nmodel name\t: AMD EPYC 9554\nphysical id\t: {package}\ncore id\t\t: {core}\n"
            )
        };
        let two_sockets = [
            (0, 0),
            (0, 1),
            (1, 0),
            (1, 1),
            (0, 0),
            (0, 1),
            (1, 0),
            (1, 1),
        ];
        let text: Vec<String> = two_sockets.iter().map(|(p, c)| thread(*p, *c)).collect();
        let expected = Cpu {
            model: "AMD EPYC 9554".into(),
            packages: 2,
            cores: 2,
        };
        assert_eq!(cpu(&text.join("\n")), Some(expected));
        assert_eq!(cpu("processor\t: 0\nBogoMIPS\t: 2000.00\n"), None);
        assert_eq!(
            os("NAME=\"Ubuntu\"\nPRETTY_NAME=\"Ubuntu 24.04.2 LTS\"\n").as_deref(),
            Some("Ubuntu 24.04.2 LTS")
        );
        let gpu = |driver: &str| Gpu {
            name: "NVIDIA H100 80GB HBM3".into(),
            memory_mib: 81559,
            driver: driver.into(),
        };
        let text =
            "NVIDIA H100 80GB HBM3, 81559, 580.82.07\nNVIDIA H100 80GB HBM3, 81559, 580.82.07\n";
        assert_eq!(listed(text), [gpu("580.82.07"), gpu("580.82.07")]);
        assert_eq!(listed("No devices were found\n"), []);
        assert_eq!(
            listed(
                "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n"
            ),
            []
        );
    }
}
