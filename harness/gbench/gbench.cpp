// chokepoint-gbench: every case of a suite as a Google Benchmark, so that its flags, its JSON and compare.py
// work.
//   chokepoint-gbench [--suite=NAME] [--target=ID,..] [--benchmark_filter=...] [--benchmark_format=json] ...
// One iteration is one whole measurement by our own sampler, verification and cap probes included; its manual
// time is the median host time of a launch. Counters are target scale. A case whose cap did not hold is an
// error, not a time.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <set>
#include <string_view>

#include "harness/base/error.hpp"
#include "harness/base/registry.hpp"
#include "harness/base/strings.hpp"
#include "harness/run/case_runner.hpp"
#include "harness/run/runner.hpp"

namespace chokepoint {
namespace {

struct World {
  std::unique_ptr<Device> device;
  std::vector<Profile> profiles;
  std::vector<PriceBook> books;
  std::optional<std::string> prices;
  Ceilings ceilings;
};

void measure_case(benchmark::State& state, const CaseGroup& group, const World& world) {
  for (auto _ : state) {
    Record record = run_group(group, *world.device, {world.profiles, world.ceilings}).front();
    if (record.status != Status::ok) {
      state.SkipWithError(fmt::format("{}: {}", to_string(record.status), record.reason).c_str());
      return;
    }
    add_metrics(record, world.books, world.prices);
    state.SetIterationTime(*record.time.median);
    for (const auto& [name, metric] : record.metrics) state.counters[name] = metric.value;
    state.counters["dilation"] = record.dilation;
    state.counters["samples"] = static_cast<double>(record.time.n);
    if (record.time.ci_low && record.time.ci_high)
      state.counters["half_width"] = (*record.time.ci_high - *record.time.ci_low) / 2 / *record.time.median;
    state.SetLabel(label_of(record));
  }
}

// Takes "--name=value" out of argv, so that Google Benchmark does not see it.
std::string take_flag(int& argc, char** argv, std::string_view name, std::string fallback) {
  const std::string prefix = fmt::format("--{}=", name);
  for (int i = 1; i < argc; ++i)
    if (const std::string_view argument = argv[i]; argument.starts_with(prefix)) {
      fallback = argument.substr(prefix.size());
      std::move(argv + i + 1, argv + argc, argv + i);
      --argc;
      break;
    }
  return fallback;
}

int run(int argc, char** argv) {
  for (const std::string& fault : registry_faults()) throw Error(Fault::config, fault, "rename one of them");
  PlanOptions options;
  options.configs = take_flag(argc, argv, "configs", CHOKEPOINT_SOURCE_DIR "/configs");
  const std::string suite_name = take_flag(argc, argv, "suite", "quick");
  const std::string targets = take_flag(argc, argv, "target", "");
  if (!targets.empty()) options.targets = split(targets, ',');
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;

  const Suite suite = load_suite(find_suite(options.configs, suite_name));
  const std::vector<CaseGroup> groups = plan_suite(suite, options);
  World world{open_device(suite.device),
              load_profiles(options.configs),
              load_price_books(options.configs),
              suite.prices,
              {}};
  std::set<Dtype> dtypes;
  for (const CaseGroup& group : groups)
    for (const std::string& target : group.targets) {
      if (target != "host" && !group.unsupported) dtypes.insert(group.dtype);
      CaseGroup single = group;
      single.targets = {target};
      benchmark::RegisterBenchmark(
          case_name(group, target).c_str(),
          [single, &world](benchmark::State& state) { measure_case(state, single, world); })
          ->UseManualTime()
          ->Iterations(1)
          ->Unit(benchmark::kMicrosecond);
    }
  if (!dtypes.empty()) world.ceilings = calibrate(*world.device, {dtypes.begin(), dtypes.end()});
  benchmark::AddCustomContext("chokepoint_suite", suite.id);
  benchmark::AddCustomContext("chokepoint_suite_sha256", suite.hash);
  benchmark::AddCustomContext("chokepoint_ceilings", to_json(world.ceilings).dump());
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace
}  // namespace chokepoint

int main(int argc, char** argv) {
  try {
    return chokepoint::run(argc, argv);
  } catch (const chokepoint::Error& error) {
    fmt::print(stderr, "error: {}\n  fix: {}\n", error.message(), error.remedy());
    return 2;
  }
}
