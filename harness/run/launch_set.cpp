#include "harness/run/launch_set.hpp"

#include <algorithm>

#include "harness/run/arm.hpp"

namespace chokepoint {
namespace {

bool only_clocks_hold(const Arm& arm) {
  return std::all_of(arm.mechanisms.begin(), arm.mechanisms.end(),
                     [](const Cap* cap) { return cap == nullptr || cap->kernel_charges; });
}

bool take_turns(const Arm& a, const Arm& b) {
  return only_clocks_hold(a) && only_clocks_hold(b) && have_same_clocks(a.pace, b.pace);
}

}  // namespace

const Pace& LaunchSet::pace() const { return clocks ? clocks->pace() : arms.front()->pace; }

void LaunchSet::hold(const std::function<void()>& work) const {
  hold_under(arms.front()->caps, [&] { lanes.hold(work); });
}

void LaunchSet::make_timers(Device& device) {
  std::vector<std::function<void()>> runs;
  for (const auto& launch : launches) runs.push_back([&one = *launch] { one.run(); });
  const Arm& first = *arms.front();
  hold_under(first.caps, [&] {
    lanes.hold_if_taken([&] { arms.front()->timer = device.timer(runs); });
  });
  for (Arm* arm : arms) {
    if (arm != arms.front()) arm->timer = first.timer->beside();
    if (!clocks) continue;
    arm->timer->before_sample = [this, arm](void* stream) { clocks->begin_turn(arm->pace, stream); };
    arm->timer->after_sample = [this, arm](void* stream) { clocks->end_turn(arm->pace, stream); };
  }
  if (!clocks) return;
  // A GPU loads code when it is first launched, and may wait for everything enqueued before: not with samples behind a gate.
  hold([&] {
    void* const stream = device.stream(Lane::compute);
    clocks->begin_turn(first.pace, stream);
    clocks->end_turn(first.pace, stream);
  });
  device.finish();
}

std::vector<std::shared_ptr<LaunchSet>> launch_sets(std::vector<Arm>& arms, Device& device, int wire_multiprocessors) {
  std::vector<std::shared_ptr<LaunchSet>> sets;
  for (Arm& arm : arms) {
    const auto found = std::find_if(sets.begin(), sets.end(),
                                    [&](const auto& set) { return take_turns(*set->arms.front(), arm); });
    arm.set = found != sets.end() ? *found : sets.emplace_back(std::make_shared<LaunchSet>());
    arm.set->arms.push_back(&arm);
  }
  for (const auto& set : sets) {
    const Arm& first = *set->arms.front();
    if (set->arms.size() > 1) set->clocks.emplace(device, first.pace);
    set->lanes = WireLanes(device, wire_multiprocessors, first.caps);
  }
  return sets;
}

}  // namespace chokepoint
