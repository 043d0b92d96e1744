// The null SUT of the contract tests in C++, against LoadGen's own interface, so that what the binding does can be compared
// with what LoadGen does without it. Answers at once or after so many milliseconds, on LoadGen's thread, with the tokens of
// child.rs, tokens_of, or with bytes where no tokens are timed. Prints what it was called with, a line a call.
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "loadgen.h"
#include "query_sample_library.h"
#include "system_under_test.h"
#include "test_settings.h"

namespace {

std::vector<std::string> calls;

void note(const std::string& name, const std::vector<size_t>& indices) {
  std::string line = name;
  for (size_t index : indices) line += " " + std::to_string(index);
  calls.push_back(line);
}

std::vector<int32_t> tokens_of(size_t index) {
  std::vector<int32_t> tokens;
  const uint32_t n = static_cast<uint32_t>(index);
  for (uint32_t at = 0; at < 2 + n % 5; ++at) tokens.push_back(static_cast<int32_t>(1000000 * at + 200000 - n));
  return tokens;
}

class Null : public mlperf::SystemUnderTest {
 public:
  Null(bool tokens, bool first, int ms) : tokens_(tokens), first_(first), time_(ms) {}
  const std::string& Name() override { return name_; }

  void IssueQuery(const std::vector<mlperf::QuerySample>& samples) override {
    std::vector<size_t> indices;
    for (const mlperf::QuerySample& sample : samples) {
      indices.push_back(sample.index);
      if (time_.count() > 0) std::this_thread::sleep_for(time_);
      if (tokens_) {
        std::vector<int32_t> tokens = tokens_of(sample.index);
        const auto data = reinterpret_cast<uintptr_t>(tokens.data());
        if (first_) {
          mlperf::QuerySampleResponse first(sample.id, data, 4, 1);
          mlperf::FirstTokenComplete(&first, 1);
        }
        mlperf::QuerySampleResponse whole(sample.id, data, 4 * tokens.size(), static_cast<int64_t>(tokens.size()));
        mlperf::QuerySamplesComplete(&whole, 1);
      } else {
        uint8_t bytes[2] = {static_cast<uint8_t>(sample.index), 7};
        mlperf::QuerySampleResponse whole(sample.id, reinterpret_cast<uintptr_t>(bytes), sizeof bytes);
        mlperf::QuerySamplesComplete(&whole, 1);
      }
    }
    note("issue", indices);
  }

  void FlushQueries() override { note("flush", {}); }

 private:
  const bool tokens_;
  const bool first_;
  const std::chrono::milliseconds time_;
  const std::string name_ = "null SUT";
};

class Library : public mlperf::QuerySampleLibrary {
 public:
  Library(size_t total, size_t performance) : total_(total), performance_(performance) {}
  const std::string& Name() override { return name_; }
  size_t TotalSampleCount() override { return total_; }
  size_t PerformanceSampleCount() override { return performance_; }
  void LoadSamplesToRam(const std::vector<size_t>& samples) override { note("load", samples); }
  void UnloadSamplesFromRam(const std::vector<size_t>& samples) override { note("unload", samples); }

 private:
  const size_t total_;
  const size_t performance_;
  const std::string name_ = "null library";
};

}  // namespace

// scenario (number), its name, mode (number), model, user.conf, directory of the logs, samples, samples at a time, tokens (0 or
// 1), milliseconds a sample
int main(int argc, char** argv) {
  if (argc != 11) return 2;
  mlperf::TestSettings settings;
  settings.token_latency_scaling_factor = 1;
  settings.scenario = static_cast<mlperf::TestScenario>(std::atoi(argv[1]));
  settings.mode = static_cast<mlperf::TestMode>(std::atoi(argv[3]));
  if (settings.FromConfig(argv[5], argv[4], argv[2]) != 0) return 2;
  mlperf::LogSettings log;
  log.log_output.outdir = argv[6];
  log.enable_trace = false;
  const bool tokens = std::atoi(argv[9]) == 1;
  Null sut(tokens, settings.scenario != mlperf::TestScenario::Offline, std::atoi(argv[10]));
  Library library(std::strtoull(argv[7], nullptr, 10), std::strtoull(argv[8], nullptr, 10));
  mlperf::StartTest(&sut, &library, settings, log, "/dev/null/no-audit.config");
  for (const std::string& call : calls) std::cout << "CALL " << call << "\n";
  return 0;
}
