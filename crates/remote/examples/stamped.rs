//! A server that says in each answer how long it took itself, and the least client that measures the same: what a load
//! generator adds to the time of a first token. What `benchmarks/endpoints_load.py` holds ossmark against.
//!
//! `stamped serve TTFT_MS TPOT_MS TOKENS`: OpenAI's /v1/completions, streamed; prints its address. The text of the first piece
//! is the nanoseconds from the last byte of the request to the first of the answer; token ids are those of the demo's digits.
//! The time to the first token is anything from half to one and a half of TTFT_MS, so that requests do not come in waves.
//!
//! `stamped ask ADDRESS STREAMS SECONDS`: so many requests under way, each answered one replaced at once, without JSON or a
//! harness; prints how many nanoseconds each first piece came later than the server says, one a line.
#![expect(clippy::print_stdout, reason = "a program for measurements: it prints")]

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::sleep_until;

/// Of `0` in the demo's vocabulary; the others follow it.
const ZERO: u32 = 15;
const HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const MODELS: &str = r#"{"object":"list","data":[{"id":"demo","object":"model","owned_by":"vllm","max_model_len":4096}]}"#;

#[derive(Clone, Copy)]
struct Pace {
    ttft: Duration,
    tpot: Duration,
    tokens: usize,
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |at: usize| words[at].parse::<f64>().map_err(io::Error::other);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = LocalSet::new();
    match words[..] {
        ["serve", _, _, _] => {
            let pace = Pace {
                ttft: Duration::from_secs_f64(number(1)? / 1e3),
                tpot: Duration::from_secs_f64(number(2)? / 1e3),
                tokens: number(3)? as usize,
            };
            local.block_on(&runtime, serve(pace))
        }
        ["ask", address, _, _] => {
            let address = address.parse().map_err(io::Error::other)?;
            let seconds = Duration::from_secs_f64(number(3)?);
            let late = local.block_on(&runtime, ask(address, number(2)? as usize, seconds))?;
            for ns in late {
                println!("{ns}");
            }
            Ok(())
        }
        _ => Err(io::Error::other(
            "expected serve or ask, as the first lines of this file say",
        )),
    }
}

async fn serve(pace: Pace) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let random = Rc::new(Cell::new(1));
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let random = Rc::clone(&random);
        spawn_local(async move {
            // Whoever goes away has what it wanted.
            let _ = connection(socket, pace, &random).await;
        });
    }
}

async fn connection(mut socket: TcpStream, pace: Pace, random: &Cell<u64>) -> io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        let Some((head, body)) = request(&mut socket, &mut bytes).await? else {
            return Ok(());
        };
        if !head.starts_with("POST ") {
            let (status, text) = match head.starts_with("GET /v1/models") {
                true => ("200 OK", MODELS),
                false => ("404 Not Found", "{}"),
            };
            let length = text.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{text}"
            );
            socket.write_all(answer.as_bytes()).await?;
            continue;
        }
        let began = Instant::now();
        let most = field(&body, "\"max_tokens\":").unwrap_or(usize::MAX);
        // A linear congruence is random enough for the times of answers.
        let next = random.get().wrapping_mul(6_364_136_223_846_793_005);
        random.set(next.wrapping_add(1_442_695_040_888_963_407));
        let part = 0.5 + (next >> 11) as f64 / (1_u64 << 53) as f64;
        let due = tokio::time::Instant::from_std(began) + pace.ttft.mul_f64(part);
        if !pace.ttft.is_zero() {
            sleep_until(due).await;
        }
        let took = began.elapsed().as_nanos().to_string();
        let first = &took[..took.len().min(most)];
        let ids: Vec<u32> = first
            .bytes()
            .map(|digit| ZERO + u32::from(digit - b'0'))
            .collect();
        let total = pace.tokens.max(ids.len()).min(most);
        let answer = format!("{HEAD}{}", piece(first, &ids));
        socket.write_all(answer.as_bytes()).await?;
        for at in ids.len()..total {
            if !pace.tpot.is_zero() {
                sleep_until(due + pace.tpot * (at - ids.len() + 1) as u32).await;
            }
            socket.write_all(piece("0", &[ZERO]).as_bytes()).await?;
        }
        let end = format!(
            r#"{{"choices":[{{"index":0,"text":"","token_ids":[],"finish_reason":"length"}}],"usage":{{"completion_tokens":{total}}}}}"#
        );
        let end = format!("{}{}0\r\n\r\n", chunk(&end), chunk("[DONE]"));
        socket.write_all(end.as_bytes()).await?;
    }
}

fn piece(text: &str, ids: &[u32]) -> String {
    chunk(&format!(
        r#"{{"choices":[{{"index":0,"text":"{text}","token_ids":{ids:?},"finish_reason":null}}]}}"#
    ))
}

fn chunk(data: &str) -> String {
    format!("{:x}\r\ndata: {data}\n\n\r\n", data.len() + 8)
}

/// The head and the body of the next request; `None` at the end.
async fn request(
    socket: &mut TcpStream,
    bytes: &mut Vec<u8>,
) -> io::Result<Option<(String, String)>> {
    loop {
        if let Some(at) = memchr::memmem::find(bytes, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
            let length = field(&head.to_ascii_lowercase(), "content-length:").unwrap_or(0);
            if bytes.len() >= at + 4 + length {
                let body = String::from_utf8_lossy(&bytes[at + 4..at + 4 + length]).into_owned();
                bytes.drain(..at + 4 + length);
                return Ok(Some((head, body)));
            }
        }
        if socket.read_buf(bytes).await? == 0 {
            return Ok(None);
        }
    }
}

/// The number after a name.
fn field(text: &str, name: &str) -> Option<usize> {
    let rest = text.split_once(name)?.1.trim_start();
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

async fn ask(address: SocketAddr, streams: usize, time: Duration) -> io::Result<Vec<i64>> {
    let late = Rc::new(RefCell::new(Vec::new()));
    let until = Instant::now() + time;
    // As long as a request of ours for a prompt of 50 tokens.
    let body = format!("{{\"max_tokens\":256,\"prompt\":[{}]}}", "443,".repeat(150));
    let request: Rc<[u8]> = format!(
        "POST /v1/completions HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
    .into();
    let open: Vec<_> = (0..streams)
        .map(|_| {
            let (late, request) = (Rc::clone(&late), Rc::clone(&request));
            spawn_local(async move {
                let mut socket = TcpStream::connect(address).await?;
                socket.set_nodelay(true)?;
                while Instant::now() < until {
                    let ns = stream(&mut socket, &request).await?;
                    late.borrow_mut().push(ns);
                }
                io::Result::Ok(())
            })
        })
        .collect();
    for stream in open {
        stream.await.map_err(io::Error::other)??;
    }
    Ok(late.take())
}

/// One request; how much later its first piece came than the server says.
async fn stream(socket: &mut TcpStream, request: &[u8]) -> io::Result<i64> {
    let began = Instant::now();
    socket.write_all(request).await?;
    let mut bytes = Vec::with_capacity(8192);
    let mut first = None;
    while !bytes.ends_with(b"\r\n0\r\n\r\n") {
        if socket.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        first.get_or_insert_with(|| began.elapsed());
    }
    let text = String::from_utf8_lossy(&bytes);
    let said = field(&text, "\"text\":\"").ok_or(io::ErrorKind::InvalidData)?;
    let first = first.unwrap_or_default().as_nanos();
    Ok(i64::try_from(first).unwrap_or(i64::MAX) - said as i64)
}
