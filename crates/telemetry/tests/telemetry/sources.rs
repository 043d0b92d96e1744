//! Sources beside each other, and what is told of them.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant, SystemTime};

use ossmark_telemetry::{Method, Power, Settings, SourceKind, Telemetry, Window, gpu_states};

use crate::fake::{library, nothing, nvml};

/// Waits for something, far longer than it can take.
pub(crate) fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            Instant::now() < end,
            "it has not come about within a minute"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Measures until `enough`, and for some readings more.
fn measure(settings: &Settings, enough: impl Fn(&Telemetry) -> bool) -> Power {
    let telemetry = Telemetry::start(settings).unwrap();
    until(|| enough(&telemetry).then_some(()));
    let begin = SystemTime::now();
    std::thread::sleep(settings.interval * 5);
    let window = Window::new(begin, SystemTime::now());
    let power = telemetry.stop().power(window, Some(1000));
    // Whatever happened can be written and read.
    assert_eq!(
        Power::from_json(power.to_json().as_bytes())
            .unwrap()
            .sources
            .len(),
        power.sources.len()
    );
    power
}

fn shows_power(telemetry: &Telemetry) -> bool {
    telemetry.latest().power_w.is_some()
}

fn only_reason(power: &Power) -> &str {
    assert!(
        power.sources.is_empty() && power.energy_j.is_none() && power.tokens_per_joule.is_none()
    );
    let [left_out] = &power.left_out[..] else {
        panic!("{power:?}")
    };
    &left_out.reasons[0]
}

#[test]
fn nvmls_counters_become_energy_and_its_figures_are_shown() {
    let telemetry = Telemetry::start(&nvml("GOOD")).unwrap();
    let latest = until(|| Some(telemetry.latest()).filter(|latest| latest.gpus.len() == 2));
    assert_eq!(latest.power_w, Some(400.0));
    let gpu = &latest.gpus[0];
    assert_eq!((gpu.id.as_str(), gpu.name.as_str()), ("GPU-0", "Fake GPU"));
    let figures = &gpu.figures;
    assert_eq!(
        (figures.power_w, figures.clock_mhz, figures.temperature_c),
        (Some(300.0), Some(1755.0), Some(61.0))
    );
    assert_eq!(
        (figures.memory_used_mib, figures.utilization_percent),
        (Some(1024.0), Some(97.0))
    );
    assert_eq!(
        figures.throttle_reasons.as_deref(),
        Some(&["sw_power_cap".to_owned()][..])
    );
    assert!(figures.energy_j.unwrap() > 0.0);
    assert_eq!(
        latest.gpus[1].figures.throttle_reasons.as_deref(),
        Some(&[][..])
    );

    let begin = SystemTime::now();
    std::thread::sleep(Duration::from_millis(500));
    let window = Window::new(begin, SystemTime::now());
    let power = telemetry.stop().power(window, Some(1000));
    assert_eq!(power.source.as_deref(), Some("NVML"));
    let energy = power.energy_j.unwrap();
    assert!(energy > 0.0, "{energy}");
    assert_eq!(power.tokens_per_joule, Some(1000.0 / energy));
    let devices = &power.sources[0].devices;
    assert!(
        devices.iter().all(|d| d.method == Method::Counter),
        "{power:?}"
    );
    assert_eq!(power.left_out, []);
}

#[test]
fn without_counters_power_is_integrated() {
    let power = measure(&nvml("NO_COUNTER"), shows_power);
    let source = &power.sources[0];
    assert_eq!(source.devices[0].method, Method::Trapezoid);
    assert!((source.mean_w - 400.0).abs() < 1e-6, "{source:?}");
    assert_eq!((source.max_w, source.devices[0].counter_j), (400.0, None));
}

#[test]
fn a_library_that_is_not_there_is_no_trouble() {
    let power = measure(&nothing(), |_| true);
    assert!(
        only_reason(&power).contains("/no/such/libnvidia-ml.so.1"),
        "{power:?}"
    );
    assert!(power.left_out[0].absent);
    let power = measure(&nvml("NO_DRIVER"), |_| true);
    assert!(power.left_out[0].absent, "{power:?}");
}

#[test]
fn a_library_that_hangs_or_fails_is_left_out_and_named_and_nobody_waits_for_it() {
    let hangs = |how| {
        let power = measure(&nvml(how), |_| true);
        assert!(
            only_reason(&power).contains("hangs: was asked"),
            "{power:?}"
        );
        assert!(!power.left_out[0].absent);
    };
    hangs("HANG_INIT");
    // It has measured enough before, but not to the end of the window.
    let settings = nvml("HANG_LATER");
    let telemetry = Telemetry::start(&settings).unwrap();
    until(|| shows_power(&telemetry).then_some(()));
    std::thread::sleep(Duration::from_secs(3));
    let measured = telemetry.stop();
    let power = measured.power(measured.whole, None);
    assert!(
        only_reason(&power).contains("hangs: was asked"),
        "{power:?}"
    );
    assert!(power.left_out[0].readings > 0);

    let power = measure(&nvml("BROKEN"), |_| true);
    let left_out = &power.left_out[0];
    assert!(
        left_out.faults[0].what.contains("NVML cannot be used"),
        "{power:?}"
    );

    // What it said before counts.
    let power = measure(&nvml("HANG_SHUTDOWN"), shows_power);
    assert_eq!(power.sources.len(), 1, "{power:?}");
}

