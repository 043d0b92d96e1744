use std::sync::atomic::AtomicBool;

use super::*;

/// More than any machine takes to wake a thread.
const LIMIT: Duration = Duration::from_secs(60);

fn until(what: &str, found: impl Fn() -> bool) {
    let begun = Instant::now();
    while !found() {
        assert!(begun.elapsed() < LIMIT, "{what}");
        std::thread::yield_now();
    }
}

fn sleepers(crew: &Crew) -> usize {
    crew.shared.asleep.load(Ordering::Relaxed)
}

/// Two jobs, each of which waits for the other to begin.
fn both_at_once(crew: &Crew) {
    let begun = AtomicUsize::new(0);
    crew.run(vec![(); 2], WORTH_WAKING, |()| {
        begun.fetch_add(1, Ordering::Relaxed);
        until("no other thread came", || {
            begun.load(Ordering::Relaxed) == 2
        });
    });
}

#[test]
fn each_job_runs_once() {
    for threads in 0..5 {
        let crew = Crew::new(threads).unwrap();
        for n in 0..200_usize {
            let work = [0, WORTH_SHARING, WORTH_WAKING][n % 3];
            let mut done = vec![0; n % 7 * (n % 5)];
            crew.run(done.iter_mut().collect(), work, |d| *d += 1);
            assert!(done.iter().all(|d| *d == 1), "{threads} threads: {done:?}");
        }
    }
}

#[test]
fn helpers_come_awake_or_asleep_and_sleep_when_there_is_nothing() {
    let crew = Crew::new(3).unwrap();
    for _ in 0..3 {
        both_at_once(&crew);
        both_at_once(&crew);
        until("a helper looks for work forever", || sleepers(&crew) == 2);
        assert_eq!(crew.threads(WORTH_WAKING - 1), 1);
        assert_eq!(crew.threads(WORTH_WAKING), 3);
    }
    // Work that wakes nobody, since all sleep.
    let caller = std::thread::current().id();
    crew.run(vec![(); 9], WORTH_WAKING - 1, |()| {
        assert_eq!(std::thread::current().id(), caller);
    });
    let shared = Arc::clone(&crew.shared);
    drop(crew);
    assert_eq!(Arc::strong_count(&shared), 1, "a helper lives on");
}

#[test]
fn a_panic_comes_out_when_all_have_left() {
    let crew = Crew::new(3).unwrap();
    let caller = std::thread::current().id();
    for by_caller in [true, false] {
        let (begun, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let caught = catch_unwind(AssertUnwindSafe(|| {
            crew.run(vec![(); 3], WORTH_WAKING, |()| {
                begun.fetch_add(1, Ordering::Relaxed);
                until("not all came", || begun.load(Ordering::Relaxed) == 3);
                let is_caller = std::thread::current().id() == caller;
                if !is_caller {
                    until("the caller does not wait", || {
                        lock(&crew.shared.state).owner_sleeps
                    });
                }
                assert!(is_caller != by_caller, "as asked");
                ended.fetch_add(1, Ordering::Relaxed);
            });
        }));
        let panic = caught.unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"as asked"));
        let well = if by_caller { 2 } else { 1 };
        assert_eq!(ended.load(Ordering::Relaxed), well);
        both_at_once(&crew);
    }
}

#[test]
fn work_within_work_and_beside_it_is_done() {
    let crew = &Crew::new(2).unwrap();
    let done = &AtomicUsize::new(0);
    let begun = AtomicUsize::new(0);
    crew.run(vec![(); 2], WORTH_WAKING, |()| {
        begun.fetch_add(1, Ordering::Relaxed);
        until("no other thread came", || {
            begun.load(Ordering::Relaxed) == 2
        });
        crew.run(vec![(); 3], WORTH_WAKING, |()| {
            done.fetch_add(1, Ordering::Relaxed);
        });
    });
    assert_eq!(done.swap(0, Ordering::Relaxed), 2 * 3);
    let over = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..100 {
                    crew.run(vec![(); 4], WORTH_WAKING, |()| {
                        crew.run(vec![(); 3], WORTH_WAKING, |()| {
                            assert!(!over.load(Ordering::Relaxed));
                            done.fetch_add(1, Ordering::Relaxed);
                        });
                    });
                }
            });
        }
    });
    over.store(true, Ordering::Relaxed);
    assert_eq!(done.load(Ordering::Relaxed), 3 * 100 * 4 * 3);
}
