//! What all requests share, and nothing of their routes: settings, what is counted, what is limited, and the engine's requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use axum::response::{IntoResponse, Response};
use ossmark_protocol::Generator;

use crate::admission::ConcurrencyLimit;
use crate::async_tokenizer::AsyncTokenizer;
use crate::body::BodyReader;
use crate::clock;
use crate::error::ApiError;
use crate::events::Limits;
use crate::logprobs::LogitsRoom;
use crate::metrics::{Metrics, Snapshot};
use crate::model_tokenizer::ModelTokenizer;
use crate::request_registry::RequestRegistry;
use crate::settings::Settings;

/// The server without its connections.
pub struct AppState {
    pub(crate) settings: Settings,
    pub(crate) limits: Limits,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) concurrency: ConcurrencyLimit,
    pub(crate) bodies: BodyReader,
    pub(crate) logits_room: LogitsRoom,
    pub(crate) tokenizer: AsyncTokenizer,
    pub(crate) registry: Arc<RequestRegistry>,
    /// When it started, in seconds since 1970: the model's `created`, and part of every answer's id.
    pub(crate) started: u64,
    draining: AtomicBool,
}

impl AppState {
    /// The state over an engine; without a tokenizer only token ids are understood.
    pub fn new(
        generator: Arc<dyn Generator>,
        limits: Limits,
        tokenizer: Option<ModelTokenizer>,
        settings: Settings,
    ) -> Self {
        let metrics = Arc::new(Metrics::default());
        Self {
            concurrency: ConcurrencyLimit::new(settings.max_concurrency),
            bodies: BodyReader::new(&settings, &metrics),
            logits_room: LogitsRoom::new(&limits),
            tokenizer: AsyncTokenizer::new(tokenizer, &limits, &settings, &metrics),
            registry: Arc::new(RequestRegistry::new(
                generator,
                &limits,
                settings.seed,
                &metrics,
            )),
            metrics,
            settings,
            limits,
            started: clock::now(),
            draining: AtomicBool::new(false),
        }
    }

    /// No new requests from here on.
    pub(crate) fn drain(&self) {
        self.draining.store(true, SeqCst);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(SeqCst)
    }

    /// Requests that are open: what a shutdown without waiting would cut off.
    pub fn open_requests(&self) -> usize {
        self.concurrency.open()
    }

    /// Why the engine died, if it did.
    pub fn engine_error(&self) -> Option<&str> {
        self.registry.fatal_error()
    }

    /// Unique among the answers of this server, and between its restarts.
    pub(crate) fn answer_id(&self, prefix: &str, request: u64) -> String {
        format!(
            "{prefix}{:08x}{:08x}{request:016x}",
            self.started as u32,
            std::process::id()
        )
    }

    /// An answer that took no tokens, counted.
    pub(crate) fn respond(
        &self,
        endpoint: &'static str,
        answer: Result<Response, ApiError>,
    ) -> Response {
        let response = answer.unwrap_or_else(IntoResponse::into_response);
        self.metrics.count(endpoint).answered(response.status());
        response
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            engine_up: self.engine_error().is_none(),
            open: self.open_requests(),
            in_engine: self.registry.in_engine(),
            load: self.registry.load(),
            draft_head: self.settings.draft_head.clone(),
        }
    }
}
