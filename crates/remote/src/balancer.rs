//! Which server a request goes to: the least loaded first, unhealthy servers last.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::lane::Lane;
use crate::stats::{Counters, count};

/// All lanes, known by their place in the settings.
pub(crate) struct Balancer {
    lanes: Vec<Lane>,
    counters: Arc<Counters>,
}

impl Balancer {
    pub(crate) fn new(lanes: Vec<Lane>, counters: Arc<Counters>) -> Self {
        Self { lanes, counters }
    }

    pub(crate) fn lanes(&self) -> usize {
        self.lanes.len()
    }

    pub(crate) fn lane(&self, lane: usize) -> &Lane {
        &self.lanes[lane]
    }

    /// Where a new request goes; it is under way there until it leaves.
    pub(crate) fn enter(&self) -> usize {
        let lane = self.least_loaded(None);
        self.add(lane);
        lane
    }

    /// Where a request that failed on `lane` goes: to another endpoint if there is one.
    pub(crate) fn move_on(&self, lane: usize) -> usize {
        count(&self.counters.by_endpoint[lane].retries);
        self.leave(lane);
        let other = self.least_loaded(Some(lane));
        self.add(other);
        other
    }

    /// A request is no longer under way on `lane`.
    pub(crate) fn leave(&self, lane: usize) {
        self.lanes[lane].open.fetch_sub(1, Relaxed);
        count(&self.counters.by_endpoint[lane].left);
    }

    fn add(&self, lane: usize) {
        count(&self.counters.by_endpoint[lane].requests);
        self.lanes[lane].open.fetch_add(1, Relaxed);
    }

    fn least_loaded(&self, other_than: Option<usize>) -> usize {
        let lanes = self.lanes.iter().enumerate();
        // A settings check has seen at least one endpoint.
        lanes
            .min_by_key(|(i, lane)| {
                (
                    Some(*i) == other_than,
                    self.lanes.len() > 1 && lane.is_unhealthy(),
                    lane.open.load(Relaxed),
                )
            })
            .map_or(0, |(i, _)| i)
    }
}
