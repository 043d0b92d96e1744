//! Which request is sent when: a limit over all endpoints, and a task for each request under way.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;

use ossmark_protocol::{End, Request, RequestId};
use tokio::sync::Notify;

use crate::exchange::{Client, exchange};
use crate::outbox::OpenRequest;
use crate::stats::count;

/// The requests that wait, and those under way.
pub(crate) struct Dispatch {
    pub(crate) client: Client,
    waiting: RefCell<VecDeque<Request>>,
    open: Cell<usize>,
    /// Requests under way, and how to tell each that it is cancelled.
    cancels: RefCell<HashMap<RequestId, Rc<Notify>>>,
}

impl Dispatch {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            waiting: RefCell::default(),
            open: Cell::new(0),
            cancels: RefCell::default(),
        }
    }

    /// Ends requests early, those that wait and those under way.
    pub(crate) fn cancel(&self, ids: &[RequestId]) {
        let cancels = self.cancels.borrow();
        let (open, others): (Vec<_>, Vec<_>) =
            ids.iter().copied().partition(|id| cancels.contains_key(id));
        for id in open {
            cancels[&id].notify_one();
        }
        let others: HashSet<RequestId> = others.into_iter().collect();
        if others.is_empty() {
            return;
        }
        self.waiting.borrow_mut().retain(|request| {
            let stays = !others.contains(&request.id);
            if !stays {
                OpenRequest::new(request.id, &self.client.outbox).end(0, &[], End::Cancelled);
            }
            stays
        });
    }

    /// Takes requests; starts as many as may be under way.
    pub(crate) fn submit(self: &Rc<Self>, requests: Vec<Request>) {
        self.waiting.borrow_mut().extend(requests);
        while let Some((lane, request)) = self.next() {
            tokio::task::spawn_local(work(Rc::clone(self), lane, request));
        }
    }

    /// The next request and its lane, if one waits and may be sent.
    fn next(&self) -> Option<(usize, Request)> {
        if self.open.get() >= self.client.settings.max_concurrency {
            return None;
        }
        let request = self.waiting.borrow_mut().pop_front()?;
        count(&self.client.outbox.counters.requests);
        self.open.set(self.open.get() + 1);
        Some((self.client.balancer.enter(), request))
    }
}

/// Sends one request after the other, for as long as any wait.
async fn work(dispatch: Rc<Dispatch>, mut lane: usize, mut request: Request) {
    loop {
        let cancel = Rc::new(Notify::new());
        let permit = LanePermit {
            dispatch: &dispatch,
            lane: Cell::new(lane),
            id: request.id,
        };
        dispatch
            .cancels
            .borrow_mut()
            .insert(request.id, Rc::clone(&cancel));
        permit
            .lane
            .set(exchange(&dispatch.client, lane, request, &cancel).await);
        drop(permit);
        match dispatch.next() {
            Some(next) => (lane, request) = next,
            None => return,
        }
    }
}

/// A request's permit to be under way on a lane, given back also by a task that panics.
struct LanePermit<'a> {
    dispatch: &'a Dispatch,
    lane: Cell<usize>,
    id: RequestId,
}

impl Drop for LanePermit<'_> {
    fn drop(&mut self) {
        self.dispatch.cancels.borrow_mut().remove(&self.id);
        self.dispatch.client.balancer.leave(self.lane.get());
        let open = &self.dispatch.open;
        open.set(open.get().saturating_sub(1));
    }
}
