//! Connections: listening, limits and time-outs, and the way to the end. Owns no request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::access;
use crate::error::ServeError;
use crate::events::EngineEvents;
use crate::metrics::GaugeGuard;
use crate::peer::Peer;
use crate::routes;
use crate::state::AppState;
use crate::write_timeout::WriteTimeoutStream;

/// Connections that may wait to be accepted: a benchmark opens thousands at once.
const BACKLOG: u32 = 4096;
/// After this silence a peer is asked whether it is still there, and given up after three more such times.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// Listens on an address; port 0 takes a free one. From outside of a loopback address a key is needed.
///
/// # Errors
/// When the address is taken, or can be reached by others and there is no key.
pub fn bind(address: SocketAddr, state: &AppState) -> Result<TcpListener, ServeError> {
    if !address.ip().is_loopback() && state.settings.api_key.is_none() {
        return Err(ServeError::KeyNeeded { address });
    }
    let listen = || {
        let socket = match address.is_ipv4() {
            true => TcpSocket::new_v4(),
            false => TcpSocket::new_v6(),
        }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|source| ServeError::Bind { address, source })
}

/// Serves until `stop`, then lets open requests end for at most the settings' drain time. True: all of them ended.
pub async fn serve(
    listener: TcpListener,
    state: Arc<AppState>,
    events: EngineEvents,
    stop: impl Future<Output = ()>,
) -> bool {
    let fan_out = tokio::spawn(Arc::clone(&state.registry).fan_out(events));
    let graceful = GracefulShutdown::new();
    let router = TowerToHyperService::new(routes::router(Arc::clone(&state)));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(state.settings.read_timeout)
        // Whether the client has gone is for `Peer` to find out; hyper would give up even what is ready to be sent.
        .half_close(true)
        .max_buf_size(64 << 10);
    let permits = Arc::new(Semaphore::new(
        state.settings.max_connections.min(Semaphore::MAX_PERMITS),
    ));
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = accept(&listener, &permits) => accepted,
        };
        let Some((stream, permit)) = accepted else {
            continue;
        };
        let stream = Arc::new(stream);
        let peer = Peer::new(&stream);
        let (routes, own) = (router.clone(), Arc::clone(&state));
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let (routes, own) = (routes.clone(), Arc::clone(&own));
            peer.clone().while_connected(async move {
                match access::check_host(&own, &request) {
                    Ok(()) => routes.call(request).await.into_response(),
                    Err(refusal) => {
                        own.respond(routes::endpoint(request.uri().path()), Err(refusal))
                    }
                }
            })
        });
        let io = TokioIo::new(WriteTimeoutStream::new(
            stream,
            state.settings.write_timeout,
        ));
        let connection = graceful.watch(http.serve_connection(io, service));
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let _counted = GaugeGuard::new(&state.metrics, |metrics| &metrics.connections, 1);
            // What breaks a connection is its client's business; a request on it was cancelled by then.
            let _ = connection.await;
            drop(permit);
        });
    }
    drop(listener);
    state.drain();
    let drained = tokio::time::timeout(state.settings.drain_timeout, graceful.shutdown()).await;
    fan_out.abort();
    drained.is_ok()
}

/// The next connection, once there is a permit for it. None: it failed, which is no reason to stop.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    // The semaphore is never closed.
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            // A connection on which these fail is one that fails by itself.
            let _ = stream.set_nodelay(true);
            let keepalive = TcpKeepalive::new()
                .with_time(KEEPALIVE)
                .with_interval(KEEPALIVE)
                .with_retries(3);
            let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
            Some((stream, permit))
        }
        Err(_) => {
            // Out of file descriptors, most likely: connections that end make room.
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

/// Raises the limit of open files to what the system allows, and returns it.
pub fn raise_open_files() -> u64 {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current;
    limit.current = limit.maximum;
    match setrlimit(Resource::Nofile, limit) {
        Ok(()) => limit.maximum,
        Err(_) => before,
    }
    .unwrap_or(u64::MAX)
}
