//! Answers from servers over HTTP: the plan from the command line, and the seam to `ossmark_remote`, whose thread does the
//! work.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ossmark_protocol::{
    Closed, Description, EndpointStats, Generator, RemoteStats, Request, RequestError, RequestId,
    Server, Sink, TokenId,
};
use ossmark_remote::{Api, Endpoint, Remote, ServerInfo, Settings};
use serde_json::json;

use crate::cli::{ApiArg, HttpArgs, StreamArg};
use crate::terminal::{note, progress};

/// What a server does not show to whoever asks it; in a submission, the submitter's to show.
const NOT_SEEN_FROM_HERE: [&str; 5] = [
    "weights",
    "numerics",
    "random generator",
    "stop tokens",
    "prefix caching",
];

/// Where the key is when no file is named.
const KEY_VARIABLE: &str = "OSSMARK_API_KEY";

/// What was asked for, validated; nothing is connected yet.
pub(crate) fn settings(args: &HttpArgs) -> Result<Settings> {
    if args.endpoint.is_empty() {
        bail!("--engine http: missing --endpoint URL (such as http://host:30000)");
    }
    let endpoints = args.endpoint.iter().map(|url| url.parse::<Endpoint>());
    let endpoints = endpoints.collect::<Result<Vec<_>, _>>()?;
    let defaults = Settings::new(endpoints);
    let timeout = match args.timeout {
        None => defaults.timeout,
        Some(s) if (0.001..=1e6).contains(&s) => Duration::from_secs_f64(s),
        Some(s) => bail!("--timeout {s}: expected seconds between 0.001 and 1000000"),
    };
    Ok(Settings {
        api: args.api.map(|api| match api {
            ApiArg::Sglang => Api::Sglang,
            ApiArg::SglangCompletions => Api::SglangCompletions,
            ApiArg::Openai => Api::OpenAi,
            ApiArg::Vllm => Api::Vllm,
            ApiArg::VllmGenerate => Api::VllmGenerate,
            ApiArg::Dynamo => Api::Dynamo,
            ApiArg::TensorrtLlm => Api::TensorRtLlm,
            ApiArg::Chat => Api::Chat,
        }),
        max_concurrency: args.max_concurrency.unwrap_or(defaults.max_concurrency),
        timeout,
        retries: args.http_retries.unwrap_or(defaults.retries),
        stream: args.http_stream != Some(StreamArg::Off),
        stream_interval: args.stream_interval.unwrap_or(defaults.stream_interval),
        threads: args.http_threads,
        source_addresses: args.source_address.clone(),
        served_model: args.served_model_name.clone(),
        api_key: key(args.api_key_file.as_deref())?,
        ca_file: args.ca_file.clone(),
        ..defaults
    })
}

fn key(file: Option<&Path>) -> Result<Option<String>> {
    let Some(file) = file else {
        return Ok(std::env::var(KEY_VARIABLE)
            .ok()
            .filter(|key| !key.is_empty()));
    };
    let text = ossmark_files::read_to_string(file)
        .with_context(|| format!("--api-key-file {}: cannot read", file.display()))?;
    Ok(Some(text.trim().to_owned()))
}

/// Servers, connected.
pub(crate) struct Http {
    remote: Remote,
    settings: Settings,
}

impl Http {
    pub(crate) fn start(settings: &Settings, sink: Sink) -> Result<Self> {
        let remote = Remote::start(settings.clone(), sink)?;
        let settings = settings.clone();
        for server in remote.servers() {
            progress!("{}: {}", server.endpoint, server.dialect);
        }
        if let Some(raised) = remote.raised_limit() {
            note!("ossmark: {raised}");
        }
        let asked = settings.stream && settings.stream_interval > 1;
        for server in remote.servers().iter().filter(|s| asked && !s.gathers) {
            note!(
                "ossmark: warning: {} takes no stream_interval from requests: set it where the server is started",
                server.endpoint
            );
        }
        for difference in remote.differences() {
            note!("ossmark: warning: {difference}");
        }
        Ok(Self { remote, settings })
    }

    /// What its threads used of the processor, once they have ended.
    pub(crate) fn processor(&self) -> Duration {
        self.remote.stats().processor
    }
}

/// With what each server cannot be told.
fn not_seen_from_here(servers: &[ServerInfo]) -> Vec<String> {
    let mut all: Vec<String> = NOT_SEEN_FROM_HERE.map(str::to_owned).into();
    for server in servers {
        for field in &server.unsaid {
            all.push(format!(
                "{field} ({} takes none from requests)",
                server.endpoint
            ));
        }
    }
    all
}

impl Generator for Http {
    fn submit(&self, requests: Vec<Request>) -> Result<(), Closed> {
        self.remote.submit(requests)
    }

    fn cancel(&self, ids: Vec<RequestId>) {
        self.remote.cancel(ids);
    }

    /// By the server with the least context: any of them may get any request.
    fn check(&self, prompt: &[TokenId], max_new_tokens: u32) -> Result<(), RequestError> {
        let servers = self.remote.servers().iter();
        let told = servers.filter_map(|server| Some((server.max_model_len?, server)));
        match told.min_by_key(|(max, _)| *max) {
            Some((max, server)) if prompt.len() as u64 + u64::from(max_new_tokens) > max => {
                Err(RequestError::BeyondServersContext {
                    prompt: prompt.len(),
                    new: max_new_tokens,
                    max,
                    server: server.endpoint.to_string(),
                })
            }
            _ => Ok(()),
        }
    }

    fn describe(&self) -> Option<Description> {
        let servers = self.remote.servers().iter().map(|server| Server {
            endpoint: server.endpoint.to_string(),
            api: server.dialect,
            seed_is_sent: server.seeded(),
            version: server.version.clone(),
            max_model_len: server.max_model_len,
            settings: server.settings.clone(),
            model_info: json!(server.model_info),
        });
        let settings = &self.settings;
        Some(Description {
            servers: servers.collect(),
            max_concurrency: settings.max_concurrency,
            timeout_s: settings.timeout.as_secs_f64(),
            retries: settings.retries,
            stream: settings.stream,
            stream_interval: settings.stream_interval,
            threads: settings.threads(),
            with_key: settings.api_key.is_some(),
            differences: self.remote.differences().to_vec(),
            not_seen_from_here: not_seen_from_here(self.remote.servers()),
        })
    }

    fn stats(&self) -> Option<RemoteStats> {
        let stats = self.remote.stats();
        let by_endpoint = self.remote.servers().iter().zip(&stats.by_endpoint);
        let by_endpoint = by_endpoint.map(|(server, stats)| EndpointStats {
            endpoint: server.endpoint.to_string(),
            requests: stats.requests,
            open: stats.open,
            retries: stats.retries,
            timed_out: stats.timed_out,
        });
        Some(RemoteStats {
            requests: stats.requests,
            failed: stats.failed,
            timed_out: stats.timed_out,
            retries: stats.retries,
            held: stats.held,
            connections: stats.connections,
            pieces: stats.pieces,
            by_endpoint: by_endpoint.collect(),
        })
    }

    fn shutdown(&self) {
        self.remote.shutdown();
    }
}
