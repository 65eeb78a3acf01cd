// What do the caps of a group's targets deliver, in probes around the run and to the launches themselves?
#pragma once

#include <map>
#include <set>
#include <tuple>

#include "harness/run/arm.hpp"
#include "harness/run/probe.hpp"

namespace chokepoint {

// Targets of a comparison share most caps: each (resource, rate) is probed once per phase. What acts on the whole
// device acts on native resources too, so those are probed beside it.
class CapProbes {
 public:
  CapProbes(Prober& prober, Device& device, Dtype dtype) : prober_(prober), device_(device), dtype_(dtype) {}

  void before(Arm& arm);  // at the requested rate, and at 50 and 75 % of it where a clock holds it
  void after(Arm& arm);
  void next_phase() { probes_.clear(); }

 private:
  double delivered(const Arm& arm, std::size_t i, const CapPlan& plan);

  Prober& prober_;
  Device& device_;
  Dtype dtype_;
  std::map<std::tuple<Resource, double, double, const Arm*>, double> probes_;
  std::set<Resource> ready_;  // native ones whose probe has run without traffic
};

// What its caps counted while it was sampled; a complaint where that is not the operation's work.
void note_delivered(Arm& arm);

}  // namespace chokepoint
