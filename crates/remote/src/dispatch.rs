//! Which request is sent when, and by which thread: a limit over all endpoints and threads, and a queue before it. Its methods
//! are called on any thread.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ossmark_protocol::{Closed, Request, RequestId};
use tokio::sync::mpsc::UnboundedSender;

use crate::balancer::Balancer;
use crate::stats::{Counters, count};

/// What a thread is told.
#[derive(Debug)]
pub(crate) enum Command {
    /// Send this request to this lane; it counts as under way already.
    Start(usize, Request),
    /// Those of them that are under way here end early.
    Cancel(Arc<HashSet<RequestId>>),
    /// These were cancelled before they were sent.
    EndUnsent(Vec<RequestId>),
    Stop,
}

/// The requests that wait, and how many are under way.
pub(crate) struct Dispatch {
    pub(crate) balancer: Balancer,
    threads: Vec<UnboundedSender<Command>>,
    most: usize,
    counters: Arc<Counters>,
    queue: Mutex<Queue>,
}

struct Queue {
    waiting: VecDeque<Request>,
    /// Under way, by thread.
    open: Vec<usize>,
    stopped: bool,
}

impl fmt::Debug for Dispatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatch").finish_non_exhaustive()
    }
}

impl Dispatch {
    pub(crate) fn new(
        balancer: Balancer,
        threads: Vec<UnboundedSender<Command>>,
        most: usize,
        counters: Arc<Counters>,
    ) -> Self {
        let queue = Queue {
            waiting: VecDeque::new(),
            open: vec![0; threads.len()],
            stopped: false,
        };
        Self {
            balancer,
            threads,
            most,
            counters,
            queue: Mutex::new(queue),
        }
    }

    /// Takes requests; starts as many as may be under way.
    ///
    /// # Errors
    /// When a thread has ended.
    pub(crate) fn submit(&self, requests: Vec<Request>) -> Result<(), Closed> {
        let mut queue = self.queue();
        if queue.stopped {
            return Err(Closed);
        }
        queue.waiting.extend(requests);
        self.fill(&mut queue);
        Ok(())
    }

    /// Ends requests early, those that wait and those under way. Under the lock, so that none is between the two.
    pub(crate) fn cancel(&self, ids: Vec<RequestId>) {
        let ids: Arc<HashSet<RequestId>> = Arc::new(ids.into_iter().collect());
        let mut queue = self.queue();
        let mut unsent = Vec::new();
        queue.waiting.retain(|request| {
            let stays = !ids.contains(&request.id);
            if !stays {
                unsent.push(request.id);
            }
            stays
        });
        // Threads that are gone have nothing open.
        if !unsent.is_empty() {
            let _ = self.threads[0].send(Command::EndUnsent(unsent));
        }
        for thread in &self.threads {
            let _ = thread.send(Command::Cancel(Arc::clone(&ids)));
        }
    }

    /// A request is no longer under way on `thread` and `lane`; the next takes its place.
    pub(crate) fn left(&self, thread: usize, lane: usize) {
        self.balancer.leave(lane);
        let mut queue = self.queue();
        queue.open[thread] -= 1;
        self.fill(&mut queue);
    }

    /// Nothing more is taken, and every thread ends.
    pub(crate) fn stop(&self) {
        self.queue().stopped = true;
        for thread in &self.threads {
            // One that is gone needs no telling.
            let _ = thread.send(Command::Stop);
        }
    }

    fn fill(&self, queue: &mut Queue) {
        while queue.open.iter().sum::<usize>() < self.most && !queue.stopped {
            let Some(request) = queue.waiting.pop_front() else {
                return;
            };
            let threads = queue.open.iter_mut().zip(&self.threads);
            // There is at least one.
            let Some((open, thread)) = threads.min_by_key(|(open, _)| **open) else {
                return;
            };
            *open += 1;
            count(&self.counters.requests);
            // What a thread that is gone was given is abandoned with it.
            let _ = thread.send(Command::Start(self.balancer.enter(), request));
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing in here panics halfway.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
