//! The routes, and the way of a request from its head to its answer.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;

use crate::access::{self, SHUTTING_DOWN};
use crate::admission::Admission;
use crate::error::{ApiError, json_response};
use crate::generate;
use crate::info;
use crate::metrics;
use crate::new_request::NewRequest;
use crate::open_request::OpenRequest;
use crate::openai::{chat, completions, models, responses};
use crate::state::AppState;
use crate::tokenize;

type Shared = State<Arc<AppState>>;

const GENERATE: &str = "/generate";
const COMPLETIONS: &str = "/v1/completions";
const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
const TOKENIZE: &str = "/tokenize";
const DETOKENIZE: &str = "/detokenize";
const HEALTH_GENERATE: &str = "/health_generate";
const MODELS: &str = "/v1/models";
const MODEL: &str = "/v1/models/{id}";
const HEALTH: &str = "/health";
const METRICS: &str = "/metrics";
/// The name of every other path in metrics.
const OTHER: &str = "other";

type Answer = fn(&AppState) -> Value;

/// Questions about the server, which other servers call so.
const QUESTIONS: [(&str, Answer); 7] = [
    ("/version", info::version),
    ("/server_info", info::server_info),
    ("/get_server_info", info::server_info),
    ("/model_info", info::model_info),
    ("/get_model_info", info::model_info),
    ("/v1/loads", info::loads),
    ("/get_load", info::loads),
];

/// The name of a path in metrics.
pub(crate) fn endpoint(path: &str) -> &'static str {
    let known = [
        GENERATE,
        COMPLETIONS,
        CHAT,
        RESPONSES,
        TOKENIZE,
        DETOKENIZE,
        HEALTH_GENERATE,
        MODELS,
        HEALTH,
        METRICS,
    ];
    let questions = QUESTIONS.iter().map(|(name, _)| *name);
    match known
        .into_iter()
        .chain(questions)
        .find(|name| *name == path)
    {
        Some(name) => name,
        None if path.starts_with("/v1/models/") => MODEL,
        None => OTHER,
    }
}

/// A route whose requests want tokens, or work on many.
macro_rules! work {
    ($name:ident, $handle:path) => {
        post(async |State(state): Shared, request: Request| {
            generation(state, $name, request, $handle).await
        })
    };
}

pub(crate) fn router(state: Arc<AppState>) -> Router {
    let mut router = Router::new()
        .route(GENERATE, work!(GENERATE, generate::generate))
        .route(COMPLETIONS, work!(COMPLETIONS, completions::completions))
        .route(CHAT, work!(CHAT, chat::chat))
        .route(RESPONSES, work!(RESPONSES, responses::responses))
        .route(TOKENIZE, work!(TOKENIZE, tokenize::tokenize))
        .route(DETOKENIZE, work!(DETOKENIZE, tokenize::detokenize))
        .route(HEALTH_GENERATE, get(health_generate))
        .route(MODELS, get(list_models))
        .route("/v1/models/{*id}", get(one_model))
        .route(HEALTH, get(health))
        .route(METRICS, get(metrics_text));
    for (path, answer) in QUESTIONS {
        router = router.route(
            path,
            get(async move |State(state): Shared, headers: HeaderMap| {
                let allowed = access::authenticate(&state, &headers);
                let answer = allowed.map(|()| json_response(answer(&state).to_string().into()));
                state.respond(path, answer)
            }),
        );
    }
    router
        .fallback(async |State(state): Shared, request: Request| {
            let message = format!(
                "there is no {} here; see POST /generate, /v1/completions, /v1/chat/completions, /v1/responses, /tokenize, /detokenize, GET \
                 /v1/models, /server_info, /health, /metrics",
                request.uri().path()
            );
            state.respond(OTHER, Err(ApiError::new(StatusCode::NOT_FOUND, message)))
        })
        .method_not_allowed_fallback(async |State(state): Shared, request: Request| {
            let message = format!("{} does not take {}", request.uri().path(), request.method());
            state.respond(OTHER, Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, message)))
        })
        .with_state(state)
}

/// The way of a request that wants tokens.
async fn generation<F, Fut>(
    state: Arc<AppState>,
    endpoint: &'static str,
    request: Request,
    handle: F,
) -> Response
where
    F: FnOnce(Arc<AppState>, Vec<u8>, Admission) -> Fut,
    Fut: Future<Output = Result<Response, ApiError>>,
{
    let mut counted = state.metrics.count(endpoint);
    let answer = async {
        access::authenticate(&state, request.headers())?;
        access::check_admissible(&state, request.headers())?;
        let (body, permit) = state.bodies.read(request).await?;
        let admission = Admission {
            permits: state.concurrency.acquire()?,
            _body: permit,
        };
        handle(Arc::clone(&state), body, admission).await
    };
    let response = answer.await.unwrap_or_else(IntoResponse::into_response);
    counted.answered(response.status());
    response
}

async fn list_models(State(state): Shared, headers: HeaderMap) -> Response {
    let answer =
        access::authenticate(&state, &headers).map(|()| json_response(models::models(&state)));
    state.respond(MODELS, answer)
}

async fn one_model(State(state): Shared, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let answer = access::authenticate(&state, &headers)
        .and_then(|()| models::model(&state, &id).map(json_response));
    state.respond(MODEL, answer)
}

/// As SGLang: healthy if a token comes. It takes a place like any other request.
async fn health_generate(State(state): Shared, headers: HeaderMap) -> Response {
    let mut counted = state.metrics.count(HEALTH_GENERATE);
    let answer = async {
        access::authenticate(&state, &headers)?;
        access::refuse_pages(&headers)?;
        access::check_open(&state)?;
        let admission = Admission {
            permits: state.concurrency.acquire()?,
            _body: None,
        };
        let requests = vec![NewRequest::probe()];
        let open = OpenRequest::submit(&state.registry, admission, requests, None)?;
        for request in &open {
            request.answer().await?;
        }
        Ok(json_response(br#"{"status":"ok"}"#.to_vec()))
    };
    let response = answer
        .await
        .unwrap_or_else(|error: ApiError| error.into_response());
    counted.answered(response.status());
    response
}

/// Open to all: load balancers have no key, and it tells nothing but whether the server can work.
async fn health(State(state): Shared) -> Response {
    let unavailable = |message: String| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, message);
    let answer = match state.engine_error() {
        _ if state.is_draining() => Err(unavailable(SHUTTING_DOWN.into())),
        Some(message) => Err(unavailable(format!("the engine is dead: {message}"))),
        None => Ok(json_response(br#"{"status":"ok"}"#.to_vec())),
    };
    state.respond(HEALTH, answer)
}

async fn metrics_text(State(state): Shared, headers: HeaderMap) -> Response {
    let answer = access::authenticate(&state, &headers).map(|()| {
        let kind = "text/plain; version=0.0.4; charset=utf-8";
        let text = metrics::text(&state.metrics, &state.snapshot());
        ([(header::CONTENT_TYPE, kind)], text).into_response()
    });
    state.respond(METRICS, answer)
}
