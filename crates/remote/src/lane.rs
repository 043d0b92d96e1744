//! One endpoint, the way to it, and how it is doing. On the HTTP thread only.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use hyper::Uri;
use hyper::header::HeaderMap;
use tokio::time::Instant;

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
    idle: RefCell<Vec<Connection>>,
    pub(crate) open: Cell<usize>,
    unhealthy_until: Cell<Option<Instant>>,
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
            idle: RefCell::default(),
            open: Cell::new(0),
            unhealthy_until: Cell::new(None),
        }
    }

    /// The connection that was used last, if the server has not closed it since.
    pub(crate) async fn take_idle(&self) -> Option<Connection> {
        loop {
            let mut connection = self.idle.borrow_mut().pop()?;
            if connection.is_usable().await {
                return Some(connection);
            }
        }
    }

    pub(crate) fn put_idle(&self, connection: Connection) {
        self.idle.borrow_mut().push(connection);
    }

    pub(crate) fn mark_unhealthy(&self) {
        self.unhealthy_until
            .set(Some(Instant::now() + UNHEALTHY_FOR));
    }

    pub(crate) fn is_unhealthy(&self) -> bool {
        match self.unhealthy_until.get() {
            Some(until) if until > Instant::now() => true,
            Some(_) => {
                self.unhealthy_until.set(None);
                false
            }
            None => false,
        }
    }
}
