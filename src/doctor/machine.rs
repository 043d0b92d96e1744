//! The machine's own checks: CPU, memory, disk, NVIDIA's driver, the kernel's sandbox features. A file that cannot be read
//! is reported as such, never guessed over.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::{Check, sandbox::Tried};

/// The demo's checkpoint is 8 MiB; the rest is the KV pool and LoadGen's log buffers.
const MIN_MEMORY: u64 = 1 << 30;
/// An accuracy log is 8 hexadecimal digits a token: 4395 answers of at most 32,768 tokens make 1.15 GB.
const MIN_DISK: u64 = 2 << 30;
const GIB: f64 = (1_u64 << 30) as f64;

/// `tried` is the sandbox that was started, which knows whether a user namespace could be had.
pub(super) fn checks(dir: &Path, tried: &Tried) -> Vec<Check> {
    let read = |path: &str| ossmark_files::read_to_string(Path::new(path)).unwrap_or_default();
    vec![
        Check::new(
            "CPU",
            "CPU runs",
            cpu(&read("/proc/cpuinfo")),
            "run on Linux",
        )
        .required(),
        Check::new(
            "memory",
            "CPU runs",
            memory(&read("/proc/meminfo")),
            "free at least 1 GiB",
        )
        .required(),
        Check::new(
            "disk",
            "logs and results",
            disk(dir),
            "free at least 2 GiB, or write elsewhere with --output",
        )
        .required(),
        Check::new(
            "CUDA driver",
            "CUDA runs",
            cuda(),
            "install NVIDIA's driver",
        ),
        Check::new(
            "NVRTC",
            "CUDA runs of a binary built without nvcc",
            nvrtc(),
            "install NVIDIA's libnvrtc (CUDA 12 or later)",
        ),
        Check::new(
            "user namespaces",
            "the sandbox of LiveCodeBench programs",
            namespaces(
                &|path| ossmark_files::read_to_string(Path::new(path)).ok(),
                tried,
            ),
            "raise user.max_user_namespaces, or allow unprivileged ones (sysctl kernel.unprivileged_userns_clone, \
             kernel.apparmor_restrict_unprivileged_userns; in a container, its system call filter)",
        ),
        Check::new(
            "seccomp",
            "the sandbox of LiveCodeBench programs",
            seccomp(&read("/proc/self/status")),
            "use a kernel with CONFIG_SECCOMP_FILTER",
        ),
    ]
}

/// `key : value` or `key: value`, first match.
fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(k, _)| k.trim() == key)
        .map(|(_, v)| v.trim())
}

fn cpu(cpuinfo: &str) -> Result<String, String> {
    // Hyperthreads share a (physical id, core id) pair; other architectures list neither.
    let cores: BTreeSet<_> = cpuinfo
        .split("\n\n")
        .filter_map(|cpu| Some((field(cpu, "physical id")?, field(cpu, "core id")?)))
        .collect();
    let threads =
        std::thread::available_parallelism().map_err(|e| format!("number of CPUs unknown: {e}"))?;
    let model = field(cpuinfo, "model name").unwrap_or(std::env::consts::ARCH);
    let cores = if cores.is_empty() {
        String::new()
    } else {
        format!("{} cores, ", cores.len())
    };
    Ok(format!(
        "{model}, {cores}{threads} threads usable, SIMD: {}",
        simd()
    ))
}

