#include "harness/caps/rate_controller.hpp"

#include <cmath>

namespace chokepoint {
namespace {

constexpr double kTicksInFlight = 4.0;

}  // namespace

RateController::RateController(double target_rate, double tick_s, double granule)
    : target_rate_(target_rate),
      ahead_(std::max(target_rate * tick_s, granule)),
      granule_(granule),
      most_(kTicksInFlight * ahead_) {}

double RateController::next_burst(double elapsed_s, double done_bytes) {
  in_flight_ = std::max(0.0, in_flight_ - done_bytes);
  owed_ = std::clamp(owed_ + target_rate_ * elapsed_s - done_bytes, -most_, most_);
  const double wanted = std::min(owed_ + ahead_, most_) - in_flight_;
  const double burst = std::max(0.0, std::floor(wanted / granule_)) * granule_;
  in_flight_ += burst;
  return burst;
}

}  // namespace chokepoint
