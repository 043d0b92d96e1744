//! What the driver gives and takes back: the context, memory on both sides, events, recorded launches. Each frees itself;
//! [`super::device`] makes them.

use std::sync::Arc;

use cudarc::driver::{DriverError, result, sys};

/// The primary context and a stream; whatever was allocated keeps it alive.
pub(crate) struct Context {
    pub(crate) device: sys::CUdevice,
    pub(crate) context: sys::CUcontext,
    pub(crate) stream: sys::CUstream,
}

// SAFETY: contexts and streams may be used from any thread; the driver locks them itself.
unsafe impl Send for Context {}
// SAFETY: as above; nothing here is changed after construction.
unsafe impl Sync for Context {}

impl Context {
    /// Makes the context the calling thread's.
    pub(crate) fn bind(&self) -> Result<(), DriverError> {
        // SAFETY: retained in `Device::open`, released in `drop`.
        unsafe { result::ctx::set_current(self.context) }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // Nobody can be told any more; a lost device fails here too.
        let _ = self.bind();
        // SAFETY: both were made in `Device::open`, and nothing that uses them outlives this value.
        unsafe {
            let _ = result::stream::destroy(self.stream);
            let _ = result::primary_ctx::release(self.device);
        }
    }
}

/// Device memory.
pub(crate) struct Memory {
    pub(crate) context: Arc<Context>,
    pub(crate) at: u64,
    pub(crate) bytes: usize,
}

impl Memory {
    /// Its address on the device.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let _ = self.context.bind();
        // SAFETY: allocated in `Device::memory`, freed once; the driver waits for work that still uses it.
        let _ = unsafe { result::free_sync(self.at) };
    }
}

/// Host memory that the device reads and writes by itself, in words.
pub(crate) struct Pinned {
    pub(crate) context: Arc<Context>,
    pub(crate) at: *mut u32,
    pub(crate) words: usize,
}

// SAFETY: plain memory with one owner.
unsafe impl Send for Pinned {}

impl Pinned {
    /// For the host. The caller has waited for the device's last use.
    pub(crate) fn words(&mut self) -> &mut [u32] {
        // SAFETY: allocated in `Device::pinned` with this many words and zeroed there; the borrow is unique.
        unsafe { std::slice::from_raw_parts_mut(self.at, self.words) }
    }

    /// The same as bytes.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: as above; bytes have no alignment and no invalid values.
        unsafe { std::slice::from_raw_parts_mut(self.at.cast(), self.words * 4) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let _ = self.context.bind();
        // SAFETY: allocated in `Device::pinned`, freed once.
        let _ = unsafe { result::free_host(self.at.cast()) };
    }
}

/// A point in the stream.
pub(crate) struct Event {
    pub(crate) context: Arc<Context>,
    pub(crate) event: sys::CUevent,
}

// SAFETY: events may be used from any thread.
unsafe impl Send for Event {}

impl Drop for Event {
    fn drop(&mut self) {
        let _ = self.context.bind();
        // SAFETY: created in `Device::event`, destroyed once.
        let _ = unsafe { result::event::destroy(self.event) };
    }
}

/// Launches that were recorded once, to be launched together.
pub(crate) struct Graph {
    pub(crate) context: Arc<Context>,
    pub(crate) exec: sys::CUgraphExec,
}

// SAFETY: used by one thread at a time, which is all that the driver asks for.
unsafe impl Send for Graph {}

impl Drop for Graph {
    fn drop(&mut self) {
        let _ = self.context.bind();
        // SAFETY: instantiated in `Device::end_recording`, destroyed once; the driver waits for launches under way.
        let _ = unsafe { result::graph::exec_destroy(self.exec) };
    }
}
