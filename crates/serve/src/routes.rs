//! The routes, and the way of a request from its head to its answer.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::access::{self, SHUTTING_DOWN};
use crate::admission::Admission;
use crate::error::{ApiError, json_response};
use crate::generate;
use crate::metrics;
use crate::openai::{chat, completions, models};
use crate::state::AppState;

type Shared = State<Arc<AppState>>;

const GENERATE: &str = "/generate";
const COMPLETIONS: &str = "/v1/completions";
const CHAT: &str = "/v1/chat/completions";
const MODELS: &str = "/v1/models";
const HEALTH: &str = "/health";
const METRICS: &str = "/metrics";
/// The name of every other path in metrics.
const OTHER: &str = "other";

/// The name of a path in metrics.
pub(crate) fn endpoint(path: &str) -> &'static str {
    let known = [GENERATE, COMPLETIONS, CHAT, MODELS, HEALTH, METRICS];
    known
        .into_iter()
        .find(|name| *name == path)
        .unwrap_or(OTHER)
}

pub(crate) fn router(state: Arc<AppState>) -> Router {
    Router::new()
        .route(GENERATE, post(async |State(state): Shared, request: Request| generation(state, GENERATE, request, generate::generate).await))
        .route(
            COMPLETIONS,
            post(async |State(state): Shared, request: Request| generation(state, COMPLETIONS, request, completions::completions).await),
        )
        .route(CHAT, post(async |State(state): Shared, request: Request| generation(state, CHAT, request, chat::chat).await))
        .route(MODELS, get(list_models))
        .route(HEALTH, get(health))
        .route(METRICS, get(metrics_text))
        .fallback(async |State(state): Shared, request: Request| {
            let message = format!(
                "there is no {} here; see POST /generate, /v1/completions, /v1/chat/completions, GET /v1/models, /health, /metrics",
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
