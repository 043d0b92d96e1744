//! The routes, and the way of a request from its head to its answer.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::access::{self, SHUTTING_DOWN};
use crate::admission::Held;
use crate::error::{ApiError, json_response};
use crate::generate;
use crate::metrics;
use crate::openai::{chat, completions, models};
use crate::state::App;

type Shared = State<Arc<App>>;

const GENERATE: &str = "/generate";
const COMPLETIONS: &str = "/v1/completions";
const CHAT: &str = "/v1/chat/completions";
const MODELS: &str = "/v1/models";
const HEALTH: &str = "/health";
const METRICS: &str = "/metrics";
/// Whatever else clients ask for, as metrics name it.
const OTHER: &str = "other";

/// What metrics call that which a path asks for.
pub(crate) fn endpoint(path: &str) -> &'static str {
    let known = [GENERATE, COMPLETIONS, CHAT, MODELS, HEALTH, METRICS];
    known
        .into_iter()
        .find(|name| *name == path)
        .unwrap_or(OTHER)
}

pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route(GENERATE, post(async |State(app): Shared, request: Request| work(app, GENERATE, request, generate::generate).await))
        .route(
            COMPLETIONS,
            post(async |State(app): Shared, request: Request| work(app, COMPLETIONS, request, completions::completions).await),
        )
        .route(CHAT, post(async |State(app): Shared, request: Request| work(app, CHAT, request, chat::chat).await))
        .route(MODELS, get(list_models))
        .route(HEALTH, get(health))
        .route(METRICS, get(metrics_text))
        .fallback(async |State(app): Shared, request: Request| {
            let message = format!(
                "there is no {} here; see POST /generate, /v1/completions, /v1/chat/completions, GET /v1/models, /health, /metrics",
                request.uri().path()
            );
            app.tell(OTHER, Err(ApiError::new(StatusCode::NOT_FOUND, message)))
        })
        .method_not_allowed_fallback(async |State(app): Shared, request: Request| {
            let message = format!("{} does not take {}", request.uri().path(), request.method());
            app.tell(OTHER, Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, message)))
        })
        .with_state(app)
}

/// The way of a request that wants tokens.
async fn work<F, Fut>(
    app: Arc<App>,
    endpoint: &'static str,
    request: Request,
    handle: F,
) -> Response
where
    F: FnOnce(Arc<App>, Vec<u8>, Held) -> Fut,
    Fut: Future<Output = Result<Response, ApiError>>,
{
    let mut counted = app.metrics.count(endpoint);
    let answer = async {
        access::let_in(&app, request.headers())?;
        access::takes_work(&app, request.headers())?;
        let (body, room) = app.bodies.read(request).await?;
        let held = Held {
            places: app.concurrency.place()?,
            _room: room,
        };
        handle(Arc::clone(&app), body, held).await
    };
    let response = answer.await.unwrap_or_else(IntoResponse::into_response);
    counted.answered(response.status());
    response
}

async fn list_models(State(app): Shared, headers: HeaderMap) -> Response {
    let answer = access::let_in(&app, &headers).map(|()| json_response(models::models(&app)));
    app.tell(MODELS, answer)
}

/// Open to all: load balancers have no key, and it tells nothing but whether the server can work.
async fn health(State(app): Shared) -> Response {
    let unwell = |message: String| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, message);
    let answer = match app.engine_error() {
        _ if app.is_draining() => Err(unwell(SHUTTING_DOWN.into())),
        Some(message) => Err(unwell(format!("the engine is dead: {message}"))),
        None => Ok(json_response(br#"{"status":"ok"}"#.to_vec())),
    };
    app.tell(HEALTH, answer)
}

async fn metrics_text(State(app): Shared, headers: HeaderMap) -> Response {
    let answer = access::let_in(&app, &headers).map(|()| {
        let kind = "text/plain; version=0.0.4; charset=utf-8";
        let text = metrics::text(&app.metrics, &app.snapshot());
        ([(header::CONTENT_TYPE, kind)], text).into_response()
    });
    app.tell(METRICS, answer)
}
