//! The options of `serve`.

use std::path::PathBuf;

use clap::Args;

use super::{EchoArgs, EngineArgs, SpeculateArgs};

#[derive(Args, Debug)]
#[command(override_usage = "ossmark serve --model <DIR> [OPTIONS]
       ossmark serve --synthetic <SHAPE> [OPTIONS]")]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    #[command(flatten)]
    pub(crate) speculate: SpeculateArgs,
    #[command(flatten)]
    pub(crate) echo: EchoArgs,
    /// Address to listen on. Anything but a loopback address needs an API key.
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: String,
    /// 0 takes a free port; the address is the first line of the output.
    #[arg(long, default_value_t = 30000)]
    pub(crate) port: u16,
    /// File with the key that clients must send as `Authorization: Bearer KEY` [default: OSSMARK_API_KEY, or none].
    #[arg(long, value_name = "FILE")]
    pub(crate) api_key_file: Option<PathBuf>,
    /// What answers call the model [default: the name of the model's directory].
    #[arg(long, value_name = "NAME", visible_alias = "served-model")]
    pub(crate) served_model_name: Option<String>,
    /// tokenizer.json, or a directory that holds one [default: the model's]. Without it only token ids are understood.
    #[arg(long, value_name = "PATH")]
    pub(crate) tokenizer: Option<PathBuf>,
    /// Requests open at a time, waiting ones included; more are answered with 429.
    #[arg(long, value_name = "N", default_value_t = 8192)]
    pub(crate) max_concurrency: usize,
    /// Longest body of a request.
    #[arg(long, value_name = "MIB", default_value_t = 16)]
    pub(crate) max_body_mib: usize,
    /// How long the head of a request may take to arrive, and its body again; idle connections are closed after it.
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    pub(crate) read_timeout: f64,
    /// A client that reads nothing for this long loses its request.
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    pub(crate) write_timeout: f64,
    /// How long open requests may take to end after SIGTERM or Ctrl-C.
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    pub(crate) drain_timeout: f64,
    /// New tokens in an event of a stream; the first token always comes at once.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) stream_interval: usize,
    /// Streams of /generate carry only the new token ids in each event, not all so far (as SGLang's option).
    #[arg(long)]
    pub(crate) incremental_streaming_output: bool,
    /// Streams of /generate say "finish_reason": {} until the end, as MLCommons' Endpoints client wants it, and not null, as
    /// SGLang says and --engine http --api sglang reads.
    #[arg(long)]
    pub(crate) finish_reason_object: bool,
    /// Seed of requests that bring none: each gets its own, from this and the order of arrival.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = super::sampling::seed_range())]
    pub(crate) seed: u64,
    /// The day that chat prompts name [default: today, in UTC].
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) chat_date: Option<String>,
    /// Threads that serve connections.
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) http_threads: usize,
}
