//! Whether this machine has room for as many connections as are asked for: open files, local ports, memory. Looked at before
//! anything is sent; what is missing in the middle of a run is a fault of thousands of requests.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{Error, Settings};

/// Open files that a process has besides connections: logs, libraries, the model.
const OTHERS: u64 = 256;
/// What a streamed request is taken to need here and in the system's socket, its prompt and answer not counted: an assumption
/// (hyper's buffers, the task, a socket that is read as it fills) that `benchmarks/streams.py many` puts a figure beside.
const PER_REQUEST: u64 = 48 << 10;

/// Raises the soft limit of open files where it is too low; how, for people.
pub(crate) fn open_files(connections: usize) -> Result<Option<String>, Error> {
    let wanted = connections as u64 + OTHERS;
    let limit = getrlimit(Resource::Nofile);
    let Some(soft) = limit.current.filter(|soft| *soft < wanted) else {
        return Ok(None);
    };
    let refused = |allowed| Error::OpenFiles { wanted, allowed };
    if let Some(hard) = limit.maximum.filter(|hard| *hard < wanted) {
        return Err(refused(hard));
    }
    let raised = Rlimit {
        current: Some(wanted),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).map_err(|_| refused(soft))?;
    Ok(Some(format!(
        "the limit of open files was {soft} and is {wanted} now, for {connections} connections"
    )))
}

/// `servers` are the addresses that connections go to.
pub(crate) fn ports(settings: &Settings, servers: &[SocketAddr]) -> Result<(), Error> {
    let range = read("/proc/sys/net/ipv4/ip_local_port_range");
    let Some(ports) = range.as_deref().and_then(ports_of) else {
        return Ok(());
    };
    let wanted = settings.max_concurrency as u64;
    let allowed = most_connections(ports, &settings.source_addresses, servers);
    match wanted > allowed {
        true => Err(Error::Ports {
            wanted,
            ports,
            allowed,
        }),
        false => Ok(()),
    }
}

/// A port is taken for one server and one address of ours only.
fn most_connections(ports: u64, sources: &[IpAddr], servers: &[SocketAddr]) -> u64 {
    let sources: HashSet<_> = sources.iter().collect();
    let servers: HashSet<_> = servers.iter().collect();
    ports * sources.len().max(1) as u64 * servers.len() as u64
}

/// Whether the memory that is free holds the requests under way.
pub(crate) fn memory(settings: &Settings) -> Result<(), Error> {
    let told = read("/proc/meminfo");
    let wanted = settings.max_concurrency as u64 * PER_REQUEST;
    match told.as_deref().and_then(available) {
        Some(free) if wanted > free => Err(Error::Memory {
            requests: settings.max_concurrency,
            wanted_mib: wanted >> 20,
            free_mib: free >> 20,
        }),
        _ => Ok(()),
    }
}

fn read(path: &str) -> Option<String> {
    ossmark_files::read_to_string(Path::new(path)).ok()
}

/// How many ports there are in "32768\t60999".
fn ports_of(range: &str) -> Option<u64> {
    let mut ends = range.split_whitespace().map(|end| end.parse::<u64>().ok());
    let (first, last) = (ends.next()??, ends.next()??);
    Some((last + 1).saturating_sub(first))
}

/// Bytes of MemAvailable.
fn available(meminfo: &str) -> Option<u64> {
    let mut lines = meminfo.lines();
    let line = lines.find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_counted_for_each_server_and_address() {
        let servers = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.1:80"].map(|at| at.parse().unwrap());
        let sources = ["10.0.0.8", "10.0.0.9", "10.0.0.8"].map(|at| at.parse().unwrap());
        assert_eq!(most_connections(100, &[], &servers[..1]), 100);
        assert_eq!(most_connections(100, &[], &servers), 200);
        assert_eq!(most_connections(100, &sources, &servers), 400);
    }

    #[test]
    fn what_the_system_tells_is_read() {
        assert_eq!(ports_of("32768\t60999\n"), Some(28232));
        assert_eq!(ports_of("60999\t32768\n"), Some(0));
        assert_eq!((ports_of(""), ports_of("1 x")), (None, None));
        let meminfo = "MemTotal:       24000000 kB\nMemFree:  1 kB\nMemAvailable:   2048 kB\n";
        assert_eq!(available(meminfo), Some(2 << 20));
        assert_eq!(available("MemAvailable: many"), None);
    }
}
