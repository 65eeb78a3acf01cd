// What is a cap? A limit on one resource that is installed into a launch's pace, engaged while sampling, and
// whose effect is counted by a clock of its own. One file per cap; how it is probed is said by the operations
// (kernel.hpp).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "harness/base/registry.hpp"
#include "harness/device/device.hpp"
#include "harness/model/emulation.hpp"
#include "harness/caps/tallied_clock.hpp"
#include "harness/model/record.hpp"
#include "kernels/pace.hpp"

namespace chokepoint {

// Delivered during a stretch of sampling, seen by the cap.
struct Delivered {
  double charged = 0.0;        // amount that kernels charged
  std::optional<double> rate;  // amount per second while the resource was in use; absent when it was not
  std::optional<double> busy_share;  // of the elapsed time
};

// A cap in force or ready to be. Destruction lifts it on every way out.
class InstalledCap {
 public:
  virtual ~InstalledCap() = default;
  virtual void engage() = 0;
  virtual void release() noexcept = 0;
  virtual void reset_tally() = 0;
  virtual Delivered delivered(double elapsed_s) const = 0;
};

struct Cap {
  std::string name;  // the resource's name
  Resource resource = Resource::compute;
  std::string device;     // kind of device it works on
  std::string mechanism;  // as records call it
  std::string needs;      // privileges or hardware, in words
  // Puts its clocks into `pace`, which must not outlive the result.
  std::function<std::unique_ptr<InstalledCap>(const CapPlan&, Device&, Pace& pace)> install;
};

// One cap per resource and kind of device.
template <>
inline std::string registry_key<Cap>(const Cap& cap) {
  return cap.device + "/" + cap.name;
}

// The cap of a resource on a kind of device; null when there is none.
const Cap* find_cap(Resource resource, const std::string& device);

// Rate is charged / elapsed: for resources that all of a launch shares (compute, memory).
std::unique_ptr<InstalledCap> share_capped_by_clock(const CapPlan& plan, std::unique_ptr<TalliedClock> clock,
                                                    ResourceClock*& slot);

// Rate is charged / time in transfer, per direction: for wires, which idle between messages.
std::unique_ptr<InstalledCap> wire_capped_by_clocks(const CapPlan& plan, std::unique_ptr<TalliedClock> sender,
                                                    std::unique_ptr<TalliedClock> receiver, ResourceClock*& send,
                                                    ResourceClock*& receive);

// Tolerance within which a delivered rate counts as the requested one.
inline constexpr double kCapTolerance = 0.02;

// design.md section 5. leaked: some probe, or the run, got more than was granted. missed: a probe got less,
// the probes are not linear, or a wire in use was slower than granted. unverified: a probe is missing.
CapStatus judge(const CapRecord& cap);

}  // namespace chokepoint
