#include "harness/run/controls.hpp"

#include "harness/base/error.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/run/in_turn.hpp"

namespace chokepoint {
namespace {

constexpr int kBlocks = 40;  // A B B A
constexpr double kConfidence = 0.95;

// One launch of a few hundred microseconds on a GPU of this class.
constexpr double kProductFlop = 2.0 * 4096 * 4096 * 4096;
constexpr double kStreamBytes = 1e9;

// One side of the comparison. What holds the launch goes after it, the timer first.
struct Side {
  Pace pace;
  std::vector<std::unique_ptr<InstalledCap>> caps;
  std::unique_ptr<Launch> launch;
  std::unique_ptr<LaunchTimer> timer;

  Contender contender() const { return {timer.get(), caps}; }
};

void make_timer(Device& device, Side& side) {
  hold_under(side.caps, [&] {
    side.timer = device.timer({[&launch = *side.launch] { launch.run(); }});
  });
}

RatioEstimate slowdown(Device& device, const Side& capped, const Side& free) {
  const Contender a = capped.contender(), b = free.contender();
  const std::vector<const Contender*> block = {&a, &b, &b, &a};
  struct Release {
    const Contender& contender;
    ~Release() { release_caps(contender, false); }
  } const release{a};
  engage_caps(a, false);
  time_contenders(device, block);  // the first of each finds cold caches
  std::vector<double> with, without;
  for (int i = 0; i < kBlocks; ++i) {
    const std::vector<double> times = time_contenders(device, block);
    with.insert(with.end(), {times[0], times[3]});
    without.insert(without.end(), {times[1], times[2]});
  }
  return estimate_ratio(with, without, kConfidence);
}

struct Subject {
  Prober::Choice choice;
  Dtype dtype;
  Shape shape;
};

std::optional<Subject> subject(Prober& prober, Resource bound, Dtype dtype, double amount, bool has_to_pace) {
  const std::optional<Prober::Choice> choice = prober.choose(bound, dtype, has_to_pace);
  if (!choice) return std::nullopt;
  const Dtype own = bound == Resource::compute ? dtype : choice->operation->dtypes.front();
  return Subject{*choice, own, complete_shape(*choice->operation, *choice->operation->probe(bound, amount))};
}

Control control(Device& device, Prober& prober, const Subject& subject, const CapPlan& wanted,
                std::span<const Cap* const> mechanisms) {
  const auto [mechanism, plan] = prober.first_that_holds(wanted, subject.dtype, mechanisms);
  const Cap& cap = *mechanism;
  const Kernel& kernel = *subject.choice.kernel;
  const std::unique_ptr<Problem> problem =
      subject.choice.operation->make(subject.shape, subject.dtype, InputSpec{});
  Side capped, free;
  capped.caps.push_back(cap.install(plan, device, capped.pace));
  for (Side* side : {&capped, &free}) {
    side->launch = kernel.prepare(*problem, device, side->pace);
    make_timer(device, *side);
  }
  Control result;
  result.work = fmt::format("{}/{} {} {}", subject.choice.operation->name, kernel.name, to_string(subject.dtype),
                            subject.shape.text());
  result.capped = cap.resource;
  result.mechanism = capped.caps.front()->mechanism().value_or(cap.mechanism);
  result.requested = plan.requested;
  result.slowdown = slowdown(device, capped, free);
  return result;
}

}  // namespace

bool Control::good() const {
  const double least = slowdown.interval ? slowdown.interval->low : slowdown.ratio;
  return least <= 1.0 + kControlTolerance;
}

std::vector<Control> negative_controls(Device& device, Prober& prober, double memory, double link) {
  std::vector<Control> controls;
  const auto plan = [](Resource resource, double ceiling) {
    return CapPlan{.demand = {.resource = resource}, .requested = ceiling / kPacingHeadroom, .ceiling = ceiling};
  };
  for (bool clock : {true, false}) {
    const std::optional<Subject> product =
        subject(prober, Resource::compute, Dtype::bf16, kProductFlop, clock);
    const std::vector<const Cap*> caps = find_caps(Resource::memory, device.facts().kind, clock);
    if (product && !caps.empty() && product->choice.kernel->charges(Resource::memory) == clock) try {
        controls.push_back(control(device, prober, *product, plan(Resource::memory, memory), caps));
      } catch (const Error& error) {
        if (!is_out_of_reach(error)) throw;  // a cap that cannot be had leaks into nothing
      }
  }
  const std::optional<Subject> stream = subject(prober, Resource::memory, Dtype::f32, kStreamBytes, true);
  const std::vector<const Cap*> caps = find_caps(Resource::link, device.facts().kind);
  if (stream && !caps.empty())
    controls.push_back(control(device, prober, *stream, plan(Resource::link, link), caps));
  return controls;
}

}  // namespace chokepoint
