//! What all requests share: settings, the key, routes, and the way of a request from its head to its answer. Refuses what
//! can be refused before a body is read.

use ossmark_protocol::Generator;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use subtle::ConstantTimeEq;

use crate::body::{Room, Work};
use crate::encoding::Encoders;
use crate::error::{ApiError, ServeError, json_response};
use crate::events::Limits;
use crate::hub::Hub;
use crate::metrics::{self, Endpoint};
use crate::text::Text;
use crate::{api, chat, clock, completions, generate, host};

/// A secret that clients send as `Authorization: Bearer …`.
#[derive(Clone)]
pub struct ApiKey(Vec<u8>);

/// Short keys can be guessed.
const LEAST_KEY: usize = 16;

impl ApiKey {
    /// Takes a key; surrounding white space, such as a file's last line end, does not belong to it.
    ///
    /// # Errors
    /// When it is too short or holds what a header cannot; `place` says where it came from.
    pub fn new(key: &str, place: &str) -> Result<Self, ServeError> {
        let key = key.trim();
        if key.len() < LEAST_KEY || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ServeError::WeakKey {
                place: place.into(),
                found: key.len(),
                expected: LEAST_KEY,
            });
        }
        Ok(Self(key.into()))
    }

    fn opens(&self, headers: &HeaderMap) -> bool {
        let sent = headers
            .get(header::AUTHORIZATION)
            .map(HeaderValue::as_bytes)
            .unwrap_or_default();
        let Some((scheme, key)) = sent.split_at_checked("Bearer ".len()) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(self.0.ct_eq(key))
    }
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

/// How the server behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What `/v1/models` and answers call the model.
    pub model_name: String,
    /// Needed to listen elsewhere than on a loopback address.
    pub api_key: Option<ApiKey>,
    /// The host that it was told to listen on: without a key, requests may name this or loopback, and nothing else.
    pub own_name: String,
    /// Requests open at a time, waiting ones included; more are refused with 429.
    pub max_concurrency: usize,
    /// Connections at a time; more wait to be accepted.
    pub max_connections: usize,
    /// Longest body of a request.
    pub max_body_bytes: usize,
    /// Bytes of bodies that are being read or turned into tokens, over all requests, small ones aside; more wait.
    pub max_bodies_bytes: usize,
    /// Long texts that are turned into tokens at a time; more wait.
    pub max_encodings: usize,
    /// How long the head of a request may take, and its body again.
    pub read_timeout: Duration,
    /// How long a write may make no progress.
    pub write_timeout: Duration,
    /// How long open requests may take to end once the server is told to stop.
    pub drain_timeout: Duration,
    /// Tokens in an event of a stream, after the first token.
    pub stream_interval: usize,
    /// Streams of `/generate` carry only new token ids in each event instead of all so far.
    pub incremental_output: bool,
    /// Mixed with a request's number into the seed of requests that bring none.
    pub seed: u64,
    /// The day that chat prompts name, as YYYY-MM-DD; `None`: today, in UTC.
    pub chat_date: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model_name: "gpt-oss-120b".into(),
            api_key: None,
            own_name: "localhost".into(),
            max_concurrency: 8192,
            max_connections: 16384,
            max_body_bytes: 16 << 20,
            max_bodies_bytes: 256 << 20,
            max_encodings: std::thread::available_parallelism().map_or(1, |n| n.get().min(2)),
            read_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(30),
            stream_interval: 1,
            incremental_output: false,
            seed: 0,
            chat_date: None,
        }
    }
}

/// The server without its connections.
pub struct App {
    pub(crate) settings: Settings,
    pub(crate) limits: Limits,
    pub(crate) text: Option<Arc<Text>>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) room: Room,
    pub(crate) encoders: Encoders,
    /// When it started, in seconds since 1970: the model's `created`, and part of every answer's id.
    pub(crate) started: u64,
    draining: AtomicBool,
}

impl App {
    /// An app over an engine; without `text` only token ids are understood.
    pub fn new(
        generator: Arc<dyn Generator>,
        limits: Limits,
        text: Option<Text>,
        settings: Settings,
    ) -> Self {
        let hub = Arc::new(Hub::new(generator, settings.max_concurrency, settings.seed));
        Self {
            room: Room::new(settings.max_bodies_bytes.max(settings.max_body_bytes)),
            encoders: Encoders::new(settings.max_encodings),
            settings,
            limits,
            text: text.map(Arc::new),
            hub,
            started: clock::now(),
            draining: AtomicBool::new(false),
        }
    }

    /// No new requests from here on.
    pub(crate) fn drain(&self) {
        self.draining.store(true, SeqCst);
    }

    /// Requests that are open: what a shutdown without waiting would cut off.
    pub fn open_requests(&self) -> usize {
        self.hub.tickets()
    }

    /// Why the engine died, if it did.
    pub fn engine_error(&self) -> Option<&str> {
        self.hub.dead()
    }

