//! Requests as they go out and response bodies as they come in, with limits. Owns nothing of either API.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, USER_AGENT,
};
use hyper::{Method, Request, Response, StatusCode, Uri};

use crate::api::shorten;
use crate::{Endpoint, Error};

/// Headers that every request to an endpoint has.
pub(crate) fn headers(endpoint: &Endpoint, api_key: Option<&str>) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    let refuse = |_| Error::Endpoint {
        url: endpoint.to_string(),
        what: "cannot stand in a header".into(),
    };
    let host = HeaderValue::from_str(endpoint.authority.as_str()).map_err(refuse)?;
    headers.insert(HOST, host);
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    let agent = concat!("ossmark/", env!("CARGO_PKG_VERSION"));
    headers.insert(USER_AGENT, HeaderValue::from_static(agent));
    if let Some(key) = api_key {
        let mut value = HeaderValue::from_str(&format!("Bearer {key}")).map_err(refuse)?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

pub(crate) fn get(path: &Uri, headers: &HeaderMap) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    *request.uri_mut() = path.clone();
    *request.headers_mut() = headers.clone();
    request
}

pub(crate) fn post(path: &Uri, headers: &HeaderMap, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = path.clone();
    *request.headers_mut() = headers.clone();
    let json = HeaderValue::from_static("application/json");
    request.headers_mut().insert(CONTENT_TYPE, json);
    request
}

/// The whole body, up to `limit` bytes.
pub(crate) async fn whole_body(
    response: &mut Response<Incoming>,
    limit: usize,
) -> Result<Vec<u8>, String> {
    let mut whole = Vec::new();
    while let Some(piece) = next_piece(response).await? {
        if whole.len() + piece.len() > limit {
            return Err(format!("the response is longer than {limit} bytes"));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

/// The next bytes of a body; `None` at its proper end.
pub(crate) async fn next_piece(response: &mut Response<Incoming>) -> Result<Option<Bytes>, String> {
    loop {
        match response.body_mut().frame().await {
            None => return Ok(None),
            // Trailers say nothing here.
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Some(Err(error)) => {
                return Err(format!("the response broke off: {}", cause(&error)));
            }
        }
    }
}

/// Refuses every status but 200, with what the server says about it.
pub(crate) async fn check_status(response: &mut Response<Incoming>) -> Result<(), String> {
    const ENOUGH: usize = 16 << 10;
    let status = response.status();
    if status == StatusCode::OK {
        return Ok(());
    }
    let body = whole_body(response, ENOUGH).await.unwrap_or_default();
    let text = shorten(&String::from_utf8_lossy(&body));
    Err(format!("HTTP {status}: {text}"))
}

/// hyper's errors tell the kind; what happened is in their source.
pub(crate) fn cause(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error} ({source})"),
        None => error.to_string(),
    }
}