fn simd() -> String {
    #[cfg(target_arch = "x86_64")]
    let found = [
        ("AVX2", is_x86_feature_detected!("avx2")),
        ("FMA", is_x86_feature_detected!("fma")),
        ("AVX-512F", is_x86_feature_detected!("avx512f")),
        ("AVX-512BF16", is_x86_feature_detected!("avx512bf16")),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let found = [("NEON", cfg!(target_arch = "aarch64"))];
    let names: Vec<&str> = found
        .iter()
        .filter(|(_, has)| *has)
        .map(|(name, _)| *name)
        .collect();
    if names.is_empty() {
        "none that is used".into()
    } else {
        names.join(", ")
    }
}

fn memory(meminfo: &str) -> Result<String, String> {
    let bytes = |key| {
        field(meminfo, key)?
            .strip_suffix(" kB")?
            .parse::<u64>()
            .ok()?
            .checked_mul(1024)
    };
    let (Some(total), Some(available)) = (bytes("MemTotal"), bytes("MemAvailable")) else {
        return Err("/proc/meminfo does not say".into());
    };
    let text = format!(
        "{:.1} GiB available of {:.1} GiB",
        available as f64 / GIB,
        total as f64 / GIB
    );
    if available >= MIN_MEMORY {
        Ok(text)
    } else {
        Err(text)
    }
}

fn disk(dir: &Path) -> Result<String, String> {
    let stat = rustix::fs::statvfs(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let text = format!("{:.1} GiB free at {}", free as f64 / GIB, dir.display());
    if free >= MIN_DISK {
        Ok(text)
    } else {
        Err(text)
    }
}

/// Where distributions and containers put shared libraries, for both architectures that NVIDIA serves.
const LIBRARY_DIRS: [&str; 9] = [
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/nvidia/lib64",
    "/usr/local/cuda/lib64",
    "/usr/local/cuda/compat",
    "/usr/lib/wsl/lib",
    "/run/opengl-driver/lib",
];

fn library(names: &[&str]) -> Option<PathBuf> {
    let given = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&given).chain(LIBRARY_DIRS.iter().map(PathBuf::from));
    dirs.filter(|dir| dir.is_absolute())
        .flat_map(|dir| names.iter().map(move |name| dir.join(name)))
        .find(|p| p.exists())
}

fn cuda() -> Result<String, String> {
    let kernel = ossmark_files::read_to_string(Path::new("/proc/driver/nvidia/version")).ok();
    let version = kernel
        .as_deref()
        .and_then(|text| Some(field(text, "NVRM version")?.to_owned()));
    let gpus: Vec<String> = fs::read_dir("/proc/driver/nvidia/gpus")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            ossmark_files::read_to_string(&entry.ok()?.path().join("information")).ok()
        })
        .filter_map(|text| field(&text, "Model").map(str::to_owned))
        .collect();
    match (library(&["libcuda.so.1"]), version) {
        (Some(library), Some(version)) => {
            let gpus = if gpus.is_empty() {
                "no GPU listed".into()
            } else {
                gpus.join(", ")
            };
            Ok(format!("{version}; {gpus}; {}", library.display()))
        }
        (Some(library), None) => Err(format!("{} without a kernel module", library.display())),
        (None, Some(version)) => Err(format!("kernel module {version} without libcuda.so.1")),
        (None, None) => Err("no libcuda.so.1, no /proc/driver/nvidia".into()),
    }
}

fn nvrtc() -> Result<String, String> {
    const NAMES: [&str; 3] = ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"];
    library(&NAMES)
        .map(|path| path.display().to_string())
        .ok_or_else(|| format!("none of {}", NAMES.join(", ")))
}

/// `read` gives a file's text, so that the tests can play other kernels. What the kernel's settings permit a filter may still
/// forbid: whoever tried knows.
fn namespaces(read: &dyn Fn(&str) -> Option<String>, tried: &Tried) -> Result<String, String> {
    let number = |path: &str| read(path).and_then(|text| text.trim().parse::<u64>().ok());
    let Some(max) = number("/proc/sys/user/max_user_namespaces") else {
        return Err(
            "the kernel has none (/proc/sys/user/max_user_namespaces cannot be read)".into(),
        );
    };
    if max == 0 {
        return Err("forbidden: user.max_user_namespaces is 0".into());
    }
    // Debian's and Ubuntu's own switches; other kernels do not have the files.
    let mut why = String::new();
    if number("/proc/sys/kernel/unprivileged_userns_clone") == Some(0) {
        why = "forbidden to ordinary users: kernel.unprivileged_userns_clone is 0".into();
    } else if number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == Some(1) {
        why = "restricted: kernel.apparmor_restrict_unprivileged_userns is 1".into();
    }
    match tried {
        Ok(layers) if layers.user_namespace => Ok(format!("allowed, at most {max}")),
        Ok(layers) => {
            let lost = layers.lost.get("user namespace");
            let lost = lost.map_or("it could not be had", String::as_str);
            let settings = match why.as_str() {
                "" => String::from("the kernel's settings allow them"),
                why => why.to_owned(),
            };
            Err(format!("tried and refused ({lost}); {settings}"))
        }
        Err(_) if why.is_empty() => Ok(format!(
            "the kernel's settings allow them, at most {max}; not tried, because the sandbox cannot be started"
        )),
        Err(_) => Err(why),
    }
}

