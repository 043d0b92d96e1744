use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::Duration;

use super::*;

#[test]
fn dcgms_names_become_figures_and_a_gpu_counts_once() {
    let text = "\
DCGM_FI_DEV_SM_CLOCK{gpu=\"0\",UUID=\"GPU-a\",modelName=\"H200\"} 1980
DCGM_FI_DEV_POWER_USAGE{gpu=\"0\",UUID=\"GPU-a\",modelName=\"H200\",GPU_I_ID=\"1\"} 612.5
DCGM_FI_DEV_POWER_USAGE{gpu=\"0\",UUID=\"GPU-a\",modelName=\"H200\",GPU_I_ID=\"2\"} 612.5
DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{gpu=\"0\",UUID=\"GPU-a\"} 5000
DCGM_FI_DEV_CLOCK_THROTTLE_REASONS{gpu=\"0\",UUID=\"GPU-a\"} 4
DCGM_FI_DEV_POWER_USAGE{gpu=\"1\",Hostname=\"n\"} 70
DCGM_FI_DEV_GPU_TEMP{gpu=\"2\",Hostname=\"n\"} 30
";
    let round = readings(text.as_bytes(), None, 0.0).unwrap();
    let [a, b] = &round.readings[..] else {
        panic!("{round:?}")
    };
    assert_eq!((a.id.as_str(), a.name.as_str()), ("GPU-a", "H200"));
    assert_eq!(
        a.figures,
        DeviceFigures {
            power_w: Some(612.5),
            energy_j: Some(5.0),
            clock_mhz: Some(1980.0),
            throttle_reasons: Some(vec!["sw_power_cap".into()]),
            ..DeviceFigures::default()
        }
    );
    assert_eq!((b.id.as_str(), b.figures.power_w), ("n gpu 1", Some(70.0)));
}

#[test]
fn another_metric_is_a_device_for_each_of_its_series() {
    let text = "w{rack=\"1\"} 9000\nw{rack=\"2\"} 8000\nDCGM_FI_DEV_POWER_USAGE 5\n";
    let round = readings(text.as_bytes(), Some("w"), 0.0).unwrap();
    let found: Vec<_> = round
        .readings
        .iter()
        .map(|r| (r.id.as_str(), r.figures.power_w))
        .collect();
    assert_eq!(found, [("rack=1", Some(9000.0)), ("rack=2", Some(8000.0))]);
}

#[test]
fn old_samples_and_answers_without_any_are_faults() {
    let old = readings(b"w 5 1000\n", Some("w"), 11_001.0).unwrap();
    assert!(old.readings.is_empty() && old.faults[0].contains("old"));
    assert_eq!(
        readings(b"w 5 1000\n", Some("w"), 11_000.0)
            .unwrap()
            .readings
            .len(),
        1
    );
    for (body, found) in [
        (&b"<html>"[..], "has no DCGM_FI_DEV_POWER_USAGE"),
        (b"\xff", "no text"),
        (b"DCGM_FI_DEV_POWER_USAGE x", "line 1"),
    ] {
        let error = readings(body, None, 0.0).unwrap_err();
        assert!(error.contains(found), "{error}");
    }
}

#[test]
fn a_metrics_name_is_checked() {
    let url = || PowerPrometheus::from_str("http://u:secret@h/metrics").unwrap();
    for name in ["", "a b", "9w", "w{x=\"y\"}", "w\n"] {
        assert!(url().with_metric(name).is_err(), "{name}");
    }
    let good = url().with_metric("node:power_watts").unwrap();
    assert_eq!(good.to_string(), "--power-prometheus http://h:80/metrics");
    assert!(!format!("{good:?}").contains("secret"));
}

type Answer = Box<dyn FnOnce(&mut TcpStream) + Send>;

/// A server that answers each connection as told, on a thread of its own; what it was asked comes back.
fn serve(answers: Vec<Answer>) -> (SocketAddr, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (address, serve_on(listener, answers))
}

fn serve_on(listener: TcpListener, answers: Vec<Answer>) -> JoinHandle<Vec<String>> {
    std::thread::spawn(move || {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
                request.push(byte[0]);
            }
            asked.push(String::from_utf8(request).unwrap());
            answer(&mut stream);
        }
        asked
    })
}

fn say(text: &'static str) -> Answer {
    Box::new(move |stream| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", text.len());
        stream.write_all((head + text).as_bytes()).unwrap();
    })
}

fn source(address: SocketAddr) -> Prometheus {
    let url = format!("http://me:secret@{address}/metrics?token=hidden");
    Prometheus::new(
        url.parse::<PowerPrometheus>()
            .unwrap()
            .with_metric("w")
            .unwrap(),
    )
}

fn fault(source: &mut Prometheus) -> String {
    match source.read().unwrap_err() {
        Trouble::Fault(what) => {
            assert!(
                !what.contains("secret") && !what.contains("hidden"),
                "{what}"
            );
            what
        }
        Trouble::Absent(what) => panic!("{what}"),
    }
}

#[test]
fn it_is_asked_with_what_the_url_says() {
    let (address, server) = serve(vec![say("w 5\n")]);
    let round = source(address).read().unwrap();
    assert_eq!(round.readings[0].figures.power_w, Some(5.0));
    let asked = server.join().unwrap().remove(0);
    assert!(
        asked.starts_with("GET /metrics?token=hidden HTTP/1.1\r\n"),
        "{asked}"
    );
    assert!(asked.contains(&format!("host: {address}\r\n")), "{asked}");
    assert!(
        asked.contains("authorization: Basic bWU6c2VjcmV0\r\n"),
        "{asked}"
    );
}

#[test]
fn one_that_vanishes_is_a_fault_and_one_that_comes_back_is_read() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut source = source(address);
    let cut = Box::new(|stream: &mut TcpStream| {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nw 5")
            .unwrap();
    });
    let server = serve_on(listener, vec![say("w 5\n"), Box::new(|_| {}), cut]);
    source.read().unwrap();
    assert!(fault(&mut source).contains("no answer"));
    assert!(fault(&mut source).contains("broke off"));
    server.join().unwrap();
    assert!(fault(&mut source).contains("cannot connect"));
    let server = serve_on(TcpListener::bind(address).unwrap(), vec![say("w 6\n")]);
    assert_eq!(
        source.read().unwrap().readings[0].figures.power_w,
        Some(6.0)
    );
    server.join().unwrap();
}

#[test]
fn a_gigabyte_is_not_read() {
    let sent = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&sent);
    let flood = Box::new(move |stream: &mut TcpStream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let piece = b"w 5\n".repeat(1 << 16);
        for _ in 0..(1 << 30) / piece.len() {
            if stream.write_all(&piece).is_err() {
                break;
            }
            count.fetch_add(piece.len() as u64, SeqCst);
        }
    });
    let (address, server) = serve(vec![flood]);
    assert!(fault(&mut source(address)).contains("longer than 4194304 bytes"));
    server.join().unwrap();
    // The limit, and what the system keeps in between.
    assert!(sent.load(SeqCst) < 256 << 20, "{sent:?}");
}

