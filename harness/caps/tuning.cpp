#include "harness/caps/tuning.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "harness/base/error.hpp"
#include "harness/base/units.hpp"
#include "harness/device/multiprocessors.hpp"

namespace chokepoint {
namespace {

constexpr const char* kRemedy = "use a kernel that charges memory, or a target with less of it capped";

// Of one that has 64 KiB of reads in flight (background_traffic.cuh), at a latency of 3.3 us.
constexpr double kTrafficPerMultiprocessor_bytes_per_s = 40e9;

// Between `low` and `high`, where a line through both ends meets `wanted`, away from the ends so that the bracket
// shrinks from both sides.
double inside(double low, double rate_low, double high, double rate_high, double wanted) {
  const double share = rate_low > rate_high ? (rate_low - wanted) / (rate_low - rate_high) : 0.5;
  return low + std::clamp(share, 0.1, 0.9) * (high - low);
}

}  // namespace

int tune_multiprocessors(double requested, double ceiling, int total, const DeliveredWith& delivered) {
  std::map<int, double> rates;
  int count = nearest_partition(requested / ceiling * total, total);
  while (!rates.contains(count)) {
    const double rate = rates[count] = delivered(count);
    const int scaled = nearest_partition(count * requested / rate, total);
    if (scaled != count) {
      count = scaled;
    } else {
      // The neighbour on the other side of the request may still be closer.
      count = nearest_partition(rate < requested ? count + kMultiprocessorStep : count - kMultiprocessorStep, total);
    }
  }
  const auto closer = [&](const auto& a, const auto& b) {
    return std::abs(a.second - requested) < std::abs(b.second - requested);
  };
  return std::min_element(rates.begin(), rates.end(), closer)->first;
}

int multiprocessors_for_traffic(double traffic, int total) {
  const int most = std::max(1, total / 2 / kMultiprocessorStep) * kMultiprocessorStep;
  const double steps = std::ceil(traffic / kTrafficPerMultiprocessor_bytes_per_s / kMultiprocessorStep);
  return static_cast<int>(std::clamp(steps * kMultiprocessorStep, double{kMultiprocessorStep}, double(most)));
}

double tune_traffic(double requested, double ceiling, double most, const DeliveredWith& delivered) {
  double low = 0.0, rate_low = ceiling;
  std::optional<double> high;
  double rate_high = 0.0, setting = std::clamp(ceiling - requested, 0.0, most);
  for (int probe = 0; probe < kMostTuningProbes; ++probe) {
    const double rate = delivered(setting);
    if (std::abs(rate / requested - 1.0) <= kTuningTolerance) return setting;
    if (rate > requested) {
      if (setting >= most)
        throw Error(Fault::cap_not_held,
                    fmt::format("traffic of {} still leaves the probe {}, more than the {} asked for",
                                with_unit(most, "B/s"), with_unit(rate, "B/s"), with_unit(requested, "B/s")),
                    kRemedy);
      low = setting;
      rate_low = rate;
    } else {
      high = setting;
      rate_high = rate;
    }
    setting = high ? inside(low, rate_low, *high, rate_high, requested)
                   : std::min(most, std::max(2.0 * setting, setting + 1.5 * (rate - requested)));
  }
  throw Error(Fault::cap_not_held,
              fmt::format("no traffic was found beside which a probe gets {} within {:.0f} %, in {} probes",
                          with_unit(requested, "B/s"), 100 * kTuningTolerance, kMostTuningProbes),
              kRemedy);
}

}  // namespace chokepoint
