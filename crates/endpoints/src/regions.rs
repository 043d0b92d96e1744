//! The regions of a curve: from C_max and C_min, in floating point, as the official checker computes them.
//!
//! Facts: §2; rules in `mlperf_conf/endpoints.toml`, `[regions]`.

use std::fmt;
use std::hint::black_box;

use serde::Serialize;

/// Both ends belong to it; empty where the first is above the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bounds {
    /// Lowest concurrency.
    pub first: i128,
    /// Highest concurrency.
    pub last: i128,
}

impl Bounds {
    /// Whether a concurrency lies in it.
    pub fn holds(self, concurrency: i128) -> bool {
        (self.first..=self.last).contains(&concurrency)
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first > self.last {
            return write!(to, "none (it is empty)");
        }
        write!(to, "{} to {}", self.first, self.last)
    }
}

/// Where the points of a curve have to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Regions {
    /// 1 to C_min.
    pub low_latency: Bounds,
    /// Above C_min.
    pub low_concurrency: Bounds,
    /// In the middle.
    pub med_concurrency: Bounds,
    /// Up to C_max.
    pub high_concurrency: Bounds,
    /// A tenth above C_max, which covers nothing.
    pub margin: Bounds,
    /// What one point has to cover: 1 to 32, or 1 to C_min where that is declared.
    pub ultra_low: Bounds,
}

/// Without one, C_min is at most this.
const ULTRA_LOW: i128 = 32;
const MARGIN: f64 = 1.10;

/// C_max or C_min for which there are no regions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutOfRange {
    /// C_min.
    #[error("found {0} for C_min, the lowest concurrency, expected 1 to 32")]
    CMin(i128),
    /// C_max.
    #[error("found {0} for C_max, the maximum supported concurrency, expected more than 32")]
    CMax(i128),
    /// C_max beside a dedicated Offline run, whose concurrency is the number of the data set's rows.
    #[error(
        "found {0} for C_max with a dedicated Offline run, expected at most {1}, the rows of the data set; elect the point at C_max"
    )]
    Dedicated(i128, i128),
}

impl Regions {
    /// For C_max and C_min; `is_declared`: C_min is `c_min_override`.
    ///
    /// # Errors
    /// C_min outside 1 to 32, C_max not above 32.
    pub fn new(c_max: i128, c_min: i128, is_declared: bool) -> Result<Self, OutOfRange> {
        if !(1..=ULTRA_LOW).contains(&c_min) {
            return Err(OutOfRange::CMin(c_min));
        }
        if c_max <= ULTRA_LOW {
            return Err(OutOfRange::CMax(c_max));
        }
        // The C library's functions, as Python calls them: a compiler may put others that are as good and differ in a bit.
        let two: f64 = black_box(2.0);
        let interval = ((c_max - c_min) as f64).log2() / 3.0;
        let end =
            |steps: f64| (c_min as f64 + two.powf(steps * interval)).round_ties_even() as i128;
        let (low, med) = (end(1.0), end(2.0));
        let low_latency = Bounds {
            first: 1,
            last: c_min,
        };
        let ultra_low = if is_declared { c_min } else { ULTRA_LOW };
        Ok(Self {
            low_latency,
            low_concurrency: Bounds {
                first: c_min + 1,
                last: low,
            },
            med_concurrency: Bounds {
                first: low + 1,
                last: med,
            },
            high_concurrency: Bounds {
                first: med + 1,
                last: c_max,
            },
            margin: Bounds {
                first: c_max.saturating_add(1),
                // 111 for 100, not 110: 1.1 is a little more than 1.1.
                last: (MARGIN * c_max as f64).ceil() as i128,
            },
            ultra_low: Bounds {
                first: 1,
                last: ultra_low,
            },
        })
    }

    /// The region of a concurrency; `None` outside of all.
    pub fn of(&self, concurrency: i128) -> Option<&'static str> {
        let named = [
            ("low_latency", self.low_latency),
            ("low_concurrency", self.low_concurrency),
            ("med_concurrency", self.med_concurrency),
            ("high_concurrency", self.high_concurrency),
            ("margin", self.margin),
        ];
        let found = named.iter().find(|(_, bounds)| bounds.holds(concurrency));
        found.map(|(name, _)| *name)
    }

    /// The region that a point counts for: the margin is none.
    pub fn covered_by(&self, concurrency: i128) -> Option<&'static str> {
        self.of(concurrency).filter(|name| *name != "margin")
    }
}
