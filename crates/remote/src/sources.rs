//! The addresses of this machine that connections are made from, one after the other: each has ports of its own.

use std::cell::Cell;
use std::net::IpAddr;

/// One thread's turn among them.
pub(crate) struct Sources {
    addresses: Vec<IpAddr>,
    next: Cell<usize>,
}

impl Sources {
    /// Without addresses the system chooses.
    pub(crate) fn new(addresses: &[IpAddr]) -> Self {
        Self {
            addresses: addresses.to_vec(),
            next: Cell::new(0),
        }
    }

    pub(crate) fn next(&self) -> Option<IpAddr> {
        let at = self.next.get();
        self.next.set(at.wrapping_add(1));
        let at = at.checked_rem(self.addresses.len())?;
        Some(self.addresses[at])
    }
}
