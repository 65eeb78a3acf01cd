#include "harness/meters/meter.hpp"

namespace chokepoint {

std::optional<OpenMeter> open_meter(const std::string& device) {
  for (const EnergyMeter& meter : Registry<EnergyMeter>::instance().all())
    if (meter.device == device)
      if (std::unique_ptr<EnergyCounter> counter = meter.open()) return OpenMeter{&meter, std::move(counter)};
  return std::nullopt;
}

}  // namespace chokepoint
