//! Decode steps recorded once and launched as a whole: which sizes there are, and what was recorded for each.
//!
//! A recorded launch keeps its arguments, so that everything that changes from step to step lies in the step's metadata
//! (`step.rs`); rows that only fill a size up have no sequence, and no kernel reads or writes anything for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use cudarc::driver::{result, sys};

use super::device::Device;
use super::errors::{lost, refused};
use super::memory::Graph;
use crate::executor::ExecError;
use crate::ops::OpResult;

/// Up to here, every power of two; from here on, multiples of it: what `linear_mma` does in one round.
const ROUND: usize = 16;
/// From here on, multiples of [`WIDE_ROUND`]: each size costs memory, and a few rows more cost such a step little.
const WIDE: usize = 256;
const WIDE_ROUND: usize = 64;

/// Sizes of decode steps that are recorded, for at most `rows` rows, the smallest first.
pub(crate) fn sizes(rows: usize) -> Vec<usize> {
    let powers = (0..).map(|i| 1 << i).take_while(|n| *n < ROUND);
    let rounds = (1..=rows.min(WIDE) / ROUND).map(|i| i * ROUND);
    let wide = (WIDE / WIDE_ROUND + 1..=rows / WIDE_ROUND).map(|i| i * WIDE_ROUND);
    let powers = powers.filter(|n| *n < rows);
    let mut sizes: Vec<usize> = powers.chain(rounds).chain(wide).collect();
    if sizes.last() != Some(&rows) {
        sizes.push(rows);
    }
    sizes
}

/// What was recorded.
#[derive(Default)]
pub(crate) struct Graphs(BTreeMap<usize, Graph>);

impl Graphs {
    pub(crate) fn keep(&mut self, rows: usize, graph: Graph) {
        self.0.insert(rows, graph);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The smallest size that holds this many rows.
    pub(crate) fn size_for(&self, rows: usize) -> Option<usize> {
        self.0.range(rows..).next().map(|(rows, _)| *rows)
    }

    pub(crate) fn get(&self, rows: usize) -> Option<&Graph> {
        self.0.get(&rows)
    }
}

impl Device {
    /// From here on, launches are recorded and not done, until [`Device::end_recording`].
    pub(crate) fn begin_recording(&self) -> OpResult {
        // Other engines' threads may go on allocating: only this thread's calls are watched.
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream lives as long as the context, and is not recording: nobody else uses it.
        unsafe { result::stream::begin_capture(self.context.stream, mode) }
            .map_err(|e| refused("cuStreamBeginCapture", e))
    }

    /// What was recorded, ready to be launched; the stream is as before, whatever went wrong.
    pub(crate) fn end_recording(&self) -> Result<Graph, ExecError> {
        // SAFETY: as above; this ends the recording that `begin_recording` began.
        let graph = unsafe { result::stream::end_capture(self.context.stream) }
            .map_err(|e| refused("cuStreamEndCapture", e))?;
        if graph.is_null() {
            return Err(ExecError("the recording came to nothing".into()));
        }
        // SAFETY: the driver just gave the graph; what is instantiated does not need it any more.
        let exec = unsafe {
            let exec = result::graph::instantiate(graph, sys::CUgraphInstantiate_flags(0));
            let _ = result::graph::destroy(graph);
            exec
        };
        let exec = exec.map_err(|e| refused("cuGraphInstantiateWithFlags", e))?;
        let graph = Graph {
            context: Arc::clone(&self.context),
            exec,
        };
        // Its first launch would do this otherwise, and find no memory for it in the middle of a run.
        // SAFETY: just instantiated; the stream lives as long as the context.
        unsafe { result::graph::upload(graph.exec, self.context.stream) }
            .map_err(|e| refused("cuGraphUpload", e))?;
        self.synchronize()?;
        Ok(graph)
    }

    /// Launches what was recorded, in the stream's order.
    ///
    /// # Safety
    /// All memory that the recorded launches were given is still alive, and what they read was written.
    pub(crate) unsafe fn launch_graph(&self, graph: &Graph) -> OpResult {
        // SAFETY: instantiated in `end_recording`, destroyed when dropped; the rest is the caller's promise.
        unsafe { result::graph::launch(graph.exec, self.context.stream) }
            .map_err(|e| lost("cuGraphLaunch", e))
    }
}

#[cfg(test)]
mod tests {
    use super::sizes;

    #[test]
    fn sizes_end_with_the_most_rows() {
        assert_eq!(sizes(1), [1]);
        assert_eq!(sizes(3), [1, 2, 3]);
        assert_eq!(sizes(16), [1, 2, 4, 8, 16]);
        assert_eq!(sizes(40), [1, 2, 4, 8, 16, 32, 40]);
        assert_eq!(sizes(256).len(), 20);
        assert_eq!(sizes(640).len(), 26);
        assert_eq!(sizes(640)[19..], [256, 320, 384, 448, 512, 576, 640]);
        assert_eq!(sizes(300)[19..], [256, 300]);
    }
}
