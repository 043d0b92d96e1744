//! Machines that are good, and mistakes planted into one.

use super::*;

/// A file of a machine, below its root.
type Files = &'static [(&'static str, &'static str)];

const GOOD: Files = &[
    (
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
        "performance\n",
    ),
    (
        "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor",
        "performance\n",
    ),
    ("sys/fs/cgroup/cpu.max", "max 100000\n"),
    ("proc/loadavg", "0.10 0.20 0.30 1/100 1234\n"),
    ("proc/stat", "cpu  1 2 3\ncpu0 1 2 3\ncpu1 1 2 3\nintr 5\n"),
    (
        "proc/meminfo",
        "MemTotal: 100 kB\nSwapTotal:       2097148 kB\nSwapFree:        2097148 kB\n",
    ),
    (
        "sys/devices/system/clocksource/clocksource0/current_clocksource",
        "tsc\n",
    ),
    ("run/systemd/timesync/synchronized", ""),
    (
        "proc/self/limits",
        "Limit  Soft Limit  Hard Limit  Units\nMax open files            65536  65536  files\n",
    ),
    ("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n"),
];

const NEEDS: Needs = Needs {
    descriptors: 2048,
    connections: 1024,
};

/// The names of what is not good, with what was found.
fn bad(files: Files, changed: Files, needs: &Needs) -> Vec<(&'static str, String)> {
    let tmp = tempfile::tempdir().unwrap();
    let is_changed = |path: &str| changed.iter().any(|(changed, _)| *changed == path);
    let kept = files.iter().filter(|(path, _)| !is_changed(path));
    for (path, text) in kept.chain(changed) {
        let file = tmp.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        // A file of no text is one that is not there.
        if *text != "-" {
            std::fs::write(&file, text).unwrap();
        }
    }
    let probes = Host::at(tmp.path()).probes(needs);
    for probe in &probes {
        assert!(
            !probe.found.is_empty() && probe.ok == probe.mend.is_none(),
            "{probe:?}"
        );
    }
    let wrong = probes.into_iter().filter(|probe| !probe.ok);
    wrong.map(|probe| (probe.name, probe.found)).collect()
}

#[test]
fn good_machines_are_not_called_bad() {
    let good: [(&str, Files, Files); 11] = [
        ("a server", GOOD, &[]),
        ("a container, which tells nothing", &[], &[]),
        (
            "no swap",
            GOOD,
            &[("proc/meminfo", "SwapTotal: 0 kB\nSwapFree: 0 kB\n")],
        ),
        (
            "a little swapped out",
            GOOD,
            &[(
                "proc/meminfo",
                "SwapTotal: 999999 kB\nSwapFree: 950000 kB\n",
            )],
        ),
        (
            "chrony",
            GOOD,
            &[
                ("run/systemd/timesync/synchronized", "-"),
                ("run/chrony/chronyd.pid", "7"),
            ],
        ),
        (
            "a virtual machine's clock",
            GOOD,
            &[(
                "sys/devices/system/clocksource/clocksource0/current_clocksource",
                "kvm-clock\n",
            )],
        ),
        (
            "ARM's clock",
            GOOD,
            &[(
                "sys/devices/system/clocksource/clocksource0/current_clocksource",
                "arch_sys_counter\n",
            )],
        ),
        (
            "unlimited files",
            GOOD,
            &[(
                "proc/self/limits",
                "Max open files            unlimited  unlimited  files\n",
            )],
        ),
        (
            "a low soft limit, which a run raises",
            GOOD,
            &[(
                "proc/self/limits",
                "Max open files            1024  524288  files\n",
            )],
        ),
        (
            "half of its CPUs busy",
            GOOD,
            &[("proc/loadavg", "1.00 5 5 1/1 1\n")],
        ),
        (
            "no quota in words",
            GOOD,
            &[("sys/fs/cgroup/cpu.max", "max\n")],
        ),
    ];
    for (name, files, changed) in good {
        let found = bad(files, changed, &NEEDS);
        assert!(found.is_empty(), "{name}: {found:?}");
    }
}

#[test]
fn each_planted_mistake_is_found_and_no_other() {
    let mistakes: [(&str, &str, Files); 10] = [
        (
            "CPU governor",
            "powersave on 1 of 2 CPUs",
            &[(
                "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor",
                "powersave\n",
            )],
        ),
        (
            "CPU governor",
            "schedutil on 1 of 2",
            &[(
                "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
                "schedutil\n",
            )],
        ),
        (
            "CPU quota",
            "1.50 CPUs",
            &[("sys/fs/cgroup/cpu.max", "150000 100000\n")],
        ),
        (
            "other work",
            "load 1.90 of 2 CPUs",
            &[("proc/loadavg", "1.90 0 0 1/1 1\n")],
        ),
        (
            "swap",
            "1024 MiB in use",
            &[(
                "proc/meminfo",
                "SwapTotal: 2097152 kB\nSwapFree: 1048576 kB\n",
            )],
        ),
        (
            "clock source",
            "hpet",
            &[(
                "sys/devices/system/clocksource/clocksource0/current_clocksource",
                "hpet\n",
            )],
        ),
        (
            "clock source",
            "acpi_pm",
            &[(
                "sys/devices/system/clocksource/clocksource0/current_clocksource",
                "acpi_pm\n",
            )],
        ),
        (
            "clock",
            "not set it yet",
            &[("run/systemd/timesync/synchronized", "-")],
        ),
        (
            "open files",
            "1024 at most, expected 2304",
            &[(
                "proc/self/limits",
                "Max open files            1024  1024  files\n",
            )],
        ),
        (
            "ports",
            "1000 for 1024 connections",
            &[("proc/sys/net/ipv4/ip_local_port_range", "40000 40999\n")],
        ),
    ];
    for (name, part, changed) in mistakes {
        let found = bad(GOOD, changed, &NEEDS);
        assert!(
            matches!(&found[..], [(only, found)] if *only == name && found.contains(part)),
            "{name}, {part}: {found:?}"
        );
    }
}

#[test]
fn this_machine_says_something() {
    let probes = Host::here().probes(&Needs::default());
    assert!(
        probes.iter().all(|probe| !probe.found.is_empty()),
        "{probes:?}"
    );
    let json = serde_json::to_value(Probe::new("a", Ok("b".into()), "c")).unwrap();
    assert_eq!(
        json,
        serde_json::json!({ "name": "a", "ok": true, "found": "b", "mend": null })
    );
}
