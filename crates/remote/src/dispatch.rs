//! Which request goes where and when: a limit over all endpoints, the least loaded first, servers in trouble last.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;

use ossmark_protocol::{End, Request, RequestId};
use tokio::sync::Notify;

use crate::Settings;
use crate::exchange::exchange;
use crate::lane::Lane;
use crate::outbox::{OpenRequest, Outbox};
use crate::stats::count;

/// All lanes and the requests that wait for one.
pub(crate) struct Dispatch {
    pub(crate) settings: Settings,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) outbox: Outbox,
    waiting: RefCell<VecDeque<Request>>,
    open: Cell<usize>,
    /// Requests under way, and how to tell each that it is cancelled.
    cancels: RefCell<HashMap<RequestId, Rc<Notify>>>,
}

impl Dispatch {
    pub(crate) fn new(settings: Settings, lanes: Vec<Lane>, outbox: Outbox) -> Self {
        Self {
            settings,
            lanes,
            outbox,
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
                OpenRequest::new(request.id, &self.outbox).end(&[], End::Cancelled);
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
        if self.open.get() >= self.settings.max_concurrency {
            return None;
        }
        let request = self.waiting.borrow_mut().pop_front()?;
        count(&self.outbox.counters.requests);
        self.open.set(self.open.get() + 1);
        let lane = self.least_loaded(None);
        self.enter(lane);
        Some((lane, request))
    }

    /// Where a request that failed on `lane` goes: to another endpoint if there is one.
    pub(crate) fn move_on(&self, lane: usize) -> usize {
        self.leave(lane);
        let other = self.least_loaded(Some(lane));
        self.enter(other);
        other
    }

    fn least_loaded(&self, other_than: Option<usize>) -> usize {
        let lanes = self.lanes.iter().enumerate();
        // A settings check has seen at least one endpoint.
        lanes
            .min_by_key(|(i, lane)| {
                (
                    Some(*i) == other_than,
                    self.lanes.len() > 1 && lane.is_troubled(),
                    lane.open.get(),
                )
            })
            .map_or(0, |(i, _)| i)
    }

    fn enter(&self, lane: usize) {
        count(&self.outbox.counters.by_endpoint[lane]);
        let open = &self.lanes[lane].open;
        open.set(open.get() + 1);
    }

    fn leave(&self, lane: usize) {
        let open = &self.lanes[lane].open;
        open.set(open.get().saturating_sub(1));
    }
}

/// Sends one request after the other, for as long as any wait.
async fn work(dispatch: Rc<Dispatch>, mut lane: usize, mut request: Request) {
    loop {
        let cancel = Rc::new(Notify::new());
        let place = Place {
            dispatch: &dispatch,
            lane: Cell::new(lane),
            id: request.id,
        };
        dispatch
            .cancels
            .borrow_mut()
            .insert(request.id, Rc::clone(&cancel));
        place
            .lane
            .set(exchange(&dispatch, lane, request, &cancel).await);
        drop(place);
        match dispatch.next() {
            Some(next) => (lane, request) = next,
            None => return,
        }
    }
}

/// A place among the requests under way, given back also by a task that panics.
struct Place<'a> {
    dispatch: &'a Dispatch,
    lane: Cell<usize>,
    id: RequestId,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.dispatch.cancels.borrow_mut().remove(&self.id);
        self.dispatch.leave(self.lane.get());
        let open = &self.dispatch.open;
        open.set(open.get().saturating_sub(1));
    }
}