fn seccomp(status: &str) -> Result<String, String> {
    match field(status, "Seccomp") {
        None => Err("the kernel has none".into()),
        Some("0") => Ok("available".into()),
        Some(mode) => Ok(format!(
            "available; this process is under a filter already (mode {mode})"
        )),
    }
}

#[cfg(test)]
mod tests {
    use ossmark_score::lcb::Layers;

    use super::*;

    #[test]
    fn hyperthreads_are_not_cores() {
        let one = |cpu: u32| {
            format!(
                "processor\t: {cpu}\nmodel name\t: Some CPU\nphysical id\t: 0\ncore id\t: {}\n",
                cpu / 2
            )
        };
        let text = cpu(&[one(0), one(1), one(2), one(3)].join("\n")).unwrap();
        assert!(text.starts_with("Some CPU, 2 cores, "), "{text}");
        assert!(cpu("").unwrap().starts_with(std::env::consts::ARCH));
    }

    #[test]
    fn too_little_memory_is_missing() {
        let text = |available: u64| {
            format!("MemTotal:       16000000 kB\nMemFree: 1 kB\nMemAvailable: {available} kB\n")
        };
        assert_eq!(
            memory(&text(8 << 20)).unwrap(),
            "8.0 GiB available of 15.3 GiB"
        );
        assert!(memory(&text(1000)).is_err() && memory("").is_err());
    }

    #[test]
    fn disk_of_a_missing_directory() {
        assert!(
            disk(Path::new("/nonexistent/dir"))
                .unwrap_err()
                .contains("/nonexistent/dir")
        );
    }

    #[test]
    fn kernels_that_forbid_namespaces() {
        const MAX: &str = "/proc/sys/user/max_user_namespaces";
        const DEBIAN: &str = "/proc/sys/kernel/unprivileged_userns_clone";
        const UBUNTU: &str = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
        let kernel = |files: &'static [(&str, &str)], tried: &Tried| {
            let read = |path: &str| {
                let file = files.iter().find(|(name, _)| *name == path);
                file.map(|(_, text)| format!("{text}\n"))
            };
            namespaces(&read, tried)
        };
        let untried: Tried = Err("no Python".into());
        let had: Tried = Ok(Layers {
            user_namespace: true,
            ..Layers::default()
        });
        let mut layers = Layers::default();
        layers
            .lost
            .insert("user namespace".into(), "unshare: EPERM".into());
        let lost: Tried = Ok(layers);
        for (files, may, text) in [
            (&[(MAX, "100")][..], true, "100"),
            (&[(MAX, "0")], false, "is 0"),
            (&[], false, "cannot be read"),
            (&[(MAX, "100"), (DEBIAN, "0")], false, "clone is 0"),
            (&[(MAX, "100"), (DEBIAN, "1")], true, "100"),
            (&[(MAX, "100"), (UBUNTU, "1")], false, "userns is 1"),
        ] {
            let said = kernel(files, &untried);
            assert_eq!(said.is_ok(), may, "{said:?}");
            let said = said.unwrap_or_else(|said| said);
            assert!(said.contains(text), "{said}");
            assert_eq!(may, said.contains("not tried"), "{said}");
        }
        // Whatever the settings say: what was tried counts.
        for files in [&[(MAX, "100")][..], &[(MAX, "100"), (UBUNTU, "1")]] {
            assert_eq!(kernel(files, &had).unwrap(), "allowed, at most 100");
            let refused = kernel(files, &lost).unwrap_err();
            assert!(refused.contains("unshare: EPERM"), "{refused}");
        }
    }

    #[test]
    fn security_modules() {
        assert_eq!(
            seccomp("Name:\tx\nSeccomp:\t0\nSeccomp_filters:\t0\n").unwrap(),
            "available"
        );
        assert!(seccomp("Seccomp:\t2\n").unwrap().contains("mode 2"));
        assert!(seccomp("Name:\tx\n").is_err());
    }
}
