//! What a remote generator is told.

use std::net::IpAddr;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::{Endpoint, Error};

/// The API to speak, or several of a kind, of which the first that works is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// SGLang's own: POST /generate.
    Sglang,
    /// SGLang's POST /v1/completions with `return_token_ids`.
    SglangCompletions,
    /// Any OpenAI-compatible server that returns token ids.
    OpenAi,
    /// POST /v1/completions with `return_token_ids` (vLLM, ossmark serve).
    Vllm,
    /// vLLM's POST /inference/v1/generate.
    VllmGenerate,
    /// POST /v1/completions with Dynamo's `nvext`.
    Dynamo,
    /// POST /v1/completions with `detokenize: false`.
    TensorRtLlm,
    /// POST /v1/chat/completions with `return_token_ids`: [`Settings::messages`] are asked.
    Chat,
}

/// How to reach servers and what to ask of them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// At least one; requests go to the one with the fewest open.
    pub endpoints: Vec<Endpoint>,
    /// `None`: found out at the start.
    pub api: Option<Api>,
    /// What the user says, for [`Api::Chat`] and nothing else: a request's prompt is then one id, a place in here. The first is
    /// asked at the start too.
    pub messages: Arc<[Box<str>]>,
    /// Most requests at once over all endpoints, and most connections.
    pub max_concurrency: usize,
    /// Connections that are opened at the start, so that no request's time to the first token has that of connecting in it.
    pub connect_ahead: usize,
    /// Of one request, from being sent to its last byte, retries included.
    pub timeout: Duration,
    /// How often a request is sent again that broke before the first byte of its response.
    pub retries: u32,
    /// What servers that are all gone get to come back: requests wait and are sent anew, whole. `None`: they fail. With it
    /// tokens are reported at a request's end alone, since what came before a break is made again.
    pub hold: Option<Duration>,
    /// Tokens as they come (SSE). Without it an answer arrives whole, which is cheaper for both sides.
    pub stream: bool,
    /// Tokens that a server is asked to gather in each piece of a stream after the first, where it can be asked; 1 asks nobody.
    pub stream_interval: u32,
    /// Threads that read answers; `None`: as many as [`Settings::threads`] says.
    pub threads: Option<usize>,
    /// Addresses of this machine that connections are made from, in turn; none: the system chooses one.
    pub source_addresses: Vec<IpAddr>,
    /// `model` of OpenAI's API; `None`: the one that the server has.
    pub served_model: Option<String>,
    /// Sent as `Authorization: Bearer`.
    pub api_key: Option<String>,
    /// PEM file of certificate authorities for https, instead of the system's.
    pub ca_file: Option<PathBuf>,
}

impl Settings {
    /// Defaults for these endpoints.
    pub fn new(endpoints: Vec<Endpoint>) -> Self {
        Self {
            endpoints,
            api: None,
            messages: Arc::from([]),
            max_concurrency: Self::MAX_CONCURRENCY,
            connect_ahead: 0,
            timeout: Self::TIMEOUT,
            retries: Self::RETRIES,
            hold: None,
            stream: true,
            stream_interval: 1,
            threads: None,
            source_addresses: Vec::new(),
            served_model: None,
            api_key: None,
            ca_file: None,
        }
    }

    /// Twice what the reference's server runs at once on an accelerator (`--max-running-requests` 512 each).
    pub const MAX_CONCURRENCY: usize = 1024;
    /// The reference's `--timeout` for its accuracy runs.
    pub const TIMEOUT: Duration = Duration::from_secs(2400);
    /// Enough for a kept connection that the server closed and for one more accident.
    pub const RETRIES: u32 = 2;

    /// Requests under way that one thread is taken to be enough for: with a token every 50 ms each they are 41,000 pieces a
    /// second, for which a thread may take 24 us each. What one takes here: `ossmark bench loadgen`.
    pub const PER_THREAD: usize = 2048;

    /// How many threads read answers: one for every 2,048 requests under way, and no more than half of the cores, since whoever
    /// asks needs the others.
    pub fn threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let wanted = self.max_concurrency.div_ceil(Self::PER_THREAD);
        self.threads.unwrap_or(wanted.min(cores / 2).max(1))
    }

    /// The tokens of a piece, where a server is asked to gather any.
    pub(crate) fn interval(&self) -> Option<u32> {
        Some(self.stream_interval).filter(|n| self.stream && *n > 1)
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let bad = |name, found: String, expected| {
            Err(Error::Setting {
                name,
                found,
                expected,
            })
        };
        if self.endpoints.is_empty() {
            return bad("--endpoint", "none".into(), "at least one URL");
        }
        if (self.api == Some(Api::Chat)) == self.messages.is_empty() {
            return bad(
                "--api chat",
                format!("with {} messages", self.messages.len()),
                "messages for the chat API alone: `ossmark endpoints run --message-column NAME` has them, other commands send ids",
            );
        }
        if !(1..=1 << 20).contains(&self.max_concurrency) {
            let found = self.max_concurrency.to_string();
            return bad("--max-concurrency", found, "1 to 1048576");
        }
        if self.threads.is_some_and(|n| !(1..=256).contains(&n)) {
            let found = self.threads.unwrap_or_default().to_string();
            return bad("--http-threads", found, "1 to 256");
        }
        if !(1..=4096).contains(&self.stream_interval) {
            let found = self.stream_interval.to_string();
            return bad("--stream-interval", found, "1 to 4096 tokens");
        }
        if self.timeout.is_zero() {
            return bad("--timeout", "0".into(), "more than 0 seconds");
        }
        let key = self.api_key.as_deref().unwrap_or("k");
        if key.is_empty() || !key.bytes().all(|b| (0x21..=0x7e).contains(&b)) {
            return bad(
                "the API key",
                format!("of {} bytes", key.len()),
                "printable ASCII without spaces",
            );
        }
        Ok(())
    }
}
