//! One HTTP/1.1 connection: a socket, TLS where it is asked for, and hyper on top. Counts what is read, because a request may
//! be sent again only while its response has not begun.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::IpBindAddressNoPort;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::http::Received;

/// Longer than any handshake of a server that is up, shorter than a person waits for an error.
const CONNECT: Duration = Duration::from_secs(10);

/// Where and how to connect.
pub(crate) struct Target {
    /// Found once at the start: thousands of connections are not thousands of questions to a name server.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// An open connection that carries one request at a time.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    read: Rc<Cell<u64>>,
    driver: AbortHandle,
}

impl Connection {
    /// From one of this machine's addresses, where several are given.
    pub(crate) async fn open(target: &Target, source: Option<IpAddr>) -> Result<Self, String> {
        match tokio::time::timeout(CONNECT, Self::open_unhurried(target, source)).await {
            Ok(opened) => opened,
            Err(_) => Err(format!(
                "cannot connect: no answer within {} s",
                CONNECT.as_secs()
            )),
        }
    }

    async fn open_unhurried(target: &Target, source: Option<IpAddr>) -> Result<Self, String> {
        let connected = match source {
            None => TcpStream::connect(&target.addresses[..]).await,
            Some(source) => connect_from(source, &target.addresses).await,
        };
        let tcp = connected.map_err(|error| match (error.kind(), source) {
            (io::ErrorKind::AddrNotAvailable, None) => format!(
                "cannot connect: {error}: no local port is free; widen net.ipv4.ip_local_port_range, or give several addresses \
                 of this machine with --source-address"
            ),
            (_, None) => format!("cannot connect: {error}"),
            (_, Some(source)) => format!("cannot connect from {source}: {error}"),
        })?;
        // A request is one write; waiting to fill a packet only delays it.
        let _ = tcp.set_nodelay(true);
        let stream = match &target.tls {
            None => Stream::Plain(tcp),
            Some((connector, name)) => {
                let tls = connector.connect(name.clone(), tcp).await;
                Stream::Tls(Box::new(tls.map_err(|e| format!("TLS handshake: {e}"))?))
            }
        };
        let read = Rc::new(Cell::new(0));
        let io = TokioIo::new(Counted {
            stream,
            read: Rc::clone(&read),
        });
        let (sender, connection) = http1::Builder::new()
            .handshake(io)
            .await
            .map_err(|e| format!("cannot begin HTTP: {e}"))?;
        // Its errors come back through the request that is under way.
        let driver = tokio::task::spawn_local(async move {
            let _ = connection.await;
        });
        Ok(Self {
            sender,
            read,
            driver: driver.abort_handle(),
        })
    }

    /// Whether the server still keeps it, once the last response has been read to its end.
    pub(crate) async fn is_usable(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    pub(crate) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Received, hyper::Error> {
        self.sender.send_request(request).await.map(Received)
    }

    /// Bytes read since it was opened.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.read.get()
    }
}

/// To the first of `addresses` that answers and that `source` can reach.
async fn connect_from(source: IpAddr, addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = None;
    let same_kind = |to: &&SocketAddr| to.is_ipv4() == source.is_ipv4();
    for to in addresses.iter().filter(same_kind) {
        let socket = match source {
            IpAddr::V4(_) => TcpSocket::new_v4(),
            IpAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        // A port is chosen when it connects: it must be free for this server alone, not for all of them.
        setsockopt(&socket, IpBindAddressNoPort, &true)?;
        socket.bind(SocketAddr::new(source, 0))?;
        match socket.connect(*to).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::other("the server has no address of that kind")))
}

impl Drop for Connection {
    /// Closes it, and with that tells the server that nobody waits for the rest.
    fn drop(&mut self) {
        self.driver.abort();
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

struct Counted {
    stream: Stream,
    read: Rc<Cell<u64>>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = match &mut self.stream {
            Stream::Plain(s) => Pin::new(s).poll_read(cx, buf),
            Stream::Tls(s) => Pin::new(s).poll_read(cx, buf),
        };
        let more = (buf.filled().len() - before) as u64;
        self.read.set(self.read.get() + more);
        polled
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(s) => Pin::new(s).poll_write(cx, buf),
            Stream::Tls(s) => Pin::new(s).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(s) => Pin::new(s).poll_write_vectored(cx, bufs),
            Stream::Tls(s) => Pin::new(s).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(s) => s.is_write_vectored(),
            Stream::Tls(s) => s.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(s) => Pin::new(s).poll_flush(cx),
            Stream::Tls(s) => Pin::new(s).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(s) => Pin::new(s).poll_shutdown(cx),
            Stream::Tls(s) => Pin::new(s).poll_shutdown(cx),
        }
    }
}
