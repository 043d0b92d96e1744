//! Memory whose size a setting or a file decides. Where the system gives none (`ulimit -v`, a container's limit), that is an
//! error with the options that ask for less, never the end of the process.

use bytemuck::Zeroable;
use memmap2::MmapMut;

use crate::load_error::LoadError;

/// What a run needs beyond its large buffers: stacks of its threads, requests, answers, logs.
const FOR_THE_REST: usize = 128 << 20;

/// Zeros; the system gives the pages as they are touched.
///
/// # Errors
/// [`LoadError::NoMemory`] for `what`.
pub(crate) fn zeroed<T: Zeroable>(len: usize, what: &'static str) -> Result<Vec<T>, LoadError> {
    let bytes = len.saturating_mul(size_of::<T>());
    bytemuck::allocation::try_zeroed_vec(len).map_err(|()| LoadError::NoMemory { what, bytes })
}

/// Asks whether there is room for the run itself, once everything large is there.
///
/// # Errors
/// [`LoadError::NoMemory`].
pub(crate) fn check_rest() -> Result<(), LoadError> {
    let room = MmapMut::map_anon(FOR_THE_REST).map(drop);
    room.map_err(|_| LoadError::NoMemory {
        what: "the run beside the model",
        bytes: FOR_THE_REST,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_has_is_an_error() {
        for len in [usize::MAX, usize::MAX / 8, 1 << 58] {
            let error = zeroed::<f32>(len, "keys and values")
                .unwrap_err()
                .to_string();
            for part in ["keys and values", "bytes", "--kv-memory-mib", "ulimit -v"] {
                assert!(error.contains(part), "{error}");
            }
        }
        assert_eq!(zeroed::<f32>(3, "three").unwrap(), [0.0; 3]);
        assert!(zeroed::<f32>(0, "nothing").unwrap().is_empty());
    }
}
