//! Room for connections: each is an open file.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Error;

/// Open files that a process has besides connections: logs, libraries, the model.
const OTHERS: u64 = 256;

/// Raises the soft limit of open files where it is too low for `connections`.
pub(crate) fn raise_limit(connections: usize) -> Result<(), Error> {
    let wanted = connections as u64 + OTHERS;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|soft| soft >= wanted) {
        return Ok(());
    }
    let refused = |allowed| Error::OpenFiles { wanted, allowed };
    if let Some(hard) = limit.maximum.filter(|hard| *hard < wanted) {
        return Err(refused(hard));
    }
    let raised = Rlimit {
        current: Some(wanted),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).map_err(|_| refused(limit.current.unwrap_or(0)))
}