    fn let_in(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        match &self.settings.api_key {
            Some(key) if !key.opens(headers) => Err(ApiError::new(
                StatusCode::UNAUTHORIZED,
                "this server needs its API key: send the header Authorization: Bearer KEY",
            )),
            _ => Ok(()),
        }
    }

    /// Refuses, on every route, requests that some web page's name led here. A key keeps those out by itself.
    pub(crate) fn turns_away<B>(&self, request: &axum::http::Request<B>) -> Option<Response> {
        if self.settings.api_key.is_some() {
            return None;
        }
        let why = host::stranger(request, &self.settings.own_name)?;
        let message = format!(
            "{why}, expected localhost or a loopback address: without an API key (--api-key-file) this server answers to no \
             other name, since any web page can have its own name lead here"
        );
        let error = ApiError::new(StatusCode::FORBIDDEN, message);
        Some(self.tell(Endpoint::of(request.uri().path()), Err(error)))
    }

    fn takes_work(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        if self.draining.load(SeqCst) {
            return Err(ApiError::busy(
                StatusCode::SERVICE_UNAVAILABLE,
                "the server is shutting down",
            ));
        }
        // A page in a browser can send other kinds to a server on this machine without being asked.
        let kind = headers
            .get(header::CONTENT_TYPE)
            .map(HeaderValue::as_bytes)
            .unwrap_or_default();
        let essence = kind
            .split(|&byte| byte == b';')
            .next()
            .unwrap_or_default()
            .trim_ascii();
        if !essence.eq_ignore_ascii_case(b"application/json") {
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                format!(
                    "Content-Type is '{}', expected application/json",
                    String::from_utf8_lossy(kind)
                ),
            ));
        }
        self.hub.admits(1)
    }

    /// The way of a request that wants tokens.
    async fn work<F, Fut>(
        self: Arc<Self>,
        endpoint: Endpoint,
        request: Request,
        handle: F,
    ) -> Response
    where
        F: FnOnce(Arc<Self>, Work) -> Fut,
        Fut: Future<Output = Result<Response, ApiError>>,
    {
        let mut counted = self.hub.metrics.count(endpoint);
        let answer = async {
            self.let_in(request.headers())?;
            self.takes_work(request.headers())?;
            let work = Work::read(&self, request).await?;
            handle(Arc::clone(&self), work).await
        };
        let response = answer.await.unwrap_or_else(IntoResponse::into_response);
        counted.answered(response.status());
        response
    }

    fn tell(&self, endpoint: Endpoint, answer: Result<Response, ApiError>) -> Response {
        let response = answer.unwrap_or_else(IntoResponse::into_response);
        self.hub.metrics.count(endpoint).answered(response.status());
        response
    }
}

type Shared = State<Arc<App>>;

pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/generate", post(async |State(app): Shared, request: Request| app.work(Endpoint::Generate, request, generate::generate).await))
        .route(
            "/v1/completions",
            post(async |State(app): Shared, request: Request| app.work(Endpoint::Completions, request, completions::completions).await),
        )
        .route(
            "/v1/chat/completions",
            post(async |State(app): Shared, request: Request| app.work(Endpoint::Chat, request, chat::chat).await),
        )
        .route("/v1/models", get(models))
        .route("/health", get(health))
        .route("/metrics", get(metrics_text))
        .fallback(async |State(app): Shared, request: Request| {
            let message = format!(
                "there is no {} here; see POST /generate, /v1/completions, /v1/chat/completions, GET /v1/models, /health, /metrics",
                request.uri().path()
            );
            app.tell(Endpoint::Other, Err(ApiError::new(StatusCode::NOT_FOUND, message)))
        })
        .method_not_allowed_fallback(async |State(app): Shared, request: Request| {
            let message = format!("{} does not take {}", request.uri().path(), request.method());
            app.tell(Endpoint::Other, Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, message)))
        })
        .with_state(app)
}

async fn models(State(app): Shared, headers: HeaderMap) -> Response {
    let answer = app
        .let_in(&headers)
        .map(|()| json_response(api::models(&app)));
    app.tell(Endpoint::Models, answer)
}

/// Open to all: load balancers have no key, and it tells nothing but whether the server can work.
async fn health(State(app): Shared) -> Response {
    let answer = match app.hub.dead() {
        _ if app.draining.load(SeqCst) => Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the server is shutting down",
        )),
        Some(message) => Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("the engine is dead: {message}"),
        )),
        None => Ok(json_response(br#"{"status":"ok"}"#.to_vec())),
    };
    app.tell(Endpoint::Health, answer)
}

async fn metrics_text(State(app): Shared, headers: HeaderMap) -> Response {
    let answer = app.let_in(&headers).map(|()| {
        let kind = [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )];
        (kind, metrics::text(&app.hub)).into_response()
    });
    app.tell(Endpoint::Metrics, answer)
}

/// What a model directory is called.
pub fn model_name(model: &Path) -> Option<String> {
    let path = model.canonicalize().ok()?;
    Some(path.file_name()?.to_string_lossy().into_owned())
}
