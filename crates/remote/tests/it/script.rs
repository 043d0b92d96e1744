//! A server that sends scripted bytes: what it does with each request, in the order in which requests come.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ossmark_protocol::{End, Event, Request, RequestId, Sampling, StopTokens, TokenId};
use ossmark_remote::{Endpoint, Remote, Settings, Stats};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

/// What the server does after it has read a request.
#[derive(Clone, Debug)]
pub(crate) enum Do {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Waits.
    Sleep(Duration),
    /// Closes in both directions.
    Close,
    /// Says that nothing more will be sent, and waits.
    HalfClose,
    /// Resets the connection.
    Reset,
}

pub(crate) type Reply = Vec<Do>;

/// A running server. Questions (GET) and the warm-up are answered properly; each later request by the script's next reply,
/// the last again and again.
pub(crate) struct Scripted {
    pub(crate) url: String,
    pub(crate) requests: Arc<AtomicUsize>,
    /// Who connected.
    pub(crate) clients: Arc<Mutex<Vec<SocketAddr>>>,
    _runtime: tokio::runtime::Runtime,
}

pub(crate) fn text(s: &str) -> Do {
    Do::Send(s.as_bytes().to_vec())
}

/// A whole response with a length.
pub(crate) fn response(status: &str, kind: &str, body: &str) -> Do {
    text(&format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

pub(crate) fn json(body: &str) -> Do {
    response("200 OK", "application/json", body)
}

/// The head of a stream and its events, each a chunk of its own.
pub(crate) fn events(events: &[&str]) -> Vec<Do> {
    let mut steps = vec![text(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n",
    )];
    steps.extend(events.iter().map(|e| chunk(&format!("data: {e}\n\n"))));
    steps
}

pub(crate) fn chunk(data: &str) -> Do {
    text(&format!("{:x}\r\n{data}\r\n", data.len()))
}

pub(crate) fn last_chunk() -> Do {
    text("0\r\n\r\n")
}

/// An answer of SGLang's API to a prompt of three tokens.
pub(crate) fn sglang(ids: &[TokenId], total: usize, finish: &str) -> String {
    let finish = match finish {
        "" => "null".to_owned(),
        kind => format!("{{\"type\": \"{kind}\"}}"),
    };
    format!(
        "{{\"text\": \"x\", \"output_ids\": {ids:?}, \"meta_info\": {{\"prompt_tokens\": 3, \"completion_tokens\": {total}, \
         \"finish_reason\": {finish}}}}}"
    )
}

/// The reply to the warm-up, whose prompt has one token.
fn warm_up(api: Api, stream: bool) -> Reply {
    let whole = match api {
        Api::Sglang | Api::OtherModel => sglang(&[1, 2], 2, "length").replace(": 3,", ": 1,"),
        Api::OpenAi => "{\"choices\": [{\"token_ids\": [1, 2], \"finish_reason\": \"length\"}], \"usage\": {\"prompt_tokens\": 1, \
                        \"completion_tokens\": 2}}"
            .into(),
    };
    match stream {
        false => vec![json(&whole)],
        true => {
            let mut reply = events(&[&whole, "[DONE]"]);
            reply.push(last_chunk());
            reply
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Api {
    Sglang,
    OpenAi,
    /// As `Sglang`, with another model.
    OtherModel,
}

pub(crate) fn serve(api: Api, stream: bool, script: Vec<Reply>) -> Scripted {
    let mut all = vec![warm_up(api, stream)];
    all.extend(script);
    serve_raw(api, all)
}

/// Without a proper warm-up: the script's first reply answers it.
pub(crate) fn serve_raw(api: Api, script: Vec<Reply>) -> Scripted {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let requests = Arc::new(AtomicUsize::new(0));
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = Arc::clone(&requests);
    let script = Arc::new(script);
    let clients = Arc::new(Mutex::new(Vec::new()));
    let known = Arc::clone(&clients);
    runtime.spawn(async move {
        while let Ok((socket, client)) = listener.accept().await {
            known.lock().unwrap().push(client);
            let (served, script) = (Arc::clone(&served), Arc::clone(&script));
            tokio::spawn(async move {
                let _ = connection(socket, api, &served, &script).await;
            });
        }
    });
    Scripted {
        url,
        requests,
        clients,
        _runtime: runtime,
    }
}

async fn connection(
    mut socket: tokio::net::TcpStream,
    api: Api,
    served: &AtomicUsize,
    script: &[Reply],
) -> std::io::Result<()> {
    loop {
        let Some(head) = read_request(&mut socket).await? else {
            return Ok(());
        };
        if head.starts_with("GET ") {
            let found = match (api, head.contains("/get_model_info")) {
                (Api::Sglang, true) => Some("{\"model_path\": \"gpt-oss\"}"),
                (Api::OtherModel, true) => Some("{\"model_path\": \"another\"}"),
                (Api::OpenAi, false) => {
                    Some("{\"object\": \"list\", \"data\": [{\"id\": \"gpt-oss\"}]}")
                }
                _ => None,
            };
            let reply = match found {
                Some(body) => json(body),
                None => response("404 Not Found", "text/plain", "not here"),
            };
            let Do::Send(bytes) = reply else {
                unreachable!()
            };
            socket.write_all(&bytes).await?;
            continue;
        }
        let n = served.fetch_add(1, SeqCst);
        let reply = &script[n.min(script.len() - 1)];
        for step in reply {
            match step {
                Do::Send(bytes) => {
                    socket.write_all(bytes).await?;
                    socket.flush().await?;
                }
                Do::Sleep(time) => tokio::time::sleep(*time).await,
                Do::Close => return Ok(()),
                Do::HalfClose => {
                    socket.shutdown().await?;
                    tokio::time::sleep(Duration::from_secs(60)).await;
                }
                Do::Reset => {
                    socket.set_zero_linger()?;
                    return Ok(());
                }
            }
        }
    }
}

/// Head and body of one request; `None` when the client has gone.
pub(crate) async fn read_request<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut S,
) -> std::io::Result<Option<String>> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        if socket.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |n| n.trim().parse().unwrap());
    while bytes.len() < head_end + length {
        if socket.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// What became of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Got {
    pub(crate) tokens: Vec<TokenId>,
    /// Outputs that carried tokens.
    pub(crate) pieces: usize,
    pub(crate) end: Option<End>,
}

pub(crate) struct Client {
    pub(crate) remote: Remote,
    events: Receiver<Event>,
}

/// Everything here is over within this time, or the test fails.
const LIMIT: Duration = Duration::from_secs(20);

pub(crate) fn settings(urls: &[&str], stream: bool) -> Settings {
    let endpoints: Vec<Endpoint> = urls.iter().map(|url| url.parse().unwrap()).collect();
    Settings {
        stream,
        timeout: Duration::from_secs(10),
        // More than one, so that what holds for one holds for all.
        threads: Some(2),
        ..Settings::new(endpoints)
    }
}

pub(crate) fn client(settings: Settings) -> Client {
    let (send, events) = channel();
    let remote = Remote::start(settings, Box::new(move |event| send.send(event).is_ok())).unwrap();
    Client { remote, events }
}

impl Client {
    /// Sends that many requests with prompts of three tokens and waits for all of them.
    pub(crate) fn ask(&self, n: usize) -> Vec<Got> {
        self.submit(n);
        self.collect(n)
    }

    pub(crate) fn submit(&self, n: usize) {
        let requests = (0..n).map(|i| request(i, 1));
        self.remote.submit(requests.collect()).unwrap();
    }

    pub(crate) fn submit_seeded(&self, seed: u64) {
        self.remote.submit(vec![request(0, seed)]).unwrap();
    }

    pub(crate) fn collect(&self, n: usize) -> Vec<Got> {
        let mut got = vec![Got::default(); n];
        let mut open = n;
        while open > 0 {
            let Event::Step(step) = self.events.recv_timeout(LIMIT).expect("an event in time")
            else {
                panic!("the generator died");
            };
            let mut tokens = step.tokens.into_iter();
            let named: std::collections::HashSet<_> = step.outputs.iter().map(|o| o.id).collect();
            assert_eq!(
                named.len(),
                step.outputs.len(),
                "a request twice in one step"
            );
            for out in step.outputs {
                let got = &mut got[out.id.0 as usize];
                assert_eq!(got.end, None, "an answer after the end");
                got.tokens
                    .extend(tokens.by_ref().take(out.n_tokens as usize));
                got.pieces += usize::from(out.n_tokens > 0);
                if out.end.is_some() {
                    got.end = out.end;
                    open -= 1;
                }
            }
        }
        got
    }

    pub(crate) fn stats(&self) -> Stats {
        self.remote.stats()
    }
}

pub(crate) fn request(i: usize, seed: u64) -> Request {
    Request {
        id: RequestId(i as u64),
        prompt: [7, 8, 9].into(),
        sampling: Sampling::GREEDY,
        seed,
        max_new_tokens: 8,
        want_logits: false,
        stop_tokens: StopTokens::default(),
        ignore_eos: false,
    }
}

/// The message of a request that failed.
pub(crate) fn failure(got: &Got) -> &str {
    match &got.end {
        Some(End::Failed(message)) => message,
        end => panic!("expected a failure, got {end:?} with {:?}", got.tokens),
    }
}
