//! The threads that compute a step, awake as long as it lasts. Owns the pool; what is shared out is the operations' business.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::{ThreadPool, Yield};

use crate::executor::{Capacity, ExecError, Executor, StepHandle, StepPlan, StepTokens};
use crate::load_error::LoadError;

/// Looks for work between two looks at whether others want the processor.
const LOOKS: usize = 64;

pub(super) fn threads(threads: usize) -> Result<ThreadPool, LoadError> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads.max(1))
        .thread_name(|i| format!("cpu-{i}"))
        .build()
        .map_err(|e| LoadError::Settings(format!("cannot start {threads} threads: {e}")))
}

/// Computes each step inside a pool of threads, so that the operations need not enter it one by one.
pub(super) struct PooledExecutor<E> {
    pub(super) pool: ThreadPool,
    pub(super) runner: E,
}

impl<E: Executor> Executor for PooledExecutor<E> {
    fn capacity(&self) -> Capacity {
        self.runner.capacity()
    }

    fn submit(&mut self, plan: StepPlan) -> Result<StepHandle, ExecError> {
        let runner = &mut self.runner;
        all_awake(&self.pool, || runner.submit(plan))
    }

    fn wait(&mut self, step: StepHandle) -> Result<StepTokens, ExecError> {
        self.runner.wait(step)
    }
}

/// Runs `f` in the pool, whose other threads look for what it shares out until it returns. An operation of one sequence takes a
/// fraction of a millisecond, and a thread that sleeps in between is woken late and, where few processors are busy, on the one
/// that woke it: two threads then computed no faster than one.
fn all_awake<R: Send>(pool: &ThreadPool, f: impl FnOnce() -> R + Send) -> R {
    if pool.current_num_threads() == 1 {
        return pool.install(f);
    }
    let done = AtomicBool::new(false);
    pool.scope(|scope| {
        let mine = rayon::current_thread_index();
        let done = Done(&done);
        let flag = done.0;
        scope.spawn_broadcast(move |_, context| {
            // This thread may come upon its own copy while it waits for others.
            if Some(context.index()) != mine {
                look_for_work(flag);
            }
        });
        let result = f();
        drop(done);
        result
    })
}

/// Sets the flag when the step is over, by a panic too.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn look_for_work(done: &AtomicBool) {
    let mut looks = 0;
    while !done.load(Ordering::Acquire) {
        if rayon::yield_now() == Some(Yield::Executed) {
            looks = 0;
            continue;
        }
        looks += 1;
        if looks % LOOKS == 0 {
            std::thread::yield_now();
        } else {
            spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use rayon::prelude::*;

    use super::*;

    #[test]
    fn steps_share_out_their_work_and_end() {
        let pool = threads(3).unwrap();
        for n in 0..200_u32 {
            let sum: u32 = all_awake(&pool, || {
                (0..20)
                    .map(|_| (0..n).into_par_iter().with_max_len(1).sum::<u32>())
                    .sum()
            });
            assert_eq!(sum, 20 * n * n.saturating_sub(1) / 2);
        }
    }

    #[test]
    fn a_step_that_panics_lets_the_others_go() {
        let pool = threads(3).unwrap();
        let caught = catch_unwind(AssertUnwindSafe(|| all_awake(&pool, || panic!("as asked"))));
        assert!(caught.is_err());
        assert_eq!(all_awake(&pool, || 7), 7);
    }
}
