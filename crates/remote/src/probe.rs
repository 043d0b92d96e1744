//! The start: each server's address, what it is, and one request to see that token ids come back.

use std::time::Duration;

use hyper::Uri;
use hyper::header::HeaderMap;
use ossmark_protocol::{Request, RequestId, Sampling, StopTokens};
use serde_json::Value;
use tokio_rustls::TlsConnector;

use crate::answer::Answer;
use crate::api::Dialect;
use crate::connection::{Connection, Target};
use crate::http::{cause, get, headers, post};
use crate::lane::Lane;
use crate::openai::AskForIds;
use crate::settings::Api;
use crate::sse::Decoder;
use crate::tls::server_name;
use crate::{Endpoint, Error, Settings};

/// For a question about the server; a loading server may be slow.
const QUESTION: Duration = Duration::from_secs(30);
/// The first request after a start may compile kernels.
const WARM_UP: Duration = Duration::from_secs(600);
const INFO_BYTES: usize = 1 << 20;

/// What was found out about an endpoint, for the record of a run.
#[derive(Clone, Debug)]
pub struct ServerInfo {
    /// The server.
    pub endpoint: Endpoint,
    /// What it speaks.
    pub api: Api,
    /// Whether each request's seed is sent. A server may still ignore it.
    pub seeded: bool,
    /// Its answer to /get_model_info (SGLang) or /v1/models, if it gave one.
    pub model_info: Value,
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
    let (mut dialect, model_info) = server.identify().await?;
    let first = server.warm_up(&dialect).await;
    if let Err(what) = first {
        // Servers differ in one field each; the other way is tried before giving up, and the first complaint is told.
        let Some(other) = other_way(&dialect) else {
            return Err(server.warm_up_failed(what));
        };
        if server.warm_up(&other).await.is_err() {
            return Err(server.warm_up_failed(what));
        }
        dialect = other;
    }
    let info = ServerInfo {
        endpoint: endpoint.clone(),
        api: dialect.api(),
        seeded: !matches!(dialect, Dialect::Sglang { seed: false }),
        model_info,
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

fn other_way(dialect: &Dialect) -> Option<Dialect> {
    match dialect {
        // Older versions of SGLang refuse the field sampling_seed.
        Dialect::Sglang { seed: true } => Some(Dialect::Sglang { seed: false }),
        Dialect::OpenAi {
            model,
            ids: AskForIds::ReturnTokenIds,
        } => Some(Dialect::OpenAi {
            model: model.clone(),
            ids: AskForIds::NoDetokenize,
        }),
        _ => None,
    }
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

impl Server<'_> {
    fn unreachable(&self, what: String) -> Error {
        Error::Unreachable {
            url: self.endpoint.to_string(),
            what,
        }
    }

    fn warm_up_failed(&self, what: String) -> Error {
        Error::WarmUp {
            url: self.endpoint.to_string(),
            what,
        }
    }

    fn uri(&self, path: &str) -> Result<Uri, Error> {
        let path = self.endpoint.path_of(path);
        path.parse().map_err(|_| Error::Endpoint {
            url: self.endpoint.to_string(),
            what: format!("gives no usable path ({path})"),
        })
    }

    /// The API, from what was asked for and what the server answers.
    async fn identify(&self) -> Result<(Dialect, Value), Error> {
        let sglang = Dialect::Sglang { seed: true };
        let mut refused = String::new();
        if self.settings.api != Some(Api::OpenAi) {
            match self.ask("/get_model_info").await? {
                Ok(info) => return Ok((sglang, info)),
                // Asked for by name: a proxy in front may pass on /generate alone.
                Err(_) if self.settings.api == Some(Api::Sglang) => {
                    return Ok((sglang, Value::Null));
                }
                Err(what) => refused = what,
            }
        }
        let openai = |model| Dialect::OpenAi {
            model,
            ids: AskForIds::ReturnTokenIds,
        };
        let answered = self.ask("/v1/models").await?;
        match (answered, &self.settings.served_model) {
            (Ok(info), Some(model)) => Ok((openai(model.clone()), info)),
            (Ok(info), None) => {
                let model = self.only_model(&info)?;
                Ok((openai(model), info))
            }
            (Err(_), Some(model)) if self.settings.api == Some(Api::OpenAi) => {
                Ok((openai(model.clone()), Value::Null))
            }
            (Err(what), None) if self.settings.api == Some(Api::OpenAi) => Err(Error::Model {
                url: self.endpoint.to_string(),
                what: format!("/v1/models: {what}"),
            }),
            (Err(what), _) => Err(Error::UnknownServer {
                url: self.endpoint.to_string(),
                sglang: refused,
                openai: what,
            }),
        }
    }

    fn only_model(&self, info: &Value) -> Result<String, Error> {
        let models = info["data"].as_array().map_or(&[][..], Vec::as_slice);
        let names: Vec<&str> = models.iter().filter_map(|m| m["id"].as_str()).collect();
        match names[..] {
            [one] => Ok(one.to_owned()),
            _ => Err(Error::Model {
                url: self.endpoint.to_string(),
                what: format!("/v1/models lists {} models", names.len()),
            }),
        }
    }

    /// GETs a JSON object. The outer error: nothing answers there; the inner: something does, but not that.
    async fn ask(&self, path: &str) -> Result<Result<Value, String>, Error> {
        let uri = self.uri(path)?;
        let question = async {
            let mut connection = Connection::open(&self.target).await?;
            let sent = connection.send(get(&uri, &self.headers)).await;
            let response = sent.map_err(|e| format!("GET {uri}: {}", cause(&e)))?;
            let mut body = match response.body().await {
                Ok(body) => body,
                Err(refused) => return Ok(Err(refused.what)),
            };
            let body = body.whole(INFO_BYTES).await?;
            let info: Result<Value, _> = serde_json::from_slice(&body);
            Ok(match info {
                Ok(info) if info.is_object() => Ok(info),
                _ => Err("no JSON object".to_owned()),
            })
        };
        match tokio::time::timeout(QUESTION, question).await {
            Ok(answered) => answered.map_err(|what| self.unreachable(what)),
            Err(_) => Err(self.unreachable(format!(
                "GET {uri}: no answer within {} s",
                QUESTION.as_secs()
            ))),
        }
    }

    /// One short request, in the mode in which all others will be made.
    async fn warm_up(&self, dialect: &Dialect) -> Result<(), String> {
        let request = Request {
            id: RequestId(u64::MAX),
            prompt: [0].into(),
            sampling: Sampling::GREEDY,
            seed: 0,
            max_new_tokens: 2,
            want_logits: false,
            stop_tokens: StopTokens::default(),
            ignore_eos: false,
        };
        let stream = self.settings.stream;
        let body = dialect.body(&request, stream).into();
        let uri = self.uri(dialect.path()).map_err(|e| e.to_string())?;
        let mut answer = Answer::new(request.prompt.len(), request.max_new_tokens);
        let exchange = async {
            let mut connection = Connection::open(&self.target).await?;
            let sent = connection.send(post(&uri, &self.headers, body)).await;
            let response = sent.map_err(|e| cause(&e))?;
            let mut body = response.body().await.map_err(|refused| refused.what)?;
            let body = body.whole(INFO_BYTES).await?;
            if stream {
                let mut taken = Ok(false);
                let fed = Decoder::new(INFO_BYTES).feed(&body, |event| {
                    if taken == Ok(false) {
                        taken = dialect.take_chunk(event.data, &mut answer);
                    }
                });
                fed.map_err(|e| e.to_string())?;
                if !taken? {
                    return Err("the stream ended before [DONE]".into());
                }
            } else {
                dialect.take_response(&body, &mut answer)?;
            }
            answer.finish().map(|_| ())
        };
        let limit = self.settings.timeout.min(WARM_UP);
        match tokio::time::timeout(limit, exchange).await {
            Ok(done) => done,
            Err(_) => Err(format!("no answer within {} s", limit.as_secs_f64())),
        }
    }
}
