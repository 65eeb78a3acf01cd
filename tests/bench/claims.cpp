// How fast are simulated steps? A pipeline of 16 ranks and 120 micro-batches, compiled and run, and
// Monte-Carlo draws of DeepSeek-V3's whole step, on one core; plans for fleets, on all cores.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <functional>

#include "harness/base/parallel.hpp"
#include "harness/base/random.hpp"
#include "harness/claims/expert_imbalance.hpp"
#include "harness/claims/fleet.hpp"
#include "harness/claims/trace_phases.hpp"
#include "harness/claims/train_step.hpp"

namespace {

using namespace chokepoint;

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Of this process: what others do on the machine does not count.
double cpu_seconds_of(const std::function<void()>& work) {
  const std::clock_t start = std::clock();
  work();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

void pipelines() {
  for (const std::string& name : schedule_names()) {
    const PipelinePlan plan{parse_schedule(name), 16, name == "interleaved" ? 128 : 120, 2};
    double compile_s = 1.0;
    for (int i = 0; i < 9; ++i) compile_s = std::min(compile_s, seconds_of([&] { Pipeline{plan}; }));
    const Pipeline pipeline(plan);
    const StageTimes times = even_stages(plan.stages(), {50, 60, 30, 120});
    PipelineRun run;
    const double run_s = cpu_seconds_of([&] {
      for (int i = 0; i < 1000; ++i) pipeline.run(times, run);
    });
    fmt::print("{:>12}: {} passes, compile {:.3f} ms, run {:.1f} us of CPU\n", name, pipeline.passes().size(),
               compile_s * 1e3, run_s * 1e3);
  }
}

void draws(double jitter) {
  constexpr int kDraws = 10000;
  TrainStep step(dsv3_train_plan());
  double sum_s = 0.0;
  const double seconds = cpu_seconds_of([&] {
    for (int draw = 0; draw < kDraws; ++draw) {
      const double imbalance = 1.0 + 0.15 * random_unit(1, 0, static_cast<std::uint64_t>(draw));
      sum_s +=
          step.run(with_imbalance(trace_phases(), imbalance), {jitter, static_cast<std::uint64_t>(draw)});
    }
  });
  fmt::print("{} draws of a step with jitter {}: {:.2f} s of CPU (mean step {:.2f} s)\n", kDraws, jitter,
             seconds, sum_s / kDraws);
}

void plans() {
  std::vector<Conditions> links(8);
  for (std::size_t i = 0; i < links.size(); ++i)
    links[i].link_bytes_per_s = 450e9 / static_cast<double>(i + 1);
  std::int64_t tried = 0, within = 0;
  const double seconds = seconds_of([&] {
    for (const FleetPoint& point : search_fleet({}, dsv3_fleet_basis(), {}, links))
      tried += point.plans(), within += point.within_limits;
  });
  fmt::print("{} plans, {} within limits: {:.2f} s on {} cores\n", tried, within, seconds,
             parallel_workers());
}

}  // namespace

int main() {
  pipelines();
  draws(0.0);
  draws(0.02);
  plans();
}
