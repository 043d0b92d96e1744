// The C++ side of the bridge: derives LoadGen's two abstract classes and forwards to Rust. Holds no state of its own
// besides the names that LoadGen takes by reference.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "loadgen.h"
#include "query_sample.h"
#include "rust/cxx.h"
#include "test_settings.h"

#ifdef _GLIBCXX_ASSERTIONS
#error "LoadGen reads past the end of a vector in Offline with token latencies; with _GLIBCXX_ASSERTIONS it would abort. Remove that define (and hardening flags that imply it) from CXXFLAGS."
#endif

namespace loadgen_rs {

struct Callbacks;
struct Numbers;
struct Outputs;

std::unique_ptr<mlperf::TestSettings> new_settings();
int32_t from_config(mlperf::TestSettings& settings, rust::Slice<const uint8_t> path, rust::Str model,
                    rust::Str scenario, int32_t conf_type);
Numbers numbers(const mlperf::TestSettings& settings);
void set_numbers(mlperf::TestSettings& settings, const Numbers& numbers);
void start_test(const Callbacks& callbacks, const mlperf::TestSettings& settings, const Outputs& outputs);
void first_token_complete(rust::Slice<mlperf::QuerySampleResponse> responses);
void samples_complete(rust::Slice<mlperf::QuerySampleResponse> responses);
int64_t scheduled_ns(size_t id);
void register_issue_query_thread();
void end_issue_query_threads();
rust::String mlperf_conf();
rust::String date_time();
uint64_t arrivals_within(double qps, uint64_t seed, uint64_t duration_ms);
int64_t min_passing(int64_t over, double percentile);
void exit_now(int32_t code);

}  // namespace loadgen_rs
