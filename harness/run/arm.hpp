// What is one target of a group while it is measured? Its caps, its launches (its own, or those it shares), its samples, and
// the record that becomes of them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/caps/cap.hpp"
#include "harness/meters/energy.hpp"
#include "harness/model/profile.hpp"
#include "harness/model/record.hpp"
#include "harness/model/stopping.hpp"
#include "harness/run/in_turn.hpp"
#include "harness/run/launch_set.hpp"

namespace chokepoint {

struct Arm {
  Target target;
  Record record;
  std::vector<CapPlan> plans;
  Pace pace;
  std::vector<const Cap*> mechanisms;               // same order as plans; null for native ones
  std::vector<std::unique_ptr<InstalledCap>> caps;  // the same
  std::vector<CapRecord> cap_records;
  std::shared_ptr<LaunchSet> set;
  std::unique_ptr<LaunchTimer> timer;
  std::optional<StoppingRule> rule;
  double sampled_s = 0.0;
  std::optional<EnergyMeasurement> energy;
  std::vector<std::string> complaints;  // why it is no measurement, besides its caps

  // Clocks pace in proportion to their rate; what is tuned is tuned at the one rate.
  bool is_clock(std::size_t i) const { return mechanisms[i] != nullptr && mechanisms[i]->kernel_charges; }
  Contender contender() const { return {timer.get(), caps}; }
  double launches_timed() const {
    return static_cast<double>(rule->samples().size()) * timer->launches_per_sample();
  }
};

}  // namespace chokepoint
