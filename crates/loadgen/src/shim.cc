#include "shim.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <random>
#include <string>
#include <vector>

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

#include "early_stopping.h"
#include "issue_query_controller.h"
#include "loadgen-rs/src/ffi.rs.h"
#include "query_sample_library.h"
#include "system_under_test.h"
#include "utils.h"

// LoadGen's mlperf_conf.h defines it, so that including that file here would define it twice.
extern const char* mlperf_conf;

namespace loadgen_rs {
namespace {

// The Rust mirrors in ffi.rs assert the same numbers.
static_assert(sizeof(mlperf::QuerySample) == 16, "QuerySample changed");
static_assert(offsetof(mlperf::QuerySample, id) == 0, "QuerySample changed");
static_assert(offsetof(mlperf::QuerySample, index) == 8, "QuerySample changed");
static_assert(sizeof(mlperf::QuerySampleResponse) == 32, "QuerySampleResponse changed");
static_assert(offsetof(mlperf::QuerySampleResponse, id) == 0, "QuerySampleResponse changed");
static_assert(offsetof(mlperf::QuerySampleResponse, data) == 8, "QuerySampleResponse changed");
static_assert(offsetof(mlperf::QuerySampleResponse, size) == 16, "QuerySampleResponse changed");
static_assert(offsetof(mlperf::QuerySampleResponse, n_tokens) == 24, "QuerySampleResponse changed");

std::string bytes(rust::Slice<const uint8_t> slice) {
  return std::string(reinterpret_cast<const char*>(slice.data()), slice.size());
}

std::string bytes(const rust::Vec<uint8_t>& vec) {
  return std::string(reinterpret_cast<const char*>(vec.data()), vec.size());
}

int64_t ns(mlperf::PerfClock::time_point at) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(at.time_since_epoch()).count();
}

int64_t now_ns() { return ns(mlperf::PerfClock::now()); }

// Rust hands tickets from thread to thread through channels, whose order ThreadSanitizer does not see.
#ifdef __SANITIZE_THREAD__
void leaves(uintptr_t id) { __tsan_release(reinterpret_cast<void*>(id)); }
void arrives(uintptr_t id) { __tsan_acquire(reinterpret_cast<void*>(id)); }
#else
void leaves(uintptr_t) {}
void arrives(uintptr_t) {}
#endif

class Sut : public mlperf::SystemUnderTest {
 public:
  Sut(const Callbacks& callbacks, std::string name) : callbacks_(callbacks), name_(std::move(name)) {}

  const std::string& Name() override { return name_; }

  void IssueQuery(const std::vector<mlperf::QuerySample>& samples) override {
    issued_.store(true, std::memory_order_relaxed);
    for (const mlperf::QuerySample& sample : samples) leaves(sample.id);
    callbacks_.issue(rust::Slice<const mlperf::QuerySample>(samples.data(), samples.size()), now_ns());
  }

  void FlushQueries() override { callbacks_.flush(); }

  bool issued() const { return issued_; }

 private:
  const Callbacks& callbacks_;
  const std::string name_;
  // Set by every thread that issues queries.
  std::atomic<bool> issued_{false};
};

class Qsl : public mlperf::QuerySampleLibrary {
 public:
  Qsl(const Callbacks& callbacks, const Outputs& outputs)
      : callbacks_(callbacks),
        name_(outputs.qsl_name),
        total_count_(outputs.total_count),
        performance_count_(outputs.performance_count) {}

  const std::string& Name() override { return name_; }
  size_t TotalSampleCount() override { return total_count_; }
  size_t PerformanceSampleCount() override { return performance_count_; }

  void LoadSamplesToRam(const std::vector<mlperf::QuerySampleIndex>& samples) override {
    callbacks_.load(rust::Slice<const size_t>(samples.data(), samples.size()));
  }

  void UnloadSamplesFromRam(const std::vector<mlperf::QuerySampleIndex>& samples) override {
    callbacks_.unload(rust::Slice<const size_t>(samples.data(), samples.size()));
  }

 private:
  const Callbacks& callbacks_;
  const std::string name_;
  const size_t total_count_;
  const size_t performance_count_;
};

}  // namespace

std::unique_ptr<mlperf::TestSettings> new_settings() {
  auto settings = std::make_unique<mlperf::TestSettings>();
  // LoadGen leaves this member uninitialised.
  settings->token_latency_scaling_factor = 1;
  return settings;
}

int32_t from_config(mlperf::TestSettings& settings, rust::Slice<const uint8_t> path, rust::Str model,
                    rust::Str scenario, int32_t conf_type) {
  return settings.FromConfig(bytes(path), std::string(model), std::string(scenario), conf_type);
}

