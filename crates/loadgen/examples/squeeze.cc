// squeeze.rs in C++, against LoadGen's own interface: what the binding may cost at most is seen beside it.
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "loadgen.h"
#include "query_sample_library.h"
#include "system_under_test.h"
#include "test_settings.h"

namespace {

class Null : public mlperf::SystemUnderTest {
 public:
  explicit Null(bool first) : first_(first), answer_(100) {
    for (size_t at = 0; at < answer_.size(); ++at) answer_[at] = static_cast<int32_t>(at);
  }
  const std::string& Name() override { return name_; }
  void IssueQuery(const std::vector<mlperf::QuerySample>& samples) override {
    const auto data = reinterpret_cast<uintptr_t>(answer_.data());
    for (const mlperf::QuerySample& sample : samples) {
      if (first_) {
        mlperf::QuerySampleResponse first(sample.id, data, 4, 1);
        mlperf::FirstTokenComplete(&first, 1);
      }
      mlperf::QuerySampleResponse whole(sample.id, data, 4 * answer_.size(), static_cast<int64_t>(answer_.size()));
      mlperf::QuerySamplesComplete(&whole, 1);
    }
  }
  void FlushQueries() override {}

 private:
  const bool first_;
  std::vector<int32_t> answer_;
  const std::string name_ = "squeeze";
};

class Library : public mlperf::QuerySampleLibrary {
 public:
  const std::string& Name() override { return name_; }
  size_t TotalSampleCount() override { return 1024; }
  size_t PerformanceSampleCount() override { return 1024; }
  void LoadSamplesToRam(const std::vector<size_t>&) override {}
  void UnloadSamplesFromRam(const std::vector<size_t>&) override {}

 private:
  const std::string name_ = "none";
};

// The last value of a key in the detail log.
std::string value(const std::string& path, const std::string& key) {
  std::ifstream log(path);
  const std::string before = "\"key\": \"" + key + "\", \"value\": ";
  std::string line, found;
  while (std::getline(log, line)) {
    const size_t at = line.find(before);
    if (at == std::string::npos) continue;
    found = line.substr(at + before.size());
    found = found.substr(0, found.find(','));
  }
  return found;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const bool server = std::string(argv[1]) == "server";
  mlperf::TestSettings settings;
  settings.token_latency_scaling_factor = 1;
  settings.scenario = server ? mlperf::TestScenario::Server : mlperf::TestScenario::Offline;
  settings.mode = mlperf::TestMode::PerformanceOnly;
  // The built-in mlperf.conf alone.
  if (settings.FromConfig("", "gpt-oss-120b", server ? "Server" : "Offline", 0) != 0) return 2;
  settings.server_target_qps = settings.offline_expected_qps = 2e6;
  settings.min_duration_ms = static_cast<uint64_t>(std::atof(argv[2]) * 1e3);
  settings.min_query_count = 1;
  mlperf::LogSettings log;
  log.log_output.outdir = argv[3];
  log.enable_trace = false;
  Null sut(server);
  Library library;
  mlperf::StartTest(&sut, &library, settings, log, "/dev/null/no-audit.config");
  const std::string key = server ? "result_completed_samples_per_sec" : "result_samples_per_second";
  std::cout << static_cast<int64_t>(std::atof(value(std::string(argv[3]) + "/mlperf_log_detail.txt", key).c_str())) << "\n";
  return 0;
}
