//! Tokens that the device goes on from without the host; a model's operations and its head's share them.

use std::sync::{Arc, Mutex, MutexGuard};

use crate::executor::{Capacity, ExecError, TokenPlaces};
use ossmark_protocol::TokenId;

/// Tokens by their places.
#[derive(Clone)]
pub(super) struct KeptTokens {
    pub(super) places: TokenPlaces,
    all: Arc<Mutex<Vec<TokenId>>>,
}

impl KeptTokens {
    pub(super) fn new(capacity: &Capacity) -> Self {
        let places = TokenPlaces::new(capacity);
        Self {
            places,
            all: Arc::new(Mutex::new(vec![0; places.count()])),
        }
    }

    pub(super) fn lock(&self) -> Result<MutexGuard<'_, Vec<TokenId>>, ExecError> {
        let poisoned = |_| ExecError("an operation panicked".into());
        self.all.lock().map_err(poisoned)
    }
}
