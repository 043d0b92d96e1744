//! The least that streams over loopback can cost: a server that writes messages and a client that counts them, without HTTP,
//! JSON or a harness. What `benchmarks/streams.py` measures ossmark against.
//!
//! `loopback hold MESSAGES STREAMS TTFT_MS TPOT_MS SECONDS`: streams begin at random, `STREAMS` of them are open on average;
//! prints how late first messages were, and how many came.
//!
//! `loopback saturate MESSAGES STREAMS SECONDS`: as many messages as go.
//!
//! MESSAGES is a file with the events of one stream, each ended by an empty line; every one is a write of its own.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program for measurements: it prints, and reads the file that it is given"
)]

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, sleep_until};

/// Ends a stream.
const END: &[u8; 5] = b"0\r\n\r\n";
/// As long as a request of 512 tokens.
const REQUEST: [u8; 2560] = [b'x'; 2560];

type Messages = Rc<Vec<Vec<u8>>>;

/// What came, over all streams.
#[derive(Default)]
struct Seen {
    messages: u64,
    ended: u64,
    /// From the request to its first message.
    first: Vec<Duration>,
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |at: usize| words[at].parse::<f64>().map_err(io::Error::other);
    let milliseconds = |at: usize| number(at).map(|ms| Duration::from_secs_f64(ms / 1e3));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = LocalSet::new();
    match words[..] {
        ["serve", file, _, _] => {
            let pace = (milliseconds(2)?, milliseconds(3)?);
            local.block_on(&runtime, serve(messages(file)?, pace))
        }
        ["hold", file, _, ttft, tpot, _] => {
            let (streams, seconds) = (number(2)?, number(5)?);
            let length = messages(file)?.len() as f64;
            let each = (number(3)? + number(4)? * (length - 1.0)) / 1e3;
            let (mut server, address) = start(&["serve", file, ttft, tpot])?;
            let held = local.block_on(&runtime, hold(address, streams / each, seconds));
            server.kill()?;
            let seen = held?;
            let mut late: Vec<f64> = seen.first.iter().map(Duration::as_secs_f64).collect();
            late.sort_by(f64::total_cmp);
            let added = |p: f64| {
                late[((late.len() - 1) as f64 * p) as usize] * 1e3 - number(3).unwrap_or(0.0)
            };
            println!(
                "{{\"streams\": {}, \"messages\": {}, \"ttft_added_ms\": {{\"p50\": {:.3}, \"p99\": {:.3}}}}}",
                seen.ended,
                seen.messages,
                added(0.5),
                added(0.99)
            );
            Ok(())
        }
        ["saturate", file, _, _] => {
            let (streams, seconds) = (number(2)? as usize, number(3)?);
            let (mut server, address) = start(&["serve", file, "0", "0"])?;
            let began = Instant::now();
            let seen = local.block_on(&runtime, saturate(address, streams, seconds));
            let took = began.elapsed().as_secs_f64();
            server.kill()?;
            println!(
                "{{\"messages_per_s\": {:.0}}}",
                seen?.messages as f64 / took
            );
            Ok(())
        }
        _ => Err(io::Error::other(
            "expected hold or saturate, as the first lines of this file say",
        )),
    }
}

fn messages(file: &str) -> io::Result<Messages> {
    let text = std::fs::read_to_string(file)?;
    let events = text.split_inclusive("\n\n");
    let chunk = |event: &str| format!("{:x}\r\n{event}\r\n", event.len()).into_bytes();
    Ok(Rc::new(events.map(chunk).collect()))
}

/// The server, in a process of its own as the real one is.
fn start(arguments: &[&str]) -> io::Result<(std::process::Child, SocketAddr)> {
    use std::io::BufRead;
    let mut child = Command::new(std::env::current_exe()?)
        .args(arguments)
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        io::BufReader::new(stdout).read_line(&mut line)?;
    }
    let address = line.trim().parse().map_err(io::Error::other)?;
    Ok((child, address))
}

async fn serve(messages: Messages, (ttft, tpot): (Duration, Duration)) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (mut socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let messages = Rc::clone(&messages);
        spawn_local(async move {
            let mut request = vec![0; REQUEST.len()];
            while socket.read_exact(&mut request).await.is_ok() {
                let mut due = tokio::time::Instant::now() + ttft;
                for message in messages.iter() {
                    if !(ttft.is_zero() && tpot.is_zero()) {
                        sleep_until(due).await;
                        due += tpot;
                    }
                    if socket.write_all(message).await.is_err() {
                        return;
                    }
                }
                // Each stream is told from the next by its end.
                if socket.write_all(END).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// One stream on a kept connection.
async fn stream(socket: &mut TcpStream, buffer: &mut [u8], seen: &RefCell<Seen>) -> io::Result<()> {
    let began = Instant::now();
    socket.write_all(&REQUEST).await?;
    let mut first = true;
    // What ends a message may be cut in two by a read.
    let mut tail = [0; END.len()];
    loop {
        let n = socket.read(buffer).await?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let bytes = &buffer[..n];
        let mut seen = seen.borrow_mut();
        if std::mem::take(&mut first) {
            seen.first.push(began.elapsed());
        }
        let cut = u64::from(tail.ends_with(b"\n") && bytes[0] == b'\n');
        seen.messages += cut + memchr::memmem::find_iter(bytes, b"\n\n").count() as u64;
        let kept = END.len().saturating_sub(n);
        tail.rotate_right(kept);
        tail[kept..].copy_from_slice(&bytes[n - (END.len() - kept)..]);
        if tail == *END {
            seen.ended += 1;
            return Ok(());
        }
    }
}

/// Streams that begin as LoadGen's queries do, on connections that are kept.
async fn hold(address: SocketAddr, rate: f64, seconds: f64) -> io::Result<Seen> {
    let seen = Rc::new(RefCell::new(Seen::default()));
    let idle: Rc<RefCell<Vec<TcpStream>>> = Rc::default();
    let began = tokio::time::Instant::now();
    let (mut at, mut state, mut open) = (0.0, 1_u64, Vec::new());
    while at < seconds {
        sleep_until(began + Duration::from_secs_f64(at)).await;
        let (seen, idle) = (Rc::clone(&seen), Rc::clone(&idle));
        open.push(spawn_local(async move {
            let kept = idle.borrow_mut().pop();
            let mut socket = match kept {
                Some(socket) => socket,
                None => TcpStream::connect(address).await?,
            };
            socket.set_nodelay(true)?;
            let done = stream(&mut socket, &mut vec![0; 8192], &seen).await;
            idle.borrow_mut().push(socket);
            done
        }));
        // A linear congruence is random enough for the times between arrivals.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let uniform = ((state >> 11) as f64 + 1.0) / (1_u64 << 53) as f64;
        at -= uniform.ln() / rate;
    }
    for stream in open {
        stream.await.map_err(io::Error::other)??;
    }
    Ok(seen.take())
}

async fn saturate(address: SocketAddr, streams: usize, seconds: f64) -> io::Result<Seen> {
    let seen = Rc::new(RefCell::new(Seen::default()));
    for _ in 0..streams {
        let seen = Rc::clone(&seen);
        spawn_local(async move {
            let mut socket = TcpStream::connect(address).await?;
            let mut buffer = vec![0; 8192];
            loop {
                stream(&mut socket, &mut buffer, &seen).await?;
                // A client that only reads would else keep the others waiting.
                tokio::task::yield_now().await;
            }
            #[expect(unreachable_code, reason = "names the type of the errors")]
            io::Result::Ok(())
        });
    }
    sleep(Duration::from_secs_f64(seconds)).await;
    Ok(seen.take())
}
