//! The options of `--engine http`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::heading;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ApiArg {
    /// SGLang's own: POST /generate.
    Sglang,
    /// SGLang's POST /v1/completions with token ids.
    SglangCompletions,
    /// The first of the following that works.
    Openai,
    /// POST /v1/completions with return_token_ids (ossmark serve too).
    Vllm,
    /// vLLM's POST /inference/v1/generate.
    VllmGenerate,
    /// POST /v1/completions with nvext.
    Dynamo,
    /// POST /v1/completions with detokenize false.
    TensorrtLlm,
    /// POST /v1/chat/completions with return_token_ids: `endpoints run` alone.
    Chat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StreamArg {
    /// Where first tokens are timed: Server and Interactive.
    Auto,
    On,
    Off,
}

/// In a `--config` file these stand in a table `http`.
#[derive(Args, Debug, Default, Clone)]
#[command(next_help_heading = heading::HTTP)]
pub(crate) struct HttpArgs {
    /// A server for --engine http; again for more of them.
    ///
    /// Such as http://host:30000.
    #[arg(long, value_name = "URL", help_heading = heading::ENGINE)]
    pub(crate) endpoint: Vec<String>,
    /// Their API [default: detected].
    #[arg(long, value_enum)]
    pub(crate) api: Option<ApiArg>,
    /// Requests under way at once over all servers, and connections [default: 1024; `infer` with other engines: 256].
    #[arg(long, value_name = "N")]
    pub(crate) max_concurrency: Option<usize>,
    /// Seconds that a request may take [default: 2400].
    ///
    /// A request of `infer` fails after that, whoever answers, and is tried again when the command is run again.
    #[arg(long, value_name = "SECONDS", visible_alias = "http-timeout")]
    pub(crate) timeout: Option<f64>,
    /// How often a request is sent again whose connection broke before the response began [default: 2].
    #[arg(long, value_name = "N")]
    pub(crate) http_retries: Option<u32>,
    /// Tokens as they come, or answers whole, which is cheaper [default: auto].
    #[arg(long, value_enum)]
    pub(crate) http_stream: Option<StreamArg>,
    /// Tokens in each piece of a stream after the first, of servers that can be asked for it [default: 1].
    #[arg(long, value_name = "N")]
    pub(crate) stream_interval: Option<u32>,
    /// Threads that read answers [default: one for every 2,048 of --max-concurrency, at most half of the cores].
    #[arg(long, value_name = "N")]
    pub(crate) http_threads: Option<usize>,
    /// An address of this machine to connect from; give it again for more, each has ports of its own [default: any].
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) source_address: Vec<IpAddr>,
    /// The model's name for OpenAI's API [default: the one that the server has].
    #[arg(long, value_name = "NAME", visible_alias = "served-model")]
    pub(crate) served_model_name: Option<String>,
    /// A file with the key that the servers want [default: the environment's OSSMARK_API_KEY].
    #[arg(long, value_name = "FILE")]
    pub(crate) api_key_file: Option<PathBuf>,
    /// PEM file of certificate authorities for https [default: the system's].
    #[arg(long, value_name = "FILE.pem")]
    pub(crate) ca_file: Option<PathBuf>,
}
