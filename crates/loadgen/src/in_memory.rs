//! The simplest library of samples.

use crate::sut::SampleLibrary;

/// A library whose samples are all in memory from the start, so that there is nothing to load.
#[derive(Clone, Debug)]
pub struct InMemory {
    name: String,
    count: usize,
}

impl InMemory {
    /// So many samples, numbered from 0, under the name that LoadGen logs.
    pub fn new(name: impl Into<String>, count: usize) -> InMemory {
        InMemory {
            name: name.into(),
            count,
        }
    }
}

impl SampleLibrary for InMemory {
    fn name(&self) -> &str {
        &self.name
    }

    fn total_count(&self) -> usize {
        self.count
    }

    fn performance_count(&self) -> usize {
        self.count
    }

    fn load(&self, _: &[usize]) {}

    fn unload(&self, _: &[usize]) {}
}
