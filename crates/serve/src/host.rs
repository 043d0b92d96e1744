//! Whose name a request may call this machine by. A web page can have its own name resolve to 127.0.0.1 (DNS rebinding), and
//! the browser of somebody who sits here then takes this server for that page's. It still says the page's name in `Host`.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::{Request, header};

/// Why a request is not for this machine, if it is not. `own` is the name that the server was told to listen on.
pub(crate) fn foreign_host<B>(request: &Request<B>, own: &str) -> Option<String> {
    let hosts = request.headers().get_all(header::HOST).iter();
    let target = request.uri().authority().map(|named| named.as_str());
    let mut none = true;
    // A target with a host of its own (http://host/path) counts as much as the header.
    let mut named = hosts
        .map(|host| host.as_bytes())
        .chain(target.map(str::as_bytes))
        .inspect(|_| none = false);
    let foreign = named.find(|named| !is_local(named, own));
    match foreign {
        Some(named) => Some(format!("the host is '{}'", String::from_utf8_lossy(named))),
        None if none => Some("there is no Host header".into()),
        None => None,
    }
}

/// `host` or `host:port`, the host a loopback address, localhost, or `own`. Any port: it may have been forwarded.
fn is_local(named: &[u8], own: &str) -> bool {
    let Ok(named) = std::str::from_utf8(named) else {
        return false;
    };
    if let Some(rest) = named.strip_prefix('[') {
        let address = |text: &str| text.parse::<Ipv6Addr>();
        return rest.split_once(']').is_some_and(|(host, port)| {
            is_port(port) && address(host).is_ok_and(|a| a.to_canonical().is_loopback())
        });
    }
    let (host, port) = named.split_at(named.find(':').unwrap_or(named.len()));
    // Names may end with the root's dot.
    let bare = |name: &str| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let host = bare(host);
    let is_host = host == "localhost"
        || host == bare(own)
        || host.parse::<Ipv4Addr>().is_ok_and(|a| a.is_loopback());
    is_port(port) && is_host && !host.is_empty()
}

/// Nothing, or a colon and perhaps a number.
fn is_port(text: &str) -> bool {
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    text.is_empty()
        || text
            .strip_prefix(':')
            .is_some_and(|port| port.is_empty() || digits(port) && port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_many_spellings_and_others_are_strangers() {
        for here in [
            "localhost",
            "LocalHost:80",
            "localhost.",
            "localhost.:30000",
            "localhost:",
            "127.0.0.1",
            "127.0.0.1:65535",
            "127.1.2.3",
            "127.0.0.1.:8",
            "[::1]",
            "[::1]:30000",
            "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]:1",
            "Node7.example",
            "node7.example.:80",
        ] {
            assert!(is_local(here.as_bytes(), "node7.example"), "{here}");
        }
        for elsewhere in [
            "",
            ":80",
            ".",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil.example:127",
            "localhost@evil.example",
            "evil@localhost",
            "localhost:80@evil.example",
            "localhost:65536",
            "localhost:+80",
            "localhost:80:80",
            "localhost..",
            "notlocalhost",
            "0.0.0.0",
            "10.0.0.1",
            "128.0.0.1",
            "127.1",
            "2130706433",
            "[::]",
            "[::2]",
            "[::1",
            "[::1]x",
            "[::1].evil.example",
            "::1",
            "localhost, evil.example",
            "local\u{68}\u{f6}st",
            "node7",
        ] {
            assert!(
                !is_local(elsewhere.as_bytes(), "node7.example"),
                "{elsewhere}"
            );
        }
        assert!(!is_local(b"localhost\xff", ""));
        assert!(!is_local(b"", ""));
    }
}
