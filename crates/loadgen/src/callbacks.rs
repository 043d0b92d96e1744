//! What LoadGen calls. No panic gets through: unwinding into C++ would end the process.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::faults;
use crate::ffi::QuerySample;
use crate::sut::{SampleLibrary, SystemUnderTest};
use crate::ticket::{Issued, Samples, Untimed};

/// The system under test, by the kind of its tickets.
#[derive(Clone, Copy)]
pub(crate) enum Sut<'a> {
    Tokens(&'a dyn SystemUnderTest<Issued>),
    Untimed(&'a dyn SystemUnderTest<Untimed>),
}

impl Sut<'_> {
    pub(crate) fn name(&self) -> &str {
        match self {
            Sut::Tokens(sut) => sut.name(),
            Sut::Untimed(sut) => sut.name(),
        }
    }
}

/// Shared with every thread on which LoadGen issues queries.
pub(crate) struct Callbacks<'a> {
    pub(crate) sut: Sut<'a>,
    pub(crate) library: &'a dyn SampleLibrary,
}

const fn is_sync<T: Sync>() {}
const _: () = is_sync::<Callbacks<'static>>();

impl Callbacks<'_> {
    #[allow(unsafe_code, reason = "calls into LoadGen, each with its reason")]
    pub(crate) fn issue(&self, samples: &[QuerySample], now_ns: i64) {
        match self.sut {
            Sut::Tokens(sut) => {
                // SAFETY: called by the shim's IssueQuery only, with the query that LoadGen has just issued.
                let samples = unsafe { Samples::new(samples, now_ns) };
                guard("issue", || sut.issue(samples));
            }
            Sut::Untimed(sut) => {
                // SAFETY: as above.
                let samples = unsafe { Samples::new(samples, now_ns) };
                guard("issue", || sut.issue(samples));
            }
        }
    }

    pub(crate) fn flush(&self) {
        guard("flush", || match self.sut {
            Sut::Tokens(sut) => sut.flush(),
            Sut::Untimed(sut) => sut.flush(),
        });
    }

    pub(crate) fn load(&self, samples: &[usize]) {
        guard("load", || self.library.load(samples));
    }

    pub(crate) fn unload(&self, samples: &[usize]) {
        guard("unload", || self.library.unload(samples));
    }
}

fn guard(method: &str, call: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(call)) {
        faults::panicked(method, &*payload);
    }
}
