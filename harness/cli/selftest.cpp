// `selftest`: is this program's own machinery as good as it says? Coverage of the intervals on noise whose
// truth is known, rates that caps deliver, refusal above the headroom, a negative control, and the cost of a
// sample.
#include <fmt/format.h>

#include <cmath>
#include <map>

#include "harness/base/error.hpp"
#include "harness/base/units.hpp"
#include "harness/caps/cap.hpp"
#include "harness/cli/command.hpp"
#include "harness/model/coverage.hpp"
#include "harness/run/probe.hpp"

namespace chokepoint {
namespace {

constexpr double kLeastCoverage = 0.93;     // of 95 % nominal; below it the intervals claim too much
constexpr double kRateTolerance = 0.01;     // of an idle machine
constexpr double kControlTolerance = 0.02;  // design.md section 5
constexpr double kShares[] = {0.05, 0.10, 0.20, 0.35, 0.50, 0.70};  // of the ceiling
constexpr std::int64_t kMessages[] = {128 << 10, 1 << 20, 8 << 20};

struct Report {
  Session& session;
  Json json = Json::object();
  bool good = true;

  void line(const std::string& text) const {
    if (!session.json) fmt::print("{}\n", text);
  }
};

void check_coverage(Report& report, std::size_t replicates) {
  report.line(fmt::format("coverage of 95 % intervals, {} replicates each (true median inside)", replicates));
  SamplingPlan plan;
  plan.half_width = 0.005;
  plan.most_samples = 20000;
  plan.budget_s = 1e9;
  for (const NoiseModel& model : noise_models()) {
    const CoverageReport coverage = measure_coverage(model, replicates, plan, 20261123);
    const bool good = coverage.coverage_interval.high >= kLeastCoverage;
    report.good &= good;
    report.line(fmt::format(
        "  {:<16} {:5.1f} % [{:.1f}, {:.1f}], median of {:.0f} samples, {:.0f} % stopped by precision{}",
        model.name, 100 * coverage.coverage, 100 * coverage.coverage_interval.low,
        100 * coverage.coverage_interval.high, coverage.median_n, 100 * coverage.precise_share,
        good ? "" : "  TOO LOW"));
    report.json["coverage"].push_back({{"model", model.name},
                                       {"coverage", coverage.coverage},
                                       {"replicates", coverage.replicates},
                                       {"median_n", coverage.median_n}});
  }
}

// Rate of a link that sends messages of this size one after the other, 8 MiB of them (two at least) on their way: under
// the plan's cap, or at most as fast as this device can. With less on its way a system's tick of some 30 us, which a
// clock that earns nothing while idle cannot make good, would be most of what this shows.
double message_rate(Device& device, const CapPlan& plan, std::int64_t message_bytes, bool capped) {
  const double wanted = std::max(plan.requested * 0.1, 4.0 * static_cast<double>(message_bytes));
  const std::int64_t messages = static_cast<std::int64_t>(wanted) / message_bytes;
  const Operation& operation = find_operation("loopback");
  const Shape shape = complete_shape(
      operation,
      {{"bytes", messages * message_bytes},
       {"wire", std::string("link")},
       {"messages", messages},
       {"in_flight", std::max<std::int64_t>(2, (8 << 20) / message_bytes)}});
  const std::unique_ptr<Problem> problem = operation.make(shape, Dtype::f32, {});
  Pace pace;
  const std::unique_ptr<InstalledCap> cap =
      find_cap(Resource::link, device.facts().kind)->install(plan, device, pace);
  const std::unique_ptr<Launch> launch =
      find_kernel("loopback", "cpu_native").prepare(*problem, device, pace);
  launch->run();
  if (capped) cap->engage();
  std::vector<double> rates;
  for (int i = 0; i < 5; ++i)
    rates.push_back(static_cast<double>(messages * message_bytes) / device.time_s([&] { launch->run(); }));
  return median(rates).value();
}

void check_rates(Report& report, Device& device) {
  Prober prober(device);
  const double memory = prober.ceiling(Resource::memory, Dtype::f32).value();
  // Short messages cost a CPU more per byte than long ones: each size has its own ceiling.
  const double link = prober.ceiling(Resource::link, Dtype::f32).value();
  std::map<std::int64_t, double> ceilings;
  for (std::int64_t bytes : kMessages)
    ceilings[bytes] = message_rate(device, {.demand = {.resource = Resource::link}, .requested = link}, bytes, false);
  report.line("\ndelivered against requested rate, by share of the ceiling");
  report.line("                     link 128 KiB   link 1 MiB   link 8 MiB   memory");
  std::string header = fmt::format("  {:>17}", "ceiling, GB/s");
  for (std::int64_t bytes : kMessages)
    header += fmt::format("{:{}.1f}", ceilings[bytes] * 1e-9, bytes == kMessages[0] ? 14 : 13);
  report.line(header + fmt::format("{:9.1f}", memory * 1e-9));
  for (double share : kShares) {
    std::string text = fmt::format("  {:>15.0f} %", 100 * share);
    const auto show = [&](const char* what, std::int64_t bytes, double requested, double delivered,
                          int width) {
      const double off = delivered / requested - 1.0;
      report.good &= std::abs(off) <= kRateTolerance;
      text += fmt::format("{:>{}}", fmt::format("{:+.2f} %", 100 * off), width);
      report.json["rates"].push_back({{"resource", what},
                                      {"message_bytes", bytes ? Json(bytes) : Json(nullptr)},
                                      {"share", share},
                                      {"requested", requested},
                                      {"delivered", delivered}});
    };
    int width = 14;
    for (std::int64_t bytes : kMessages) {
      const double ceiling = ceilings[bytes];
      const CapPlan plan{.demand = {.resource = Resource::link}, .requested = share * ceiling, .ceiling = ceiling};
      show("link", bytes, plan.requested, message_rate(device, plan, bytes, true), width);
      width = 13;
    }
    const CapPlan plan{
        .demand = {.resource = Resource::memory}, .requested = share * memory, .ceiling = memory};
    show("memory", 0, plan.requested, prober.delivered(plan, Dtype::f32, 0.1, 5), 9);
    report.line(text);
  }
}

// On a GPU a message is a launch: rates are those of long ones, as the probes of a run take them.
void check_gpu_rates(Report& report, Device& device) {
  Prober prober(device);
  report.line("\ndelivered against requested rate, long transfers");
  for (const auto& [resource, tolerance] :
       {std::pair{Resource::link, kRateTolerance}, {Resource::memory, kCapTolerance}}) {
    const std::optional<double> ceiling = prober.ceiling(resource, Dtype::f32);
    if (!ceiling) continue;
    std::string text = fmt::format("  {:<7} ceiling {:<10}", to_string(resource), with_unit(*ceiling, "B/s"));
    for (double share : kShares) {
      const CapPlan plan{.demand = {.resource = resource}, .requested = share * *ceiling, .ceiling = *ceiling};
      const double delivered = prober.delivered(plan, Dtype::f32), off = delivered / plan.requested - 1.0;
      report.good &= std::abs(off) <= tolerance;
      text += fmt::format("  {:.0f} %: {:+.2f} %", 100 * share, 100 * off);
      report.json["rates"].push_back({{"resource", to_string(resource)},
                                      {"message_bytes", nullptr},
                                      {"share", share},
                                      {"requested", plan.requested},
                                      {"delivered", delivered}});
    }
    report.line(text);
  }
}

// What a sample costs besides the launch it times: a launch that does next to nothing, alone and in batches, on the
// device's clock and on the wall's.
void check_gpu_overhead(Report& report, Device& device) {
  const Operation& operation = find_operation("stream");
  const std::unique_ptr<Problem> problem = operation.make(
      complete_shape(operation, {{"elements", std::int64_t{4}}, {"pattern", std::string("copy")}}), Dtype::f32, {});
  const std::unique_ptr<Launch> launch = find_kernel("stream", "cuda_simple").prepare(*problem, device, Pace{});
  const std::unique_ptr<LaunchTimer> timer = device.timer({[&] { launch->run(); }});
  const std::vector<LaunchTimer*> block(128, timer.get());
  std::vector<double> launch_s, wall_s;
  for (int i = 0; i < 40; ++i) {
    const double start = device.now_s();
    const std::vector<double> times = device.time_in_turn(block);
    wall_s.push_back((device.now_s() - start) / static_cast<double>(block.size()));
    launch_s.insert(launch_s.end(), times.begin(), times.end());
  }
  const double floor_s = median(launch_s).value(), sample_s = median(wall_s).value();
  const double overhead_s = sample_s - floor_s * timer->launches_per_sample();
  report.line(fmt::format("\nlaunch floor: {} per launch in batches of {}; a sample costs {} of wall time besides its "
                          "launches (physical limit: the two event readings, good to about 0.5 us)",
                          duration_text(floor_s), timer->launches_per_sample(), duration_text(overhead_s)));
  report.json["launch_floor_s"] = floor_s;
  report.json["launches_per_sample"] = timer->launches_per_sample();
  report.json["overhead_s"] = overhead_s;
}

void check_refusal(Report& report) {
  PerResource<std::optional<double>> ceilings;
  ceilings[Resource::link] = 1e9;
  const TargetDemands target{"a target at 75 % of the ceiling",
                             {{.resource = Resource::link, .target_rate = 0.75e9}}};
  try {
    plan_emulation({&target, 1}, ceilings, 1.0);
    report.good = false;
    report.line("\nabove the headroom: NOT refused");
  } catch (const Error& error) {
    report.line(fmt::format("\nabove the headroom: refused ({})", error.message()));
  }
}

// A compute-bound product must not notice a memory cap that leaves it enough: A B B A blocks, ratio with
// interval.
void check_negative_control(Report& report, Device& device) {
  Prober prober(device);
  const double memory = prober.ceiling(Resource::memory, Dtype::f32).value();
  const Operation& operation = find_operation("matmul");
  const Shape shape = complete_shape(
      operation, {{"m", std::int64_t{512}}, {"n", std::int64_t{512}}, {"k", std::int64_t{512}}});
  const std::unique_ptr<Problem> problem = operation.make(shape, Dtype::f32, {});
  const CapPlan plan{
      .demand = {.resource = Resource::memory}, .requested = memory / kPacingHeadroom, .ceiling = memory};
  Pace pace;
  const std::unique_ptr<InstalledCap> cap =
      find_cap(Resource::memory, device.facts().kind)->install(plan, device, pace);
  const Kernel& kernel = find_kernel("matmul", "cpu_native");
  const std::unique_ptr<Launch> capped = kernel.prepare(*problem, device, pace),
                                free = kernel.prepare(*problem, device, Pace{});
  capped->run();
  free->run();
  cap->engage();
  std::vector<double> with, without;
  for (int block = 0; block < 150; ++block) {
    with.push_back(device.time_s([&] { capped->run(); }));
    for (int i = 0; i < 2; ++i) without.push_back(device.time_s([&] { free->run(); }));
    with.push_back(device.time_s([&] { capped->run(); }));
  }
  const RatioEstimate ratio = estimate_ratio(with, without, 0.95);
  // Too slow only if the whole interval says so: noise is not a leak.
  const bool good = ratio.interval ? ratio.interval->low <= 1.0 + kControlTolerance
                                   : ratio.ratio <= 1.0 + kControlTolerance;
  report.good &= good;
  report.line(fmt::format(
      "\nnegative control: matmul 512^3 under a memory cap of {} takes {:.4f}x{} its uncapped time{}",
      with_unit(plan.requested, "B/s"), ratio.ratio,
      ratio.interval ? fmt::format(" [{:.4f}, {:.4f}]", ratio.interval->low, ratio.interval->high) : "",
      good ? "" : "  THE CAP LEAKS INTO COMPUTE"));
  report.json["negative_control"] = {{"ratio", ratio.ratio}};
}

void check_overhead(Report& report, Device& device) {
  std::vector<double> times;
  for (int i = 0; i < 2001; ++i) times.push_back(device.time_s([] {}));
  const double overhead_s = median(times).value();
  report.line(fmt::format("\ncost of timing nothing: {} (two clock readings)", duration_text(overhead_s)));
  report.json["overhead_s"] = overhead_s;
}

void selftest(std::size_t replicates, const std::string& device_name, Session& session) {
  Report report{session};
  const std::unique_ptr<Device> device = open_device(device_name);
  if (device->facts().own_memory) {  // intervals are the CPU's business, negative controls `calibrate`'s
    check_gpu_rates(report, *device);
    check_gpu_overhead(report, *device);
  } else {
    check_coverage(report, replicates);
    check_rates(report, *device);
    check_refusal(report);
    check_negative_control(report, *device);
    check_overhead(report, *device);
  }
  report.json["good"] = report.good;
  if (session.json) print_json(report.json);
  report.line(report.good
                  ? "\nall good"
                  : "\nnot all good: repeat on an idle machine before trusting figures from this one");
  if (!report.good) session.exit_code = kInvalid;
}

const Register<Command> selftest_command{
    {.name = "selftest",
     .place = 9,
     .summary = "coverage of the intervals, accuracy of the clocks, cost of a sample",
     .add = [](CLI::App& app, Session& session) {
       auto replicates = std::make_shared<std::size_t>(100);
       auto device = std::make_shared<std::string>("cpu");
       app.add_option("--device", *device, "cpu, or cuda:N for its clocks and the cost of its samples")
           ->option_text("DEVICE");
       app.add_option("--replicates", *replicates, "per noise model")
           ->check(CLI::Range(10, 100000))
           ->option_text("N");
       app.callback([replicates, device, &session] { selftest(*replicates, *device, session); });
     }}};

}  // namespace
}  // namespace chokepoint
