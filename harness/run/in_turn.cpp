#include "harness/run/in_turn.hpp"

#include <algorithm>

namespace chokepoint {
namespace {

bool has_device_wide(const Contender& contender) {
  return std::any_of(contender.caps.begin(), contender.caps.end(),
                     [](const auto& cap) { return cap && cap->device_wide(); });
}

std::vector<double> time_alone(Device& device, const Contender& contender, std::size_t samples) {
  struct Release {
    const Contender& contender;
    ~Release() { release_caps(contender, true); }
  } const release{contender};
  engage_caps(contender, true);
  const std::vector<LaunchTimer*> order(samples, contender.timer);
  return device.time_in_turn(order);
}

}  // namespace

void hold_under(std::span<const std::unique_ptr<InstalledCap>> caps, const std::function<void()>& enqueue) {
  if (caps.empty()) return enqueue();
  const auto rest = [&] { hold_under(caps.subspan(1), enqueue); };
  if (caps.front())
    caps.front()->hold(rest);
  else
    rest();
}

void engage_caps(const Contender& contender, bool device_wide) {
  for (const auto& cap : contender.caps)
    if (cap && cap->device_wide() == device_wide) cap->engage();
}

void release_caps(const Contender& contender, bool device_wide) noexcept {
  for (const auto& cap : contender.caps)
    if (cap && cap->device_wide() == device_wide) cap->release();
}

std::vector<double> time_contenders(Device& device, std::span<const Contender* const> order) {
  if (std::none_of(order.begin(), order.end(), [](const Contender* one) { return has_device_wide(*one); })) {
    std::vector<LaunchTimer*> timers;
    for (const Contender* contender : order) timers.push_back(contender->timer);
    return device.time_in_turn(timers);
  }
  std::vector<double> times;
  while (times.size() < order.size()) {
    const auto begin = order.begin() + static_cast<std::ptrdiff_t>(times.size());
    const auto end = std::find_if(begin, order.end(), [&](const Contender* one) { return one != *begin; });
    const std::vector<double> turn = time_alone(device, **begin, static_cast<std::size_t>(end - begin));
    times.insert(times.end(), turn.begin(), turn.end());
  }
  return times;
}

}  // namespace chokepoint
