//! Whether the client of a connection is still there. hyper sees it go only while it reads, and it reads nothing beyond the
//! request that it is answering: behind one more byte, the beginning of the next request, it sees nothing.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// The client closed its side of the connection, or reset it.
#[derive(Debug, thiserror::Error)]
#[error("the client has gone")]
pub(crate) struct ClientDisconnected;

/// The other end of a connection.
#[derive(Clone)]
pub(crate) struct Peer(Arc<TcpStream>);

impl Peer {
    pub(crate) fn new(stream: &Arc<TcpStream>) -> Self {
        Self(Arc::clone(stream))
    }

    /// Waits until the client is gone. Reads nothing: what has come stays for hyper.
    async fn disconnected(self) {
        // This interest, unlike READABLE, is not answered while bytes wait to be read; the end of the stream always is.
        match self.0.ready(Interest::PRIORITY).await {
            Ok(ready) if !ready.is_read_closed() => pending().await,
            Ok(_) | Err(_) => {}
        }
    }

    /// The answer, and its body piece by piece, for as long as the client is there to take it. What is ready is sent even to a
    /// client that has closed its side: it may have closed only that one.
    pub(crate) async fn while_connected(
        self,
        answer: impl Future<Output = Response>,
    ) -> Result<Response, ClientDisconnected> {
        let response = tokio::select! {
            biased;
            response = answer => response,
            () = self.clone().disconnected() => return Err(ClientDisconnected),
        };
        Ok(match response.body().size_hint().exact() {
            Some(_) => response,
            None => response.map(|body| {
                let gone = Box::pin(self.disconnected());
                Body::new(WatchedBody { body, gone })
            }),
        })
    }
}

/// A body that breaks once its client has gone.
struct WatchedBody<F> {
    body: Body,
    gone: Pin<Box<F>>,
}

impl<F: Future<Output = ()>> http_body::Body for WatchedBody<F> {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        match this.gone.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Some(Err(Box::new(ClientDisconnected)))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
