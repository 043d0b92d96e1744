//! How the server behaves.

use std::path::Path;
use std::time::Duration;

use crate::api_key::ApiKey;

/// How the server behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What `/v1/models` and answers call the model.
    pub model_name: String,
    /// Needed to listen elsewhere than on a loopback address.
    pub api_key: Option<ApiKey>,
    /// The host that it was told to listen on: without a key, requests may name this or loopback, and nothing else.
    pub listen_host: String,
    /// Requests open at a time, waiting ones included; more are refused with 429.
    pub max_concurrency: usize,
    /// Connections at a time; more wait to be accepted.
    pub max_connections: usize,
    /// Longest body of a request.
    pub max_body_bytes: usize,
    /// Bytes of bodies that are being read or turned into tokens, over all requests, small ones aside; more wait.
    pub max_total_body_bytes: usize,
    /// Long texts that are tokenised at a time; more wait.
    pub max_tokenizations: usize,
    /// How long the head of a request may take, and its body again.
    pub read_timeout: Duration,
    /// How long a write may make no progress.
    pub write_timeout: Duration,
    /// How long open requests may take to end once the server is told to stop.
    pub drain_timeout: Duration,
    /// Tokens in an event of a stream, after the first token.
    pub stream_interval: usize,
    /// Streams of `/generate` carry only new token ids in each event instead of all so far.
    pub incremental_output: bool,
    /// `/generate` says `"finish_reason": {}` until the end instead of null: MLCommons' Endpoints client wants an object there
    /// from the start and drops what else an event holds.
    pub finish_reason_object: bool,
    /// Mixed with a request's number into the seed of requests that bring none.
    pub seed: u64,
    /// The day that chat prompts name, as YYYY-MM-DD; `None`: today, in UTC.
    pub chat_date: Option<String>,
    /// The head that drafts tokens for the engine, if one does.
    pub draft_head: Option<DraftHead>,
}

/// A draft head, as `/metrics` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DraftHead {
    /// SHA-256 of its tensors, in hexadecimal.
    pub tensors_sha256: String,
    /// Tokens drafted at a time.
    pub steps: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model_name: "gpt-oss-120b".into(),
            api_key: None,
            listen_host: "localhost".into(),
            max_concurrency: 8192,
            max_connections: 16384,
            max_body_bytes: 16 << 20,
            max_total_body_bytes: 256 << 20,
            max_tokenizations: std::thread::available_parallelism().map_or(1, |n| n.get().min(2)),
            read_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(30),
            stream_interval: 1,
            incremental_output: false,
            finish_reason_object: false,
            seed: 0,
            chat_date: None,
            draft_head: None,
        }
    }
}

/// What a model directory is called.
pub fn model_name(model: &Path) -> Option<String> {
    let path = model.canonicalize().ok()?;
    Some(path.file_name()?.to_string_lossy().into_owned())
}
