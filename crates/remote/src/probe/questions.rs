//! Questions about a server (GET), and what of the answers is kept.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{Found, Server};
use crate::Error;
use crate::connection::Connection;
use crate::http::{cause, get};
use crate::settings::Api;

/// For the first question; a loading server may be slow.
const FIRST: Duration = Duration::from_secs(30);
/// For what a server need not answer.
const OTHERS: Duration = Duration::from_secs(5);
pub(super) const INFO_BYTES: usize = 1 << 20;

/// Of /server_info what bears on answers or speed. The rest stays there: SGLang's has keys and paths among it.
const SHOWN: [&str; 13] = [
    "context_length",
    "dtype",
    "quantization",
    "kv_cache_dtype",
    "attention_backend",
    "tp_size",
    "dp_size",
    "disable_radix_cache",
    "max_running_requests",
    "chunked_prefill_size",
    "speculative_algorithm",
    "stream_interval",
    "enable_deterministic_inference",
];

impl Server<'_> {
    /// What the server is, from what was asked for and what it answers.
    pub(super) async fn ask_all(&self) -> Result<Found, Error> {
        let api = self.settings.api;
        let mut sglang = self
            .ask("/get_model_info", FIRST)
            .await?
            .and_then(of_sglang);
        if let Err(refused) = &mut sglang {
            match self.ask_quietly("/model_info").await.and_then(of_sglang) {
                Ok(info) => sglang = Ok(info),
                Err(newer) if newer != *refused => *refused += &format!("; /model_info: {newer}"),
                Err(_) => {}
            }
        }
        let models = self.ask_quietly("/v1/models").await;
        let served = self.settings.served_model.clone();
        let listed = models.as_ref().ok().map(listed);
        let mut found = Found {
            sglang: sglang.is_ok() && !is_other(models.as_ref().ok()),
            model_info: Value::Null,
            model: served.or_else(|| match listed.as_deref() {
                Some([one]) => Some(one.clone()),
                _ => None,
            }),
            version: None,
            max_model_len: models.as_ref().ok().and_then(max_model_len),
            settings: Map::new(),
        };
        if api.is_none() && !found.sglang {
            match (&models, &listed) {
                (Err(what), _) => {
                    return Err(Error::UnknownServer {
                        url: self.endpoint.to_string(),
                        sglang: sglang.err().unwrap_or_default(),
                        openai: what.clone(),
                    });
                }
                (Ok(_), Some(names)) if found.model.is_none() => {
                    return Err(
                        self.model_unknown(format!("/v1/models lists {} models", names.len()))
                    );
                }
                _ => {}
            }
        }
        let by_name = matches!(
            api,
            Some(
                Api::OpenAi
                    | Api::Vllm
                    | Api::Dynamo
                    | Api::TensorRtLlm
                    | Api::SglangCompletions
                    | Api::Chat
            )
        );
        if by_name && found.model.is_none() {
            return Err(self.model_unknown(match (&models, &listed) {
                (Err(what), _) => format!("/v1/models: {what}"),
                (_, names) => format!(
                    "/v1/models lists {} models",
                    names.as_ref().map_or(0, Vec::len)
                ),
            }));
        }
        if let Ok(info) = &sglang {
            found.model = found.model.or_else(|| text(info, "model_path"));
        }
        let info = match found.sglang {
            true => sglang.or(models),
            false => models.or(sglang),
        };
        found.model_info = info.unwrap_or(Value::Null);
        self.ask_settings(&mut found).await;
        Ok(found)
    }

    async fn ask_settings(&self, found: &mut Found) {
        if let Ok(version) = self.ask_quietly("/version").await {
            found.version = text(&version, "version");
        }
        let mut info = self.ask_quietly("/server_info").await;
        if info.is_err() && found.sglang {
            info = self.ask_quietly("/get_server_info").await;
        }
        let Ok(Value::Object(mut info)) = info else {
            return;
        };
        if let Some(Value::String(version)) = info.remove("version") {
            found.version.get_or_insert(version);
        }
        found.settings = info
            .into_iter()
            .filter(|(name, value)| SHOWN.contains(&name.as_str()) && !value.is_object())
            .collect();
        let context = found.settings.get("context_length");
        found.max_model_len = found.max_model_len.or(context.and_then(Value::as_u64));
    }

    fn model_unknown(&self, what: String) -> Error {
        Error::Model {
            url: self.endpoint.to_string(),
            what,
        }
    }

    /// A question that a server need not understand.
    async fn ask_quietly(&self, path: &str) -> Result<Value, String> {
        match self.ask(path, OTHERS).await {
            Ok(answer) => answer,
            Err(error) => Err(error.to_string()),
        }
    }

    /// GETs a JSON object. The outer error: nothing answers there; the inner: something does, but not that.
    async fn ask(&self, path: &str, limit: Duration) -> Result<Result<Value, String>, Error> {
        let uri = self.uri(path)?;
        let question = async {
            let mut connection = Connection::open(&self.target, self.source()).await?;
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
        match tokio::time::timeout(limit, question).await {
            Ok(answered) => answered.map_err(|what| self.unreachable(what)),
            Err(_) => {
                Err(self.unreachable(format!("GET {uri}: no answer within {} s", limit.as_secs())))
            }
        }
    }
}

/// SGLang says where its model is; others answer every path with something.
fn of_sglang(info: Value) -> Result<Value, String> {
    match info["model_path"].is_string() {
        true => Ok(info),
        false => Err("no model_path".to_owned()),
    }
}

/// Servers that answer SGLang's questions without being SGLang say in their list of models who they are.
fn is_other(models: Option<&Value>) -> bool {
    let owner = models.and_then(|models| models["data"][0]["owned_by"].as_str());
    matches!(owner, Some("ossmark" | "vllm"))
}

fn listed(models: &Value) -> Vec<String> {
    let models = models["data"].as_array().map_or(&[][..], Vec::as_slice);
    let names = models.iter().filter_map(|model| text(model, "id"));
    names.collect()
}

/// The least of all models that are listed: which of them will answer is not known yet.
fn max_model_len(models: &Value) -> Option<u64> {
    let models = models["data"].as_array()?;
    // Dynamo's name, and everybody else's.
    let lengths = models.iter().filter_map(|model| {
        let length = model.get("max_model_len").or(model.get("context_window"));
        length.and_then(Value::as_u64)
    });
    lengths.min()
}

fn text(object: &Value, field: &str) -> Option<String> {
    object[field].as_str().map(str::to_owned)
}
