//! Who may ask, and when: what can be refused from a request's head, before its body is read.

use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};

use crate::error::ApiError;
use crate::host;
use crate::state::AppState;

/// The message of a server that takes no more requests.
pub(crate) const SHUTTING_DOWN: &str = "the server is shutting down";

/// Refuses requests without the server's key, if it has one.
pub(crate) fn authenticate(state: &AppState, headers: &HeaderMap) -> Result<(), ApiError> {
    match &state.settings.api_key {
        Some(key) if !key.authorizes(headers) => Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "this server needs its API key: send the header Authorization: Bearer KEY",
        )),
        _ => Ok(()),
    }
}

/// Refuses, on every route, requests that some web page's name led here. A key keeps those out by itself.
pub(crate) fn check_host<B>(state: &AppState, request: &Request<B>) -> Result<(), ApiError> {
    if state.settings.api_key.is_some() {
        return Ok(());
    }
    let Some(why) = host::foreign_host(request, &state.settings.listen_host) else {
        return Ok(());
    };
    let message = format!(
        "{why}, expected localhost or a loopback address: without an API key (--api-key-file) this server answers to no \
         other name, since any web page can have its own name lead here"
    );
    Err(ApiError::new(StatusCode::FORBIDDEN, message))
}

/// Refuses requests for tokens while none are taken, and those that a web page may have sent.
pub(crate) fn check_admissible(state: &AppState, headers: &HeaderMap) -> Result<(), ApiError> {
    check_open(state)?;
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
    Ok(())
}

/// Refuses what a page in a browser sends to a route that makes tokens and takes any kind of request. Browsers say so.
pub(crate) fn refuse_pages(headers: &HeaderMap) -> Result<(), ApiError> {
    match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        None | Some(b"none") => Ok(()),
        Some(_) => Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "this was sent by a web page, which may not ask for tokens here",
        )),
    }
}

/// Refuses requests for tokens while none are taken.
pub(crate) fn check_open(state: &AppState) -> Result<(), ApiError> {
    if state.is_draining() {
        return Err(ApiError::busy(
            StatusCode::SERVICE_UNAVAILABLE,
            SHUTTING_DOWN,
        ));
    }
    state.registry.check_alive()?;
    state.concurrency.check_capacity()
}
