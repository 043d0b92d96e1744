//! A curve of MLPerf Endpoints, as its page shows it.

use serde::Serialize;

/// Points of one system, model and data set, lowest concurrency first.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Curve {
    /// Whose, or where it lies.
    pub title: String,
    /// What has to be known before it is read: that it is a rehearsal, what the check says.
    pub notices: Vec<String>,
    /// Each run.
    pub points: Vec<CurvePoint>,
}

/// One run at a number of requests under way.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CurvePoint {
    /// Its folder.
    pub name: String,
    /// Requests under way; of a dedicated Offline run the rows of the data set.
    pub concurrency: u64,
    /// Where it lies, and whether it stands for Offline.
    pub region: String,
    /// Requests that were completed.
    pub requests: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Seconds.
    pub duration_s: f64,
    /// Output tokens a second over all requests.
    pub system_tps: Option<f64>,
    /// Output tokens a second of a request: 1 over the 90th percentile of the time per token.
    pub tps_per_user: Option<f64>,
    /// Provisioned power of the point.
    pub power_kw: Option<f64>,
    /// The detector's verdict.
    pub steady: Option<String>,
    /// TTFT, TPOT, latency, output tokens.
    pub spreads: Vec<Spread>,
}

/// A distribution as the client summarises one.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Spread {
    /// TTFT and the like.
    pub name: String,
    /// Of the values.
    pub unit: String,
    /// Percent, and the value that so many lie at or below.
    pub percentiles: Vec<(f64, f64)>,
    /// From, to, how many.
    pub histogram: Vec<(f64, f64, u64)>,
}
