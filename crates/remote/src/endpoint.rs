//! Where a server is: what of a URL matters here.

use std::fmt;
use std::str::FromStr;

use hyper::http::uri::{Authority, Scheme, Uri};

use crate::Error;

/// A server's base URL: `http://host:port`, `https://host`, with a path before the API's own where a proxy wants one.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    pub(crate) tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// As the Host header has it.
    pub(crate) authority: Authority,
    /// Without a slash at its end; empty for most.
    pub(crate) path: String,
}

impl Endpoint {
    /// The path of an API below the base.
    pub(crate) fn path_of(&self, api: &str) -> String {
        format!("{}{api}", self.path)
    }
}

impl FromStr for Endpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = |what: &str| Error::Endpoint {
            url: text.to_owned(),
            what: what.to_owned(),
        };
        let uri: Uri = text.parse().map_err(|_| bad("is no URL"))?;
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(bad("does not begin with http:// or https://")),
        };
        let authority = uri.authority().ok_or_else(|| bad("names no host"))?.clone();
        if authority.as_str().contains('@') {
            return Err(bad(
                "holds a user name; keys are given in a file or the environment",
            ));
        }
        if uri.query().is_some() {
            return Err(bad("has a query"));
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(bad("names no host"));
        }
        let has_port = authority.as_str().len() > authority.host().len();
        if has_port && authority.port_u16().is_none() {
            return Err(bad("has a port that is no number up to 65535"));
        }
        // OpenAI's clients are given the base with /v1; people paste that.
        let path = uri.path().trim_end_matches('/');
        let path = path.strip_suffix("/v1").unwrap_or(path);
        Ok(Self {
            tls,
            host,
            port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            path: path.to_owned(),
            authority,
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (text, tls, host, port, path, shown) in [
            ("http://a:30000", false, "a", 30000, "", "http://a:30000"),
            (
                "https://b.example/",
                true,
                "b.example",
                443,
                "",
                "https://b.example",
            ),
            ("http://c/v1/", false, "c", 80, "", "http://c"),
            (
                "http://[::1]:8/x/v1",
                false,
                "::1",
                8,
                "/x",
                "http://[::1]:8/x",
            ),
        ] {
            let e: Endpoint = text.parse().unwrap();
            assert_eq!(
                (e.tls, e.host.as_str(), e.port, e.path.as_str()),
                (tls, host, port, path),
                "{text}"
            );
            assert_eq!(e.to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_base_url_is_refused() {
        for (text, expected) in [
            ("a:30000", "http://"),
            ("ftp://a", "http://"),
            ("/x", "http://"),
            ("http://", "URL"),
            ("http://user:key@a", "user name"),
            ("http://a?x=1", "query"),
            ("http://a:99999", "port"),
            ("http://:80", "host"),
        ] {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(
                error.contains(expected) && error.contains(text),
                "{text}: {error}"
            );
        }
    }
}
