//! A row of the record: one sample, and its latencies as LoadGen defines them.

/// One sample of a run. Times are nanoseconds from the start of the test, on the clock that LoadGen measures with; `None`
/// where it did not happen or is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The place in the order of issue, from 0.
    pub request: u64,
    /// The row of the data set.
    pub sample_index: u32,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens of the answer, the stop token included.
    pub output_tokens: u32,
    /// When LoadGen's schedule wanted it issued. LoadGen counts every latency from here.
    pub scheduled_ns: Option<i64>,
    /// When it was issued.
    pub issued_ns: Option<i64>,
    /// When LoadGen was told of the first token.
    pub first_token_ns: Option<i64>,
    /// When LoadGen was told of the whole answer.
    pub completed_ns: Option<i64>,
    /// Why it ended.
    pub end: End,
    /// Which engine or server answered, from 0.
    pub engine: u16,
}

/// Why a sample ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A stop token.
    Stop,
    /// The most tokens that were allowed.
    Length,
    /// The engine could not answer it.
    Failed,
    /// It was given up while it was open.
    Cancelled,
}

impl End {
    /// Every one; a journal holds its place in here.
    pub(crate) const ALL: [Self; 4] = [Self::Stop, Self::Length, Self::Failed, Self::Cancelled];

    /// Its name in `samples.parquet`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|end| end.name() == name)
    }
}

/// LoadGen's latencies, in nanoseconds. A time that nobody can have measured gives the nearest number that there is.
impl Row {
    /// From when latencies count: the scheduled time, or the time of issue where the schedule is not known.
    pub fn begun_ns(&self) -> Option<i64> {
        self.scheduled_ns.or(self.issued_ns)
    }

    /// Time to the whole answer.
    pub fn latency_ns(&self) -> Option<i64> {
        Some(self.completed_ns?.saturating_sub(self.begun_ns()?))
    }

    /// Time to the first token.
    pub fn ttft_ns(&self) -> Option<i64> {
        Some(self.first_token_ns?.saturating_sub(self.begun_ns()?))
    }

    /// Time per output token after the first, in whole nanoseconds cut off: (latency - TTFT) / (tokens - 1).
    ///
    /// LoadGen takes an answer of fewer than two tokens for one of none, which makes this negative: it logs an error, keeps
    /// the number and counts it among the percentiles (source: its `logging.cc`, `RecordSampleCompletion`). So does this.
    pub fn tpot_ns(&self) -> Option<i64> {
        let spent = self.latency_ns()?.saturating_sub(self.ttft_ns()?);
        let tokens = match self.output_tokens {
            0 | 1 => 0,
            tokens => i64::from(tokens),
        };
        Some(spent.saturating_div(tokens - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: Row = Row {
        request: 7,
        sample_index: 3,
        prompt_tokens: 10,
        output_tokens: 4,
        scheduled_ns: Some(100),
        issued_ns: Some(130),
        first_token_ns: Some(600),
        completed_ns: Some(1611),
        end: End::Stop,
        engine: 0,
    };

    #[test]
    fn latencies_count_from_the_schedule_and_else_from_the_issue() {
        assert_eq!(ROW.ttft_ns(), Some(500));
        assert_eq!(ROW.latency_ns(), Some(1511));
        // 1011 / 3
        assert_eq!(ROW.tpot_ns(), Some(337));
        let unscheduled = Row {
            scheduled_ns: None,
            ..ROW
        };
        assert_eq!(unscheduled.ttft_ns(), Some(470));
        assert_eq!(unscheduled.latency_ns(), Some(1481));
        assert_eq!(unscheduled.tpot_ns(), Some(337));
    }

    #[test]
    fn what_did_not_happen_has_no_latency() {
        let offline = Row {
            first_token_ns: None,
            ..ROW
        };
        assert_eq!((offline.ttft_ns(), offline.tpot_ns()), (None, None));
        assert_eq!(offline.latency_ns(), Some(1511));
        let open = Row {
            completed_ns: None,
            ..ROW
        };
        assert_eq!((open.latency_ns(), open.tpot_ns()), (None, None));
        assert_eq!(open.ttft_ns(), Some(500));
    }

    #[test]
    fn short_answers_have_loadgens_negative_time_per_token() {
        for output_tokens in [0, 1] {
            let row = Row {
                output_tokens,
                ..ROW
            };
            assert_eq!(row.tpot_ns(), Some(-1011));
        }
        // C++ and Rust both cut towards zero.
        let backwards = Row {
            completed_ns: Some(599),
            ..ROW
        };
        assert_eq!(backwards.tpot_ns(), Some(0));
    }

    #[test]
    fn no_time_is_too_far_away() {
        for (begun, ended) in [(i64::MIN, i64::MAX), (i64::MAX, i64::MIN)] {
            for output_tokens in [0, 2, u32::MAX] {
                let row = Row {
                    output_tokens,
                    scheduled_ns: Some(begun),
                    first_token_ns: Some(begun),
                    completed_ns: Some(ended),
                    ..ROW
                };
                assert!(row.tpot_ns().is_some());
            }
        }
    }

    #[test]
    fn every_end_has_a_name_of_its_own() {
        for end in End::ALL {
            assert_eq!(End::named(end.name()), Some(end));
        }
        assert_eq!(End::named("Stop"), None);
    }
}
