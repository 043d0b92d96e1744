//! Requests as they go out and response bodies as they come in, with limits. Owns nothing of either API.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap,
    HeaderValue, TRANSFER_ENCODING, USER_AGENT,
};
use hyper::{Method, Request, Response, StatusCode, Uri};

use crate::quote::quote_bytes;
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
    // Without it any coding may come.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
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

/// A response of which nothing has been believed yet. Its body is reached through [`Received::body`] alone.
pub(crate) struct Received(pub(super) Response<Incoming>);

/// The body of a response with status 200, in the bytes that the server wrote.
pub(crate) struct Body {
    body: Incoming,
    kind: Option<HeaderValue>,
}

/// A response that is no answer.
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) what: String,
}

impl Received {
    /// Refuses every status but 200, with what the server says about it, and bodies in a coding that was not asked for.
    pub(crate) async fn body(self) -> Result<Body, Refused> {
        const ENOUGH: usize = 16 << 10;
        let status = self.0.status();
        let coding = coding(self.0.headers());
        let mut body = Body {
            kind: self.0.headers().get(CONTENT_TYPE).cloned(),
            body: self.0.into_body(),
        };
        let what = match (status, coding) {
            (StatusCode::OK, None) => return Ok(body),
            (StatusCode::OK, Some(coding)) => format!(
                "the response is compressed ({coding}), though Accept-Encoding: identity was sent; switch compression off in \
                 the server, or in the proxy before it"
            ),
            (status, Some(coding)) => format!("HTTP {status}, with a compressed body ({coding})"),
            (status, None) => {
                let (beginning, _) = body.at_most(ENOUGH).await.unwrap_or_default();
                format!("HTTP {status}: {}", quote_bytes(&beginning))
            }
        };
        Err(Refused { status, what })
    }
}

impl Body {
    pub(crate) fn is_event_stream(&self) -> bool {
        let kind = self.kind.as_ref().map(HeaderValue::as_bytes);
        kind.is_some_and(|kind| kind.starts_with(b"text/event-stream"))
    }

    /// All of it, up to `limit` bytes.
    pub(crate) async fn whole(&mut self, limit: usize) -> Result<Vec<u8>, String> {
        match self.at_most(limit).await? {
            (whole, true) => Ok(whole),
            (_, false) => Err(format!("the response is longer than {limit} bytes")),
        }
    }

    /// Its beginning, and whether that is all.
    pub(crate) async fn at_most(&mut self, limit: usize) -> Result<(Vec<u8>, bool), String> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.next_chunk().await? {
            let room = limit - bytes.len();
            bytes.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.len() > room {
                return Ok((bytes, false));
            }
        }
        Ok((bytes, true))
    }

    /// The next bytes; `None` at its proper end.
    pub(crate) async fn next_chunk(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            match self.body.frame().await {
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
}

/// The first coding of a body besides the chunks that hyper takes apart.
fn coding(headers: &HeaderMap) -> Option<String> {
    [CONTENT_ENCODING, TRANSFER_ENCODING]
        .into_iter()
        .find_map(|name| {
            let values = headers.get_all(&name).iter();
            let mut codings = values.flat_map(|value| value.as_bytes().split(|b| *b == b','));
            let odd = codings.find(|coding| {
                let coding = coding.trim_ascii();
                !(coding.is_empty()
                    || coding.eq_ignore_ascii_case(b"identity")
                    || name == TRANSFER_ENCODING && coding.eq_ignore_ascii_case(b"chunked"))
            })?;
            Some(format!("{name}: {}", quote_bytes(odd)))
        })
}

/// hyper's errors tell the kind; what happened is in their source.
pub(crate) fn cause(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error} ({source})"),
        None => error.to_string(),
    }
}
