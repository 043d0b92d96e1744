//! A server in a thread, and a client that can misbehave.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ossmark_engine::executor::Capacity;
use ossmark_engine::fake::{FakeExecutor, FakeModel, Fault};
use ossmark_engine::{Engine, EngineSettings};
use ossmark_harmony::Tokenizer;
use ossmark_protocol::{
    Closed, End, Event, Generator, Load, Request, RequestError, RequestId, Sampling, SeqOutput,
    Sink, StepOutputs, StopTokens, TokenId,
};
use ossmark_serve::{AppState, Limits, ModelTokenizer, Settings, bind, channel, serve};
use serde_json::Value;
use tokio::sync::oneshot;

/// Far more than any of this takes.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// The demo tokenizer's vocabulary, and room for a handful of sequences.
pub(crate) const CAPACITY: Capacity = Capacity {
    n_blocks: 400,
    block_size: 4,
    window: Some(8),
    has_full: true,
    max_step_tokens: 64,
    max_seqs: 16,
    max_context: 512,
    vocab_size: 448,
    draft_tokens: 0,
};
/// `<|return|>` of the demo's vocabulary.
pub(crate) const STOP: TokenId = 440;

struct Fake(Engine);

impl Generator for Fake {
    fn submit(&self, requests: Vec<Request>) -> Result<(), Closed> {
        self.0.submit(requests)
    }

    fn cancel(&self, ids: Vec<RequestId>) {
        self.0.cancel(ids);
    }

    fn check(&self, prompt: &[TokenId], max_new_tokens: u32) -> Result<(), RequestError> {
        self.0.check(prompt, max_new_tokens)
    }

    fn load(&self) -> Vec<Load> {
        vec![Load {
            stats: self.0.stats(),
            total_blocks: u64::from(self.0.capacity().n_blocks),
        }]
    }
}

/// Says the same to everybody, all at once.
struct Script {
    sink: Mutex<Sink>,
    answer: Vec<TokenId>,
    max_context: u32,
}

impl Generator for Script {
    fn submit(&self, requests: Vec<Request>) -> Result<(), Closed> {
        for request in requests {
            let n = self.answer.len().min(request.max_new_tokens as usize);
            for (at, &token) in self.answer[..n].iter().enumerate() {
                let end = match at + 1 {
                    at if at == self.answer.len() => Some(End::Stop),
                    at if at == n => Some(End::Length),
                    _ => None,
                };
                let output = SeqOutput {
                    id: request.id,
                    n_tokens: 1,
                    end,
                    engine: 0,
                    logits: Vec::new(),
                };
                let step = StepOutputs {
                    tokens: vec![token],
                    outputs: vec![output],
                    ..StepOutputs::default()
                };
                (self.sink.lock().unwrap())(Event::Step(step));
            }
        }
        Ok(())
    }

    fn cancel(&self, _: Vec<RequestId>) {}

    fn check(&self, prompt: &[TokenId], max_new_tokens: u32) -> Result<(), RequestError> {
        match max_new_tokens {
            0 => Err(RequestError::NoNewTokens),
            _ if prompt.len() >= self.max_context as usize => {
                Err(RequestError::PromptBeyondContext {
                    prompt: prompt.len(),
                    max_context: self.max_context,
                })
            }
            _ => Ok(()),
        }
    }
}

/// What a test wants of its server.
pub(crate) struct Wanted {
    /// The model says this to every prompt; control tokens are parsed.
    pub(crate) script: Option<String>,
    pub(crate) settings: Settings,
    pub(crate) fault: Option<Fault>,
    pub(crate) step_time: Duration,
    pub(crate) text: bool,
    /// What the server takes for the model's context.
    pub(crate) max_context: u32,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            script: None,
            settings: Settings::default(),
            fault: None,
            step_time: Duration::ZERO,
            text: true,
            max_context: CAPACITY.max_context,
        }
    }
}

pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<bool>>,
}

fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo")
}

fn tokenizer() -> Tokenizer {
    Tokenizer::load(&demo()).unwrap()
}

impl Wanted {
    fn fake(&self, sink: Sink) -> Fake {
        let executor = FakeExecutor::new(CAPACITY, self.fault).with_step_time(self.step_time);
        let settings = EngineSettings {
            stop_tokens: vec![STOP],
            pipeline_depth: 2,
            max_batch: None,
            max_chunk: None,
        };
        Fake(Engine::start(Box::new(executor), settings, sink).unwrap())
    }

    pub(crate) fn start(self) -> Served {
        let (sink, events) = channel();
        let backend: Arc<dyn Generator> = match &self.script {
            Some(text) => Arc::new(Script {
                sink: Mutex::new(sink),
                answer: tokenizer().encode_with_control_tokens(text).unwrap(),
                max_context: self.max_context,
            }),
            None => Arc::new(self.fake(sink)),
        };
        let text = self.text.then(|| ModelTokenizer::load(&demo()).unwrap());
        let limits = Limits {
            vocab_size: CAPACITY.vocab_size,
            max_context: self.max_context,
            logits: self.script.is_none(),
        };
        let app = Arc::new(AppState::new(backend, limits, text, self.settings));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let (stop, stopped) = oneshot::channel();
        let listener = {
            let _guard = runtime.enter();
            bind("127.0.0.1:0".parse().unwrap(), &app).unwrap()
        };
        let address = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            runtime.block_on(serve(listener, app, events, async {
                let _ = stopped.await;
            }))
        });
        Served {
            address,
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

pub(crate) fn start() -> Served {
    Wanted::default().start()
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// The body came to its proper end.
    pub(crate) whole: bool,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The data of all events but the last, which must be `[DONE]`.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<Value> {
        assert_eq!(self.status, 200, "{}", self.text());
        assert!(
            self.head
                .to_lowercase()
                .contains("content-type: text/event-stream"),
            "{}",
            self.head
        );
        assert!(self.whole);
        let text = self.text();
        let mut data: Vec<&str> = text
            .split_terminator("\n\n")
            .map(|event| event.strip_prefix("data: ").expect("data"))
            .collect();
        assert_eq!(data.pop(), Some("[DONE]"));
        data.iter()
            .map(|data| serde_json::from_str(data).unwrap())
            .collect()
    }
}

impl Served {
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_write_timeout(Some(LONG)).unwrap();
        stream
    }

    /// Sends bytes as they are and reads what comes until the server closes the connection.
    pub(crate) fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect();
        // A server that has refused what it has seen so far may close before all is sent.
        let _ = stream.write_all(request);
        read_answer(&mut stream)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.raw(
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        )
    }

    pub(crate) fn post_bytes(&self, path: &str, body: &[u8]) -> Answer {
        self.raw(&post(path, body))
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_bytes(path, body.to_string().as_bytes())
    }

    /// A value of `/metrics`.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").text();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}"))
            .parse()
            .unwrap()
    }

    /// Waits until nothing is open and all blocks are free, and until there were so many cancellations.
    #[track_caller]
    pub(crate) fn at_rest(&self, cancelled: u64) {
        let deadline = Instant::now() + LONG;
        let rest = [
            ("ossmark_requests_open", 0.0),
            ("ossmark_requests_in_engine", 0.0),
            ("ossmark_engine_running", 0.0),
            ("ossmark_engine_waiting", 0.0),
            ("ossmark_kv_blocks_used", 0.0),
            ("ossmark_requests_cancelled_total", cancelled as f64),
        ];
        while !rest.iter().all(|(name, value)| self.metric(name) == *value) {
            assert!(
                Instant::now() < deadline,
                "not at rest with {cancelled} cancelled: {}",
                self.get("/metrics").text()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A good request is answered as it should be.
    #[track_caller]
    pub(crate) fn works(&self) {
        let answer = self.post(
            "/generate",
            &serde_json::json!({
                "input_ids": [1, 2, 3],
                "sampling_params": { "temperature": 0, "max_new_tokens": 5 },
            }),
        );
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(ids(&answer.json()["output_ids"]), expected(&[1, 2, 3], 5));
    }

    /// The text of ids, control tokens included.
    pub(crate) fn decode(&self, ids: &[TokenId]) -> String {
        tokenizer().decode(ids)
    }

    /// Tells the server to stop.
    pub(crate) fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    /// Waits for its end; whether all open requests came to theirs.
    pub(crate) fn ended(mut self) -> bool {
        self.thread.take().unwrap().join().unwrap()
    }
}

/// Waits until a value of `/metrics` is this.
#[track_caller]
pub(crate) fn wait_for(served: &Served, name: &str, value: f64) {
    let deadline = Instant::now() + LONG;
    while served.metric(name) != value {
        assert!(
            Instant::now() < deadline,
            "{name} is {}, expected {value}",
            served.metric(name)
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// The events of a stream that are as they should be on a machine with nothing else to do: how many tokens one of them holds
/// depends on how busy the machine is, so it is asked again until they are.
#[track_caller]
pub(crate) fn streamed(
    ask: impl Fn() -> Answer,
    is_right: impl Fn(&[Value]) -> bool,
) -> Vec<Value> {
    let start = Instant::now();
    loop {
        let events = ask().events();
        if is_right(&events) {
            return events;
        }
        assert!(start.elapsed() < 6 * LONG, "not streamed: {events:?}");
    }
}

/// Reads to the end of the connection.
pub(crate) fn read_answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else {
        return Answer {
            status: 0,
            head: String::new(),
            body: bytes,
            whole: false,
        };
    };
    let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|s| s.parse().ok())
        .unwrap_or(0);
    let lower = head.to_lowercase();
    let (body, whole) = if lower.contains("transfer-encoding: chunked") {
        unchunk(&bytes[at + 4..])
    } else {
        let length = lower
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map(|text| text.trim().parse::<usize>().unwrap());
        let body = bytes[at + 4..].to_vec();
        let whole = length.is_none_or(|length| length == body.len());
        (body, whole)
    };
    Answer {
        status,
        head,
        body,
        whole: whole && read.is_ok(),
    }
}

fn unchunk(mut bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(at) = bytes.windows(2).position(|w| w == b"\r\n") else {
            return (body, false);
        };
        let size = std::str::from_utf8(&bytes[..at])
            .ok()
            .and_then(|text| usize::from_str_radix(text, 16).ok());
        let Some(size) = size else {
            return (body, false);
        };
        if size == 0 {
            return (body, true);
        }
        let Some(chunk) = bytes.get(at + 2..at + 2 + size) else {
            return (body, false);
        };
        body.extend_from_slice(chunk);
        bytes = bytes.get(at + 4 + size..).unwrap_or_default();
    }
}

/// What the engine must say to a prompt, greedily.
pub(crate) fn expected(prompt: &[TokenId], max_new_tokens: u32) -> Vec<TokenId> {
    let request = Request {
        id: RequestId(0),
        prompt: prompt.into(),
        sampling: Sampling::GREEDY,
        seed: 0,
        max_new_tokens,
        want_logits: false,
        stop_tokens: StopTokens::default(),
        ignore_eos: false,
    };
    FakeModel { capacity: CAPACITY }.answer(&request, &[STOP]).0
}

#[track_caller]
pub(crate) fn ids(value: &Value) -> Vec<TokenId> {
    value
        .as_array()
        .expect("a list")
        .iter()
        .map(|id| id.as_u64().unwrap() as TokenId)
        .collect()
}

/// A server whose model says this.
pub(crate) fn saying(text: &str) -> Served {
    Wanted {
        script: Some(text.into()),
        ..Wanted::default()
    }
    .start()
}
