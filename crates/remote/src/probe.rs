//! The start: each server's address, what it is, and one request to see that token ids come back.

mod questions;
mod warm_up;

use std::net::IpAddr;

use hyper::Uri;
use hyper::header::HeaderMap;
use serde_json::{Map, Value};
use tokio_rustls::TlsConnector;

use crate::connection::Target;
use crate::dialect::{Dialect, candidates};
use crate::http::headers;
use crate::lane::Lane;
use crate::settings::Api;
use crate::tls::server_name;
use crate::{Endpoint, Error, Settings};

/// What was found out about an endpoint, for the record of a run.
#[derive(Clone, Debug)]
pub struct ServerInfo {
    /// The server.
    pub endpoint: Endpoint,
    /// What it speaks, for people.
    pub dialect: &'static str,
    /// Whether it was asked to gather tokens ([`Settings::stream_interval`]).
    pub gathers: bool,
    /// Sampling fields that its API cannot be told.
    pub unsaid: Vec<&'static str>,
    /// Its answer to /get_model_info or /model_info (SGLang), else to /v1/models, if it gave one.
    pub model_info: Value,
    /// What it calls its model, where it says so.
    pub model: Option<String>,
    /// Its version, where it says so.
    pub version: Option<String>,
    /// Most tokens of a prompt and its answer together, where it says so.
    pub max_model_len: Option<u64>,
    /// Settings that bear on answers or speed, of those that it shows (SGLang's /server_info); no keys, no paths.
    pub settings: Map<String, Value>,
}

impl ServerInfo {
    /// Whether each request's seed is sent. A server may still ignore it.
    pub fn seeded(&self) -> bool {
        !self.unsaid.contains(&"seed")
    }
}

/// Finds out how to talk to an endpoint and has it answer once.
pub(crate) async fn open_lane(
    settings: &Settings,
    endpoint: &Endpoint,
    connector: Option<&TlsConnector>,
) -> Result<(Lane, ServerInfo), Error> {
    let server = Server {
        settings,
        endpoint,
        target: target(endpoint, connector).await?,
        headers: headers(endpoint, settings.api_key.as_deref())?,
    };
    let found = server.ask_all().await?;
    let dialect = server.first_that_works(&found).await?;
    let info = ServerInfo {
        endpoint: endpoint.clone(),
        dialect: dialect.name(),
        gathers: dialect.gathers(),
        unsaid: dialect.names().unsaid(),
        model_info: found.model_info,
        model: found.model,
        version: found.version,
        max_model_len: found.max_model_len,
        settings: found.settings,
    };
    let uri = server.uri(dialect.path())?;
    let lane = Lane::new(
        endpoint.clone(),
        server.target,
        server.headers,
        uri,
        dialect,
    );
    Ok((lane, info))
}

async fn target(endpoint: &Endpoint, connector: Option<&TlsConnector>) -> Result<Target, Error> {
    let found = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port)).await;
    let addresses: Vec<_> = found
        .map_err(|source| Error::Address {
            url: endpoint.to_string(),
            source,
        })?
        .collect();
    let tls = match connector {
        Some(connector) if endpoint.tls => Some((connector.clone(), server_name(endpoint)?)),
        _ => None,
    };
    Ok(Target { addresses, tls })
}

struct Server<'a> {
    settings: &'a Settings,
    endpoint: &'a Endpoint,
    target: Target,
    headers: HeaderMap,
}

/// What a server said of itself.
struct Found {
    /// It calls itself SGLang, by answering a question that only SGLang answers.
    sglang: bool,
    model_info: Value,
    model: Option<String>,
    version: Option<String>,
    max_model_len: Option<u64>,
    settings: Map<String, Value>,
}

impl Server<'_> {
    fn unreachable(&self, what: String) -> Error {
        Error::Unreachable {
            url: self.endpoint.to_string(),
            what,
        }
    }

    fn source(&self) -> Option<IpAddr> {
        self.settings.source_addresses.first().copied()
    }

    fn uri(&self, path: &str) -> Result<Uri, Error> {
        let path = self.endpoint.path_of(path);
        path.parse().map_err(|_| Error::Endpoint {
            url: self.endpoint.to_string(),
            what: format!("gives no usable path ({path})"),
        })
    }

    /// Tries every dialect that may be the server's with a request for two tokens.
    async fn first_that_works(&self, found: &Found) -> Result<Box<dyn Dialect>, Error> {
        let model = self
            .settings
            .served_model
            .as_deref()
            .or(found.model.as_deref());
        let mut tried: Vec<(&'static str, String)> = Vec::new();
        let interval = self.settings.interval();
        let (api, messages) = (self.settings.api, &self.settings.messages);
        for dialect in candidates(api, found.sglang, model, interval, messages) {
            let what = match self.warm_up(&*dialect).await {
                Ok(Ok(())) => return Ok(dialect),
                Ok(Err(what)) => what,
                // Nobody answers any more: asking in another way takes as long again.
                Err(what) => {
                    tried.push((dialect.name(), what));
                    break;
                }
            };
            tried.push((dialect.name(), what));
        }
        let mut answers: Vec<String> = Vec::new();
        for same in tried.chunk_by(|a, b| a.1 == b.1) {
            let mut names: Vec<_> = same.iter().map(|(name, _)| *name).collect();
            names.dedup();
            answers.push(format!("{}: {}", names.join(", "), same[0].1));
        }
        let mut what = answers.join("; ");
        if let Some(model) = model
            && !matches!(api, Some(Api::Sglang | Api::Chat))
            && self.answers_text(model).await
        {
            what += "; it answers prompts as text, but does not take or return token ids, which some gateways do not pass on \
                     (SMG in front of vLLM): give the servers behind it as --endpoint";
        }
        Err(Error::WarmUp {
            url: self.endpoint.to_string(),
            what,
        })
    }
}
