//! pandas data frames out of Python pickles, without Python. A pickle is a program: here it only builds inert nodes. What a
//! real unpickler would import or call becomes a node that says so, and the readers beside it know the few names that
//! pandas, NumPy and pyarrow use. Nothing is looked up, called or recursed into, whatever the file says.
//!
//! The crate serde-pickle (1.2) cannot be the layer below: it drops what it does not know, and a data frame is nothing else.
//! An unresolved global becomes None and a REDUCE keeps its arguments without its callee, so that one block, array, dtype
//! or index cannot be told from the next; what the memo shares is copied when resolved (billion laughs); resolving and
//! dropping recurse.
//!
//! Owns: the opcodes of protocols 2 to 5, the shapes in which pandas 1 to 3 pickles frames. Does not own: choosing files,
//! permission. Any thread.
//!
//! Sources: CPython's pickletools; the `__reduce__` and `__setstate__` of pandas, NumPy and pyarrow, by what they write.

mod arrays;
mod arrow;
mod cells;
mod error;
mod frame;
mod heap;
mod machine;
mod numpy;
#[cfg(test)]
mod tests;

pub(crate) use frame::PickleFrame;

/// Bounds that no data set of the benchmark comes near: the largest has 98 million tokens in 6396 rows. Values are 16 bytes,
/// objects (lists, texts, calls, entries of the memo) some 60.
const MAX_FILE: u64 = 1 << 32;
const MAX_VALUES: usize = 1 << 27;
const MAX_OBJECTS: u32 = 1 << 24;

/// Why a stream is no pickle of this kind.
#[derive(Debug)]
pub(crate) struct Fault {
    /// Where in the file, if it is one place.
    pub(crate) offset: Option<usize>,
    /// What was found there.
    pub(crate) what: String,
}
