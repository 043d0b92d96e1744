//! One endpoint, the way to it, and how it is doing; shared by all threads. Connections belong to one of them.

use std::cell::RefCell;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use hyper::Uri;
use hyper::header::HeaderMap;

use crate::Endpoint;
use crate::connection::{Connection, Target};
use crate::dialect::Dialect;

/// A server that refuses everything at once would have the fewest open requests and draw all others: for this long after an
/// error it only gets what no other server can take.
const UNHEALTHY_FOR: Duration = Duration::from_secs(1);

/// One endpoint and the way to it.
pub(crate) struct Lane {
    pub(crate) endpoint: Endpoint,
    pub(crate) target: Target,
    pub(crate) headers: HeaderMap,
    pub(crate) uri: Uri,
    pub(crate) dialect: Box<dyn Dialect>,
    pub(crate) open: AtomicUsize,
    unhealthy_until: Mutex<Option<Instant>>,
}

impl Lane {
    pub(crate) fn new(
        endpoint: Endpoint,
        target: Target,
        headers: HeaderMap,
        uri: Uri,
        dialect: Box<dyn Dialect>,
    ) -> Self {
        Self {
            endpoint,
            target,
            headers,
            uri,
            dialect,
            open: AtomicUsize::new(0),
            unhealthy_until: Mutex::default(),
        }
    }

    pub(crate) fn mark_unhealthy(&self) {
        if let Ok(mut until) = self.unhealthy_until.lock() {
            *until = Some(Instant::now() + UNHEALTHY_FOR);
        }
    }

    pub(crate) fn is_unhealthy(&self) -> bool {
        let until = self.unhealthy_until.lock();
        until.is_ok_and(|until| until.is_some_and(|until| until > Instant::now()))
    }
}

/// One thread's connections to each lane that carry no request.
pub(crate) struct Idle(Vec<RefCell<Vec<Connection>>>);

impl Idle {
    pub(crate) fn new(lanes: usize) -> Self {
        Self((0..lanes).map(|_| RefCell::default()).collect())
    }

    /// The connection that was used last, if the server has not closed it since.
    pub(crate) async fn take(&self, lane: usize) -> Option<Connection> {
        loop {
            let mut connection = self.0[lane].borrow_mut().pop()?;
            if connection.is_usable().await {
                return Some(connection);
            }
        }
    }

    pub(crate) fn put(&self, lane: usize, connection: Connection) {
        self.0[lane].borrow_mut().push(connection);
    }
}
