//! What can go wrong: with the server itself ([`ServeError`]), or with one request ([`ApiError`], an HTTP answer).

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {address}: {source}; is another server there already? --port 0 takes a free port"
    )]
    Bind {
        /// What was asked for.
        address: SocketAddr,
        /// The system's error.
        source: std::io::Error,
    },
    /// Others could reach the server, and nothing would keep them out.
    #[error(
        "{address} can be reached from other machines, so an API key is needed: give --api-key-file FILE or set \
         OSSMARK_API_KEY, or listen on 127.0.0.1"
    )]
    KeyNeeded {
        /// What was asked for.
        address: SocketAddr,
    },
    /// A key that protects nothing.
    #[error(
        "{place}: an API key of {found} characters, expected at least {expected} printable ASCII characters without spaces"
    )]
    WeakKey {
        /// Where it came from.
        place: String,
        /// Its length.
        found: usize,
        /// The least length.
        expected: usize,
    },
    /// The tokenizer cannot be used.
    #[error(transparent)]
    Tokenizer(#[from] ossmark_harmony::Error),
}

/// An answer that is not 200. Both interfaces use OpenAI's shape; SGLang's clients read its `error.message`.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    /// The field that is to blame.
    pub(crate) param: Option<&'static str>,
    retry_after: Option<Duration>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: ErrorDetail<'a>,
}

#[derive(Serialize)]
struct ErrorDetail<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'static str>,
    code: u16,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            param: None,
            retry_after: None,
        }
    }

    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn bad_param(param: &'static str, message: impl Into<String>) -> Self {
        Self {
            param: Some(param),
            ..Self::bad(message)
        }
    }

    /// Too much at once, or not now: the client may try again.
    pub(crate) fn busy(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            retry_after: Some(Duration::from_secs(1)),
            ..Self::new(status, message)
        }
    }

    /// The engine failed: never the client's fault, and never an empty answer.
    pub(crate) fn engine(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// The body of the answer, also sent as the last event of a stream that breaks.
    pub(crate) fn json(&self) -> Vec<u8> {
        let kind = match self.status.as_u16() {
            401 => "authentication_error",
            429 => "rate_limit_error",
            400..=499 => "invalid_request_error",
            _ => "server_error",
        };
        let body = ErrorBody {
            error: ErrorDetail {
                message: &self.message,
                r#type: kind,
                param: self.param,
                code: self.status.as_u16(),
            },
        };
        // Strings and numbers only: this cannot fail.
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = json_response(self.json());
        *response.status_mut() = self.status;
        if let Some(after) = self.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs()));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// 200 with this JSON.
pub(crate) fn json_response(body: Vec<u8>) -> Response {
    let mut response = Response::new(body.into());
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