#[test]
fn a_gpu_that_lies_or_is_lost_does_not_make_the_other_look_like_everything() {
    let power = measure(&nvml("LIE"), |telemetry| {
        !telemetry.latest().gpus.is_empty()
    });
    assert!(
        only_reason(&power).contains("GPU-1: its readings cover 0.0% of the window"),
        "{power:?}"
    );
    let fault = &power.left_out[0].faults[0];
    assert_eq!(
        fault.what,
        "GPU-1: found 4294967.295 W, expected 0 to 20000"
    );
    assert!(fault.times > 1);

    // A GPU that was never seen is not missed, but the fault is told.
    let power = measure(&nvml("LOST"), |telemetry| {
        !telemetry.latest().gpus.is_empty()
    });
    assert!(
        power.sources[0].faults[0].what.starts_with("GPU 1: "),
        "{power:?}"
    );
}

#[test]
fn bad_sources_stand_beside_a_good_one_and_are_each_named() {
    let tmp = tempfile::tempdir().unwrap();
    let zone = tmp.path().join("intel-rapl:0");
    std::fs::create_dir(&zone).unwrap();
    std::fs::write(zone.join("name"), "package-0").unwrap();
    std::fs::write(zone.join("max_energy_range_uj"), "1000000000").unwrap();
    std::fs::write(zone.join("energy_uj"), "nonsense").unwrap();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    // One that answers NaN.
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = server.accept() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\n\r\nDCGM_FI_DEV_POWER_USAGE{UUID=\"x\"} NaN\n");
        }
    });
    let settings = Settings {
        powercap: Some(tmp.path().to_owned()),
        command: Some("sleep 1000".parse().unwrap()),
        prometheus: Some(
            format!("http://u:secret@{address}/metrics")
                .parse()
                .unwrap(),
        ),
        ..nvml("GOOD")
    };
    let power = measure(&settings, shows_power);
    assert_eq!(power.source.as_deref(), Some("NVML"));
    let left_out: Vec<_> = power
        .left_out
        .iter()
        .map(|l| (l.kind, l.reasons[0].as_str(), l.faults[0].what.as_str()))
        .collect();
    let [command, prometheus, rapl] = &left_out[..] else {
        panic!("{power:?}")
    };
    assert_eq!(
        (command.0, command.1),
        (SourceKind::Command, "gave no reading")
    );
    assert!(
        command.2.starts_with("printed no line in the"),
        "{command:?}"
    );
    assert_eq!(prometheus.0, SourceKind::Prometheus);
    assert_eq!(prometheus.2, "x: found NaN W, expected 0 to 20000");
    assert_eq!(rapl.0, SourceKind::Rapl);
    assert!(rapl.2.contains("found no whole number"), "{rapl:?}");
    assert!(!power.to_json().contains("secret"), "{}", power.to_json());
}

#[test]
fn what_the_user_names_is_preferred() {
    let settings = Settings {
        command: Some(
            "sh -c 'while :; do echo 1000; sleep 0.1; done'"
                .parse()
                .unwrap(),
        ),
        ..nvml("GOOD")
    };
    let power = measure(&settings, |telemetry| {
        telemetry.latest().power_w == Some(1000.0) && telemetry.latest().gpus.len() == 2
    });
    assert_eq!(power.source.as_deref(), Some("--power-command sh"));
    assert!((power.mean_w.unwrap() - 1000.0).abs() < 1e-6, "{power:?}");
    assert_eq!(power.sources.len(), 2, "{power:?}");
}

#[test]
fn everything_that_hangs_neither_delays_the_start_nor_a_look_nor_the_end() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let settings = Settings {
        nvml_library: Some(library("HANG_INIT")),
        command: Some(
            "sh -c 'trap \"\" TERM; sleep 1000 & wait; sleep 1000'"
                .parse()
                .unwrap(),
        ),
        // Its backlog takes the connection, nobody answers.
        prometheus: Some(format!("http://{address}/").parse().unwrap()),
        ..nothing()
    };
    // Each of them would wait for ever; these limits are only to tell that from a busy machine.
    let begin = Instant::now();
    let telemetry = Telemetry::start(&settings).unwrap();
    for _ in 0..1000 {
        assert_eq!(telemetry.latest().power_w, None);
    }
    assert!(begin.elapsed() < Duration::from_secs(60));
    let measured = telemetry.stop();
    assert!(begin.elapsed() < Duration::from_secs(60));
    let power = measured.power(measured.whole, None);
    assert_eq!(power.left_out.len(), 3, "{power:?}");
}

#[test]
fn an_interval_out_of_range_is_refused() {
    for interval in [
        Duration::ZERO,
        Duration::from_millis(99),
        Duration::from_secs(61),
    ] {
        let error = Telemetry::start(&Settings {
            interval,
            ..nothing()
        })
        .unwrap_err();
        assert!(
            error.to_string().contains("expected 100 ms to 60 s"),
            "{error}"
        );
    }
}

#[test]
fn how_gpus_are_set_up_is_told_as_far_as_they_know() {
    let states = gpu_states(Some(library("LOST").as_path())).unwrap();
    let [first, second] = &states[..] else {
        panic!("{states:?}")
    };
    assert_eq!((first.index, first.name.as_str()), (0, "Fake GPU"));
    // The stand-in's functions do not tell these.
    assert_eq!((first.ecc, first.mig, &first.lost), (None, None, &None));
    assert!(second.index == 1 && second.lost.is_some(), "{second:?}");
    assert_eq!(
        gpu_states(Some(library("NO_DRIVER").as_path())),
        Ok(Vec::new())
    );
    assert!(gpu_states(Some(library("BROKEN").as_path())).is_err());
}
