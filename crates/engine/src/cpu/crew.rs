//! The threads that compute a step with the one that runs it. Between two operations they stay awake for a moment: a thread
//! that sleeps is woken too late to help, and two threads then compute little faster than one.

use std::any::Any;
use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::load_error::LoadError;

/// Multiply-adds (or as much other work) below which another thread costs more than it saves, though it is awake.
const WORTH_SHARING: usize = 200_000;

/// The same where it sleeps.
const WORTH_WAKING: usize = 1_000_000;

/// For how long a thread looks for work, or for the others to end, before it sleeps: longer than what one thread does
/// between two operations that are worth sharing.
const LOOK: Duration = Duration::from_micros(100);

/// Looks between two at the clock.
const LOOKS: usize = 64;

/// What is shared out: run by several threads at once, it ends when nothing is left to do.
type Work<'a> = dyn Fn() + Sync + 'a;

/// Threads that help whoever calls [`Crew::run`].
pub(super) struct Crew {
    shared: Arc<Shared>,
    helpers: Vec<JoinHandle<()>>,
}

/// All changes are made with the lock held; what is atomic is looked at without.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// How often there was news: work, or the end.
    news: AtomicUsize,
    /// Helpers in the work that is shared out.
    joined: AtomicUsize,
    asleep: AtomicUsize,
    has_news: Condvar,
    all_left: Condvar,
}

#[derive(Default)]
struct State {
    /// What helpers may join.
    work: Option<&'static Work<'static>>,
    /// Whether the owner of the work sleeps until helpers leave it.
    owner_sleeps: bool,
    panic: Option<Box<dyn Any + Send>>,
    ended: bool,
}

impl Crew {
    /// One of `threads`, which number at least one, is the caller's own.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn new(threads: usize) -> Result<Self, LoadError> {
        let mut crew = Self {
            shared: Arc::default(),
            helpers: Vec::new(),
        };
        for i in 1..threads {
            let shared = Arc::clone(&crew.shared);
            let helper = std::thread::Builder::new()
                .name(format!("cpu-{i}"))
                .spawn(move || shared.help())
                .map_err(|e| LoadError::Settings(format!("cannot start {threads} threads: {e}")))?;
            crew.helpers.push(helper);
        }
        Ok(crew)
    }

    /// How many threads are worth `work`, in multiply-adds or as much else.
    pub(super) fn threads(&self, work: usize) -> usize {
        let all_sleep = self.shared.asleep.load(Ordering::Relaxed) == self.helpers.len();
        let least = if all_sleep {
            WORTH_WAKING
        } else {
            WORTH_SHARING
        };
        if work < least {
            1
        } else {
            self.helpers.len() + 1
        }
    }

    /// Runs all jobs, on several threads when the `work` is worth it.
    ///
    /// # Panics
    /// A job did, when all others have ended.
    pub(super) fn run<J: Send>(&self, jobs: Vec<J>, work: usize, f: impl Fn(J) + Sync) {
        if jobs.len() < 2 || self.threads(work) == 1 {
            return jobs.into_iter().for_each(f);
        }
        let jobs = Mutex::new(jobs.into_iter());
        let next = || lock(&jobs).next();
        let rest = || {
            while let Some(job) = next() {
                f(job);
            }
        };
        if !self.shared.open(&rest, work >= WORTH_WAKING) {
            // Somebody else's work is shared out.
            return rest();
        }
        let mine = catch_unwind(AssertUnwindSafe(&rest));
        let theirs = self.shared.close();
        if let Some(panic) = mine.err().or(theirs) {
            resume_unwind(panic);
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        lock(&self.shared.state).ended = true;
        self.shared.news.fetch_add(1, Ordering::Release);
        self.shared.has_news.notify_all();
        for helper in self.helpers.drain(..) {
            // It catches the panics of its jobs.
            let _ = helper.join();
        }
    }
}

impl Shared {
    /// Offers work to the helpers, unless there is some. Who gets `true` has to call [`Shared::close`] before `work` ends.
    fn open(&self, work: &Work<'_>, worth_waking: bool) -> bool {
        let mut state = lock(&self.state);
        if state.work.is_some() || self.joined.load(Ordering::Relaxed) > 0 {
            return false;
        }
        // SAFETY: only helpers that join use it, which they do with the lock held and while it is offered. `close` takes it
        // back and returns when all who joined have left; the one caller, `Crew::run`, reaches `close` by a panic too.
        #[allow(unsafe_code, reason = "see SAFETY")]
        let work = unsafe { std::mem::transmute::<&Work<'_>, &'static Work<'static>>(work) };
        state.work = Some(work);
        self.news.fetch_add(1, Ordering::Release);
        if worth_waking && self.asleep.load(Ordering::Relaxed) > 0 {
            drop(state);
            self.has_news.notify_all();
        }
        true
    }

    /// Takes the work back and waits for the helpers in it, not for those that come late. Gives the first one's panic.
    fn close(&self) -> Option<Box<dyn Any + Send>> {
        let mut state = lock(&self.state);
        state.work = None;
        drop(state);
        let left = || self.joined.load(Ordering::Acquire) == 0;
        look_until(left);
        state = lock(&self.state);
        while !left() {
            state.owner_sleeps = true;
            state = wait(&self.all_left, state);
        }
        state.owner_sleeps = false;
        state.panic.take()
    }

    /// A helper's life.
    fn help(&self) {
        let mut seen = 0;
        loop {
            let is_news = || self.news.load(Ordering::Acquire) != seen;
            let found = look_until(is_news);
            let mut state = lock(&self.state);
            if !found {
                self.asleep.fetch_add(1, Ordering::Relaxed);
                while !is_news() {
                    state = wait(&self.has_news, state);
                }
                self.asleep.fetch_sub(1, Ordering::Relaxed);
            }
            seen = self.news.load(Ordering::Acquire);
            if state.ended {
                return;
            }
            let Some(work) = state.work else { continue };
            self.joined.fetch_add(1, Ordering::Relaxed);
            drop(state);
            let done = catch_unwind(AssertUnwindSafe(work));
            state = lock(&self.state);
            if let Err(panic) = done {
                state.panic.get_or_insert(panic);
            }
            if self.joined.fetch_sub(1, Ordering::Release) == 1 && state.owner_sleeps {
                self.all_left.notify_all();
            }
        }
    }
}

/// Whether `found` was true within [`LOOK`].
fn look_until(found: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    loop {
        for _ in 0..LOOKS {
            if found() {
                return true;
            }
            spin_loop();
        }
        if begun.elapsed() > LOOK {
            return false;
        }
        // Where other programs want the processor, one of them may be what is waited for.
        std::thread::yield_now();
    }
}

/// No panic leaves what is locked here half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait<'a>(news: &Condvar, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
    news.wait(state).unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
