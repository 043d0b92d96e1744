//! One endpoint, the way to it, and how it is doing. On the HTTP thread only.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use hyper::Uri;
use hyper::header::HeaderMap;
use tokio::time::Instant;

use crate::Endpoint;
use crate::api::Dialect;
use crate::connection::{Connection, Target};

/// A server that refuses everything at once would have the fewest open requests and draw all others: for this long after an
/// error it only gets what no other server can take.
const TROUBLE: Duration = Duration::from_secs(1);

/// One endpoint and the way to it.
pub(crate) struct Lane {
    pub(crate) endpoint: Endpoint,
    pub(crate) target: Target,
    pub(crate) headers: HeaderMap,
    pub(crate) uri: Uri,
    pub(crate) dialect: Dialect,
    kept: RefCell<Vec<Connection>>,
    pub(crate) open: Cell<usize>,
    troubled_until: Cell<Option<Instant>>,
}

impl Lane {
    pub(crate) fn new(
        endpoint: Endpoint,
        target: Target,
        headers: HeaderMap,
        uri: Uri,
        dialect: Dialect,
    ) -> Self {
        Self {
            endpoint,
            target,
            headers,
            uri,
            dialect,
            kept: RefCell::default(),
            open: Cell::new(0),
            troubled_until: Cell::new(None),
        }
    }

    /// The connection that was used last, if the server has not closed it since.
    pub(crate) async fn kept(&self) -> Option<Connection> {
        loop {
            let mut connection = self.kept.borrow_mut().pop()?;
            if connection.is_usable().await {
                return Some(connection);
            }
        }
    }

    pub(crate) fn keep(&self, connection: Connection) {
        self.kept.borrow_mut().push(connection);
    }

    pub(crate) fn trouble(&self) {
        self.troubled_until.set(Some(Instant::now() + TROUBLE));
    }

    pub(crate) fn is_troubled(&self) -> bool {
        match self.troubled_until.get() {
            Some(until) if until > Instant::now() => true,
            Some(_) => {
                self.troubled_until.set(None);
                false
            }
            None => false,
        }
    }
}
