//! The cxx bridge to the shim, and the two LoadGen structs that cross it without a copy. Nothing here leaves the package.
//! `Callbacks` runs on the thread that called [`crate::run()`], or `issue` on the threads that it started for it; the two
//! completion functions on any thread.
#![allow(unsafe_code, reason = "calls into LoadGen, each with its reason")]

use cxx::{ExternType, kind, type_id};

use crate::callbacks::Callbacks;

/// One sample of a query. `id` is an address inside LoadGen: never zero, valid until the sample has been completed.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct QuerySample {
    pub(crate) id: usize,
    pub(crate) index: usize,
}

/// The answer to one sample; LoadGen copies the `size` bytes at `data` during the call, if it wants them at all.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct QuerySampleResponse {
    pub(crate) id: usize,
    pub(crate) data: usize,
    pub(crate) size: usize,
    pub(crate) n_tokens: i64,
}

// shim.cc asserts the same numbers about the C++ structs.
const _: () = {
    use std::mem::{offset_of, size_of};
    assert!(size_of::<QuerySample>() == 16);
    assert!(offset_of!(QuerySample, id) == 0 && offset_of!(QuerySample, index) == 8);
    assert!(size_of::<QuerySampleResponse>() == 32);
    assert!(offset_of!(QuerySampleResponse, id) == 0 && offset_of!(QuerySampleResponse, data) == 8);
    assert!(
        offset_of!(QuerySampleResponse, size) == 16
            && offset_of!(QuerySampleResponse, n_tokens) == 24
    );
};

// SAFETY: same size and field offsets as the C++ struct (asserted on both sides), which is trivially relocatable (asserted
// by cxx in the generated C++).
unsafe impl ExternType for QuerySample {
    type Id = type_id!("mlperf::QuerySample");
    type Kind = kind::Trivial;
}

// SAFETY: as above.
unsafe impl ExternType for QuerySampleResponse {
    type Id = type_id!("mlperf::QuerySampleResponse");
    type Kind = kind::Trivial;
}

#[cxx::bridge(namespace = "loadgen_rs")]
#[allow(
    unreachable_pub,
    clippy::undocumented_unsafe_blocks,
    reason = "what cxx generates"
)]
mod bridge {
    /// The members of `mlperf::TestSettings` by their C++ names. Enums as their C++ values.
    #[derive(Clone, Debug)]
    struct Numbers {
        scenario: i32,
        mode: i32,
        single_stream_expected_latency_ns: f64,
        single_stream_target_latency_percentile: f64,
        multi_stream_expected_latency_ns: f64,
        multi_stream_target_latency_percentile: f64,
        multi_stream_samples_per_query: u64,
        server_target_qps: f64,
        server_target_latency_ns: u64,
        server_target_latency_percentile: f64,
        server_coalesce_queries: bool,
        server_find_peak_qps_decimals_of_precision: i32,
        server_find_peak_qps_boundary_step_size: f64,
        server_max_async_queries: u64,
        server_num_issue_query_threads: u64,
        offline_expected_qps: f64,
        sample_concatenate_permutation: bool,
        min_duration_ms: u64,
        max_duration_ms: u64,
        min_query_count: u64,
        max_query_count: u64,
        qsl_rng_seed: u64,
        sample_index_rng_seed: u64,
        schedule_rng_seed: u64,
        accuracy_log_rng_seed: u64,
        accuracy_log_probability: f64,
        accuracy_log_sampling_target: u64,
        test05: bool,
        test05_qsl_rng_seed: u64,
        test05_sample_index_rng_seed: u64,
        test05_schedule_rng_seed: u64,
        print_timestamps: bool,
        performance_issue_unique: bool,
        performance_issue_same: bool,
        performance_issue_same_index: u64,
        performance_sample_count_override: u64,
        accuracy_sample_count_override: u64,
        use_token_latencies: bool,
        server_ttft_latency: u64,
        server_tpot_latency: u64,
        infer_token_latencies: bool,
        token_latency_scaling_factor: u64,
    }

    /// Everything else that a test needs to be told. Paths are bytes, as the operating system has them.
    struct Outputs {
        sut_name: String,
        qsl_name: String,
        total_count: usize,
        performance_count: usize,
        outdir: Vec<u8>,
        prefix: String,
        suffix: String,
        copy_detail_to_stdout: bool,
        copy_summary_to_stdout: bool,
        log_mode: i32,
        log_mode_async_poll_interval_ms: u64,
        enable_trace: bool,
        audit_config: Vec<u8>,
    }

    extern "Rust" {
        type Callbacks<'a>;
        /// `now_ns` is LoadGen's clock.
        fn issue(self: &Callbacks, samples: &[QuerySample], now_ns: i64);
        fn flush(self: &Callbacks);
        fn load(self: &Callbacks, samples: &[usize]);
        fn unload(self: &Callbacks, samples: &[usize]);
    }

    unsafe extern "C++" {
        include!("loadgen-rs/src/shim.h");

        #[namespace = "mlperf"]
        type QuerySample = super::QuerySample;
        #[namespace = "mlperf"]
        type QuerySampleResponse = super::QuerySampleResponse;
        #[namespace = "mlperf"]
        type TestSettings;

        fn new_settings() -> UniquePtr<TestSettings>;
        fn from_config(
            settings: Pin<&mut TestSettings>,
            path: &[u8],
            model: &str,
            scenario: &str,
            conf_type: i32,
        ) -> Result<i32>;
        fn numbers(settings: &TestSettings) -> Numbers;
        fn set_numbers(settings: Pin<&mut TestSettings>, numbers: &Numbers);
        fn start_test(callbacks: &Callbacks, settings: &TestSettings, outputs: &Outputs);

        /// # Safety
        /// Every id was issued by LoadGen and has been neither started nor completed; every `data` is readable for `size`.
        unsafe fn first_token_complete(responses: &mut [QuerySampleResponse]);
        /// # Safety
        /// Every id was issued by LoadGen and not completed, its first token (if LoadGen was told one) was reported by
        /// this same OS thread; every `data` is readable for `size`.
        unsafe fn samples_complete(responses: &mut [QuerySampleResponse]);

        /// When LoadGen's schedule wanted the sample issued, on LoadGen's clock.
        ///
        /// # Safety
        /// The id was issued by LoadGen and has not been completed.
        unsafe fn scheduled_ns(id: usize) -> i64;

        /// Returns when the test has ended, or `end_issue_query_threads` was called.
        fn register_issue_query_thread();
        fn end_issue_query_threads();
        fn mlperf_conf() -> String;
        fn date_time() -> String;
        fn arrivals_within(qps: f64, seed: u64, duration_ms: u64) -> u64;
        fn min_passing(over: i64, percentile: f64) -> i64;
        fn exit_now(code: i32);
    }
}

pub(crate) use bridge::*;