#[test]
fn redirects_are_not_followed() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    other.set_nonblocking(true).unwrap();
    let to = other.local_addr().unwrap();
    let redirect = Box::new(move |stream: &mut TcpStream| {
        let head = format!(
            "HTTP/1.1 302 Found\r\nlocation: http://{to}/?key=secret\r\ncontent-length: 0\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
    });
    let (address, server) = serve(vec![redirect]);
    assert!(fault(&mut source(address)).contains("redirects are not followed"));
    server.join().unwrap();
    assert_eq!(other.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn one_that_is_slow_byte_by_byte_is_left() {
    let heads = [
        "HTTP/1.1 200 OK\r\nx: ",
        "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n",
    ];
    for head in heads {
        let slow = Box::new(move |stream: &mut TcpStream| {
            stream.write_all(head.as_bytes()).unwrap();
            while stream.write_all(b"w").is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let (address, server) = serve(vec![slow]);
        assert_eq!(fault(&mut source(address)), "no whole answer within 2 s");
        server.join().unwrap();
    }
}

#[test]
fn what_is_no_good_answer_is_a_fault() {
    for (answer, found) in [
        ("HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n", "HTTP 500"),
        ("HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n", "HTTP 401"),
        (
            "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 0\r\n\r\n",
            "compressed",
        ),
        ("220 smtp ready\r\n\r\n", "no answer"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nw ?\n",
            "line 1",
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "has no w"),
    ] {
        let (address, server) = serve(vec![Box::new(|stream: &mut TcpStream| {
            stream.write_all(answer.as_bytes()).unwrap();
        })]);
        let what = fault(&mut source(address));
        assert!(what.contains(found), "{answer}: {what}");
        server.join().unwrap();
    }
}
