//! One GET with limits on time and size. No redirects, no proxy of the environment, nothing kept between requests.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::url::Url;

/// From the first look for the host to the last byte. Shorter than the limit of [`crate::Telemetry::stop`].
pub(crate) const TIME: Duration = Duration::from_secs(2);
/// A thousand GPUs with all that an exporter shows.
pub(crate) const SIZE: usize = 4 << 20;

/// The body of a response with status 200; why there is none.
pub(crate) async fn get(url: &Url) -> Result<Vec<u8>, String> {
    match tokio::time::timeout(TIME, get_unhurried(url)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no whole answer within {} s", TIME.as_secs())),
    }
}

async fn get_unhurried(url: &Url) -> Result<Vec<u8>, String> {
    let stream = TcpStream::connect((url.host.as_str(), url.port))
        .await
        .map_err(|error| format!("cannot connect: {error}"))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| format!("cannot begin HTTP: {error}"))?;
    let mut request = Request::get(url.path.clone())
        .header(HOST, url.host_header())
        .header(ACCEPT, "text/plain")
        .header(ACCEPT_ENCODING, "identity")
        .header(USER_AGENT, concat!("ossmark/", env!("CARGO_PKG_VERSION")));
    if let Some(authorization) = &url.authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("cannot be asked: {error}"))?;
    let answer = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| format!("no answer: {error}"))?;
        let status = response.status();
        if status.is_redirection() {
            return Err(format!(
                "HTTP {status}: redirects are not followed; give the URL that it leads to"
            ));
        }
        if status != 200 {
            return Err(format!("HTTP {status}"));
        }
        if response
            .headers()
            .get(CONTENT_ENCODING)
            .is_some_and(|coding| coding != "identity")
        {
            return Err("the answer is compressed, which was not asked for".into());
        }
        let body = Limited::new(response.into_body(), SIZE).collect().await;
        let body = body.map_err(
            |error| match error.is::<http_body_util::LengthLimitError>() {
                true => format!("the answer is longer than {SIZE} bytes"),
                false => format!("the answer broke off: {error}"),
            },
        )?;
        Ok(body.to_bytes().to_vec())
    };
    tokio::pin!(connection);
    tokio::pin!(answer);
    let mut open = true;
    loop {
        tokio::select! {
            answer = &mut answer => return answer,
            // Its errors come back through the answer.
            _ = &mut connection, if open => open = false,
        }
    }
}