// One list for both directions, so that a field cannot be read and not written.
#define TEST_SETTINGS(X)                        \
  X(single_stream_expected_latency_ns)          \
  X(single_stream_target_latency_percentile)    \
  X(multi_stream_expected_latency_ns)           \
  X(multi_stream_target_latency_percentile)     \
  X(multi_stream_samples_per_query)             \
  X(server_target_qps)                          \
  X(server_target_latency_ns)                   \
  X(server_target_latency_percentile)           \
  X(server_coalesce_queries)                    \
  X(server_find_peak_qps_decimals_of_precision) \
  X(server_find_peak_qps_boundary_step_size)    \
  X(server_max_async_queries)                   \
  X(server_num_issue_query_threads)             \
  X(offline_expected_qps)                       \
  X(sample_concatenate_permutation)             \
  X(min_duration_ms)                            \
  X(max_duration_ms)                            \
  X(min_query_count)                            \
  X(max_query_count)                            \
  X(qsl_rng_seed)                               \
  X(sample_index_rng_seed)                      \
  X(schedule_rng_seed)                          \
  X(accuracy_log_rng_seed)                      \
  X(accuracy_log_probability)                   \
  X(accuracy_log_sampling_target)               \
  X(test05)                                     \
  X(test05_qsl_rng_seed)                        \
  X(test05_sample_index_rng_seed)               \
  X(test05_schedule_rng_seed)                   \
  X(print_timestamps)                           \
  X(performance_issue_unique)                   \
  X(performance_issue_same)                     \
  X(performance_issue_same_index)               \
  X(performance_sample_count_override)          \
  X(accuracy_sample_count_override)             \
  X(use_token_latencies)                        \
  X(server_ttft_latency)                        \
  X(server_tpot_latency)                        \
  X(infer_token_latencies)                      \
  X(token_latency_scaling_factor)

Numbers numbers(const mlperf::TestSettings& settings) {
  Numbers numbers{};
  numbers.scenario = static_cast<int32_t>(settings.scenario);
  numbers.mode = static_cast<int32_t>(settings.mode);
#define READ_FIELD(field) numbers.field = settings.field;
  TEST_SETTINGS(READ_FIELD)
#undef READ_FIELD
  return numbers;
}

void set_numbers(mlperf::TestSettings& settings, const Numbers& numbers) {
  settings.scenario = static_cast<mlperf::TestScenario>(numbers.scenario);
  settings.mode = static_cast<mlperf::TestMode>(numbers.mode);
#define WRITE_FIELD(field) settings.field = numbers.field;
  TEST_SETTINGS(WRITE_FIELD)
#undef WRITE_FIELD
}

void start_test(const Callbacks& callbacks, const mlperf::TestSettings& settings, const Outputs& outputs) {
  Sut sut(callbacks, std::string(outputs.sut_name));
  Qsl qsl(callbacks, outputs);
  mlperf::LogSettings log;
  // prefix_with_datetime stays false: where it is asked for, the prefix has the date and time already, so that the logs' names
  // are known.
  log.log_output.outdir = bytes(outputs.outdir);
  log.log_output.prefix = std::string(outputs.prefix);
  log.log_output.suffix = std::string(outputs.suffix);
  log.log_output.copy_detail_to_stdout = outputs.copy_detail_to_stdout;
  log.log_output.copy_summary_to_stdout = outputs.copy_summary_to_stdout;
  log.log_mode = static_cast<mlperf::LoggingMode>(outputs.log_mode);
  log.log_mode_async_poll_interval_ms = outputs.log_mode_async_poll_interval_ms;
  log.enable_trace = outputs.enable_trace;
  try {
    mlperf::StartTest(&sut, &qsl, settings, log, bytes(outputs.audit_config));
  } catch (const std::exception& error) {
    // Unwinding has closed the files that LoadGen's log thread still writes to, and has freed what response ids point to; another
    // thread may be answering a sample this very moment. No return from here is safe.
    std::fprintf(stderr, "LoadGen failed %s: %s; the process ends here\n",
                 sut.issued() ? "in the middle of a test" : "before the first query", error.what());
    exit_now(2);
  }
}

void first_token_complete(rust::Slice<mlperf::QuerySampleResponse> responses) {
  for (const mlperf::QuerySampleResponse& response : responses) arrives(response.id);
  mlperf::FirstTokenComplete(responses.data(), responses.size());
}

void samples_complete(rust::Slice<mlperf::QuerySampleResponse> responses) {
  for (const mlperf::QuerySampleResponse& response : responses) arrives(response.id);
  mlperf::QuerySamplesComplete(responses.data(), responses.size());
}

// What LoadGen counts every latency of the sample from. An id is the address of LoadGen's account of it.
int64_t scheduled_ns(size_t id) {
  return ns(reinterpret_cast<const mlperf::loadgen::SampleMetadata*>(id)->query_metadata->scheduled_time);
}

void register_issue_query_thread() { mlperf::RegisterIssueQueryThread(); }

void end_issue_query_threads() { mlperf::loadgen::IssueQueryController::GetInstance().EndThreads(); }

rust::String mlperf_conf() { return rust::String(::mlperf_conf); }

// As LoadGen writes it into the names of logs.
rust::String date_time() { return rust::String(mlperf::CurrentDateTimeISO8601()); }

// Server's queries up to the first that is not before the end: exponential gaps by the standard library that LoadGen is
// compiled with, so that the numbers are the same.
uint64_t arrivals_within(double qps, uint64_t seed, uint64_t duration_ms) {
  using std::chrono::nanoseconds;
  std::mt19937 random(seed);
  std::exponential_distribution<double> gap(qps);
  const nanoseconds end = std::chrono::milliseconds(duration_ms);
  uint64_t count = 0;
  for (nanoseconds at(0), before(0); before < end; ++count) {
    before = at;
    at += std::chrono::duration_cast<nanoseconds>(std::chrono::duration<double>(gap(random)));
  }
  return count;
}

int64_t min_passing(int64_t over, double percentile) {
  mlperf::loadgen::MinPassingQueriesFinder find;
  // Tolerance and confidence as in results.cc, EarlyStopping.
  return find(over, percentile, 0.0, 0.99);
}

void exit_now(int32_t code) {
  std::fflush(nullptr);
  std::_Exit(code);
}

}  // namespace loadgen_rs
