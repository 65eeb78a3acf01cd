#include "harness/meters/power_polls.hpp"

#include <utility>

namespace chokepoint {

PowerPolls::PowerPolls(EnergyCounter& counter, std::string source, double now_s, double period_s)
    : counter_(counter),
      source_(std::move(source)),
      period_s_(period_s),
      first_s_(now_s),
      last_s_(now_s),
      first_j_(counter.joule()),
      last_j_(first_j_) {}

void PowerPolls::read(double now_s) {
  const double joule = counter_.joule(), stretch_s = now_s - last_s_;
  if (stretch_s > 0.0) points_.push_back({0.5 * (now_s + last_s_) - first_s_, (joule - last_j_) / stretch_s, {}, {}});
  last_s_ = now_s;
  last_j_ = joule;
}

void PowerPolls::poll(double now_s) {
  if (now_s - last_s_ >= period_s_) read(now_s);
}

double PowerPolls::finish(double now_s) {
  read(now_s);
  return last_j_ - first_j_;
}

std::optional<RecordedTrace> PowerPolls::trace() const {
  if (points_.size() < 2) return std::nullopt;
  return RecordedTrace{
      .source = source_, .load = "sampling", .points = thinned(points_), .windows_s = {{0.0, last_s_ - first_s_}}};
}

}  // namespace chokepoint
