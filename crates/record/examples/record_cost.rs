//! What a record costs: the sender's time for a row, rows a second that the writer takes, the end, the files, the readers.
//!
//! `cargo run --release -p ossmark-record --example record_cost -- DIR [ROWS] [ROWS A SECOND, 0 for as fast as possible]`
//! leaves the record in DIR, for tests/by_pyarrow.py.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "for whoever builds it"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use ossmark_record::{Counters, End, Limits, Record, Row, Settings, begin};

fn row(request: u64) -> Row {
    let begun = request as i64 * 50_000;
    // As little alike as measured times are.
    let noise = |factor| (request.wrapping_mul(factor) % 2_000_000_011) as i64;
    Row {
        request,
        sample_index: (request % 6396) as u32,
        prompt_tokens: 500 + (request * 17 % 2003) as u32,
        output_tokens: 1000 + (request * 31 % 997) as u32,
        scheduled_ns: (request % 2 == 1).then_some(begun),
        issued_ns: Some(begun + 100),
        first_token_ns: Some(begun + noise(2_654_435_761)),
        completed_ns: Some(begun + 20_000_000_000 + noise(40_503)),
        end: [End::Stop, End::Length, End::Failed, End::Cancelled][(request % 4) as usize],
        engine: (request % 8) as u16,
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let number = |i: usize, default: u64| {
        args.get(i)
            .map_or(default, |a| a.parse().expect("a number"))
    };
    let dir = Path::new(args.get(1).expect("a directory"));
    let (rows, rate) = (number(2, 1_000_000), number(3, 0));
    std::fs::create_dir(dir).expect("a directory that is not there yet");
    let settings = Settings {
        limits: Limits {
            ttft_ns: Some(3_000_000_000),
            tpot_ns: Some(80_000_000),
        },
        ..Settings::default()
    };
    let begun = Instant::now();
    let (recorder, writer) = begin(dir, settings, move || {
        Some(Counters {
            t: begun.elapsed(),
            ..Counters::default()
        })
    });
    let mut sending = Duration::ZERO;
    for request in 0..rows {
        if rate > 0 && request.is_multiple_of(64) {
            let due = Duration::from_secs_f64(request as f64 / rate as f64);
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
        }
        let row = row(request);
        let before = Instant::now();
        recorder.row(row);
        sending += before.elapsed();
    }
    let sent = begun.elapsed();
    let lost_while_sending = writer.lost();
    let before = Instant::now();
    let outcome = writer.finish(Duration::from_secs(600));
    let finished = before.elapsed();
    let bytes: Vec<String> = outcome
        .files
        .iter()
        .map(|file| {
            let bytes = std::fs::metadata(file).map_or(0, |m| m.len());
            format!(
                "{} {bytes} bytes",
                file.file_name().unwrap_or_default().display()
            )
        })
        .collect();
    let before = Instant::now();
    let read = Record::open(dir).map(|record| record.rows.len());
    println!(
        "{rows} rows sent in {:.2} s ({:.0} rows/s), {:.0} ns a row in row() and two looks at the clock; {lost_while_sending} lost",
        sent.as_secs_f64(),
        rows as f64 / sent.as_secs_f64(),
        sending.as_nanos() as f64 / rows as f64,
    );
    println!(
        "finished in {:.3} s: {} rows, {} lost, {:?}; {}",
        finished.as_secs_f64(),
        outcome.rows,
        outcome.lost,
        outcome.reason,
        bytes.join(", ")
    );
    println!(
        "read again in {:.3} s: {read:?} rows",
        before.elapsed().as_secs_f64()
    );
}
