//! The boundary behind which the parquet crate may panic.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Once,
};

use crate::{Error, Result};

/// The parquet crate (60.1) still indexes, unwraps and asserts on what a file says: changing any byte of a small file gives
/// dozens of panics. A data set is untrusted, so a panic in there means a corrupt file, not a bug for the user to report.
/// Nothing of ours is left half changed, because what was being built is dropped.
pub(crate) fn guard<T>(path: &Path, read: impl FnOnce() -> Result<T>) -> Result<T> {
    quiet_hook();
    let outer = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(read));
    GUARDED.set(outer);
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
        let text = text
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        Err(Error::corrupt(
            path,
            &format!("the decoder gave up: {text}"),
        ))
    })
}

thread_local! {
    static GUARDED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Without this the default hook prints "thread panicked" above the error message, and the user reads a bug of ours. Only
/// panics of a thread that is inside [`guard`] are kept quiet; every other goes to the hook that was there before.
fn quiet_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                before(info);
            }
        }));
    });
}
