//! Why a generator over HTTP could not be started. What happens to single requests later is told in their `End::Failed`.

use std::path::PathBuf;

use crate::quote::message;

/// Situations at the start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A URL that cannot be used.
    #[error("--endpoint {url}: {what}; expected a base URL such as http://host:30000")]
    Endpoint {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        what: String,
    },
    /// A setting out of range.
    #[error("{name} {found}: expected {expected}")]
    Setting {
        /// As the command line calls it.
        name: &'static str,
        /// What was given.
        found: String,
        /// What would do.
        expected: &'static str,
    },
    /// A host name without an address.
    #[error("{url}: cannot find the host's address ({source}); check the name")]
    Address {
        /// The server.
        url: String,
        /// The resolver's answer.
        source: std::io::Error,
    },
    /// Nobody listens, or the connection breaks.
    #[error(
        "{url}: {}; check that the server is up, and the address",
        message(what)
    )]
    Unreachable {
        /// The server.
        url: String,
        /// What was tried and what happened.
        what: String,
    },
    /// A server of no kind that is known here.
    #[error(
        "{url}: answers neither as SGLang ({}) nor as an OpenAI-compatible server ({}); check the URL's path, or name the API \
         with --api",
        message(sglang),
        message(openai)
    )]
    UnknownServer {
        /// The server.
        url: String,
        /// Its answer to /get_model_info.
        sglang: String,
        /// Its answer to /v1/models.
        openai: String,
    },
    /// Several models and none was named.
    #[error("{url}: {}; name the model with --served-model", message(what))]
    Model {
        /// The server.
        url: String,
        /// What /v1/models said.
        what: String,
    },
    /// Endpoints that cannot be one system.
    #[error(
        "{} and {}: expected one model behind one run; leave one out",
        message(one),
        message(other)
    )]
    DifferentModels {
        /// An endpoint and its model.
        one: String,
        /// Another.
        other: String,
    },
    /// The first request, made to see that token ids come back, failed.
    #[error(
        "{url}: the first request failed, in every way that was tried: {}",
        message(what)
    )]
    WarmUp {
        /// The server.
        url: String,
        /// What happened, and how to fix it.
        what: String,
    },
    /// The system allows fewer open files than connections are wanted.
    #[error(
        "{wanted} connections at once need as many open files; this system allows {allowed} (ulimit -Hn): lower \
         --max-concurrency or raise the limit"
    )]
    OpenFiles {
        /// Connections and some more.
        wanted: u64,
        /// The hard limit.
        allowed: u64,
    },
    /// The system has fewer local ports than connections are wanted.
    #[error(
        "{wanted} connections at once need as many local ports; there are {ports} (net.ipv4.ip_local_port_range) for each \
         server and local address, {allowed} in all: lower --max-concurrency, widen the range, or name more addresses of this \
         machine with --source-address"
    )]
    Ports {
        /// Connections.
        wanted: u64,
        /// For one pair of addresses.
        ports: u64,
        /// For all of them.
        allowed: u64,
    },
    /// The system has less memory than the requests under way take.
    #[error(
        "{requests} requests at once take some {wanted_mib} MiB, {free_mib} MiB are free: lower --max-concurrency"
    )]
    Memory {
        /// How many.
        requests: usize,
        /// What they take.
        wanted_mib: u64,
        /// What there is.
        free_mib: u64,
    },
    /// A key or certificate file.
    #[error("{}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The certificates that TLS needs.
    #[error("https: {0}")]
    Tls(String),
    /// The thread or its runtime could not be started.
    #[error("cannot start the HTTP thread: {0}")]
    Thread(#[from] std::io::Error),
    /// The thread ended before it had said how the start went.
    #[error("the HTTP thread ended while it was starting; its message is above")]
    Panicked,
}
