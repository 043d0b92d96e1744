//! What of a URL is needed to ask it, and what of it may be shown.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;
use hyper::http::uri::{Scheme, Uri};
use percent_encoding::percent_decode_str;

use crate::Error;

/// An address of metrics. Shown without user, password and query, which may hold a token.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// As the request line has it, with the query.
    pub(crate) path: Uri,
    pub(crate) authorization: Option<HeaderValue>,
    shown: String,
}

impl Url {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        // Until it is taken apart nobody knows what of it is secret.
        let bad = |what| Error::Url {
            url: "URL".into(),
            what,
        };
        let uri: Uri = text.parse().map_err(|_| bad("is no URL"))?;
        match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => {}
            Some(scheme) if *scheme == Scheme::HTTPS => {
                return Err(bad("begins with https://, which is not supported"));
            }
            _ => return Err(bad("does not begin with http://")),
        }
        let authority = uri.authority().ok_or(bad("names no host"))?;
        let host = authority.host();
        if host.trim_matches(['[', ']']).is_empty() {
            return Err(bad("names no host"));
        }
        let port = match authority.as_str().rsplit_once(host) {
            Some((_, "")) => 80,
            _ => authority
                .port_u16()
                .ok_or(bad("has a port that is no port"))?,
        };
        let authorization = match authority.as_str().rsplit_once('@') {
            None => None,
            Some((user, _)) => {
                let user: Vec<u8> = percent_decode_str(user).collect();
                let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(user)))
                    .map_err(|_| bad("has a user that cannot be sent"))?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            path: path.parse().map_err(|_| bad("has a path that is none"))?,
            authorization,
            shown: format!("http://{host}:{port}{}", uri.path()),
        })
    }

    /// As the Host header has it.
    pub(crate) fn host_header(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.shown)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Url({})", self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_its_secrets_are_not_shown() {
        let url = Url::parse("http://me:s%40cret@node7:9400/metrics?token=abc").unwrap();
        assert_eq!((url.host.as_str(), url.port), ("node7", 9400));
        assert_eq!(url.path.to_string(), "/metrics?token=abc");
        assert_eq!(url.authorization.as_ref().unwrap(), "Basic bWU6c0BjcmV0");
        assert_eq!(url.to_string(), "http://node7:9400/metrics");
        let debug = format!("{url:?}");
        assert!(!debug.contains("cret") && !debug.contains("abc"), "{debug}");

        let url = Url::parse("http://[::1]").unwrap();
        assert_eq!((url.host.as_str(), url.port), ("::1", 80));
        assert_eq!(
            (url.host_header().as_str(), url.path.to_string().as_str()),
            ("[::1]:80", "/")
        );
    }

    #[test]
    fn what_is_no_address_is_refused_without_its_secrets() {
        for text in [
            "node:9400",
            "https://user:secret@node/metrics",
            "ftp://user:secret@node",
            "http://user:secret@",
            "http://user:secret@node:99999/metrics",
            "http://user:secret@node:/metrics",
            "http://user:secret@no de/",
            "/metrics",
        ] {
            let error = Url::parse(text).unwrap_err().to_string();
            assert!(
                error.contains("--power-prometheus") && error.contains("9400"),
                "{error}"
            );
            assert!(!error.contains("secret"), "{text}: {error}");
        }
    }
}
