// What is a cap? A limit on one resource that is engaged while sampling. Most are clocks that kernels charge, put
// into a launch's pace, and count what goes through them; others act on any kernel, from outside, and count
// nothing. One file per cap; how it is probed is said by the operations (kernel.hpp).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "harness/base/registry.hpp"
#include "harness/device/device.hpp"
#include "harness/model/emulation.hpp"
#include "harness/caps/tallied_clock.hpp"
#include "harness/model/record.hpp"
#include "kernels/pace.hpp"

namespace chokepoint {

// Delivered during a stretch of sampling, seen by the cap.
struct Delivered {
  std::optional<double> charged = std::nullopt;  // amount that kernels charged; absent when the cap does not count
  // Amount per second while the resource was in use; absent when it was not.
  std::optional<double> rate = std::nullopt;
  std::optional<double> busy_share = std::nullopt;  // of the elapsed time
  double tick_s = 0.0;  // of the timer that says when a wait is over, where it counts (timer_tick.hpp)
  std::optional<double> owed_per_message_s = std::nullopt;  // of a wire, on average
};

// Tolerance within which a delivered rate counts as the requested one.
inline constexpr double kCapTolerance = 0.02;

// By how much native silicon may exceed a ceiling that a target's rate is a ratio of: a GPU's power limit moves its
// clocks by a tenth between a cool and a loaded chip.
inline constexpr double kOwnSiliconTolerance = 0.15;

// A cap in force or ready to be. Destruction lifts it on every way out.
class InstalledCap {
 public:
  virtual ~InstalledCap() = default;
  virtual void engage() = 0;
  virtual void release() noexcept = 0;
  virtual void reset_tally() = 0;
  virtual Delivered delivered(double elapsed_s) const = 0;
  // Takes the plan's rate and latency from the next engage() on, where the same installation can: clocks can.
  virtual bool retune(const CapPlan&) { return false; }

  // Runs `enqueue`, which launches what this cap is to hold, or makes a timer over it. For caps that hang on where
  // work is enqueued; a clock is in the launch already.
  virtual void hold(const std::function<void()>& enqueue) { enqueue(); }
  // Whether, while engaged, it acts on all of the device: then nothing else may be timed meanwhile.
  virtual bool device_wide() const { return false; }
  // The mechanism with what was granted, where that says more than the cap's own.
  virtual std::optional<std::string> mechanism() const { return std::nullopt; }
  virtual double tolerance() const { return kCapTolerance; }  // of delivered rates, relative to the requested one
};

// What a probe gets with a setting of a cap's mechanism.
using DeliveredWith = std::function<double(double setting)>;

struct Cap {
  std::string name;  // the resource's name; of the mechanism where the resource has a clock too
  Resource resource = Resource::compute;
  std::string device;     // kind of device it works on
  std::string mechanism;  // as records call it
  std::string needs;      // privileges or hardware, in words
  bool kernel_charges = true;  // false: works on kernels that do not charge the resource
  int preference = 0;          // of several that would do, the lower one is tried first
  // Ceiling / rate without which it cannot hold the rate. 1 where any rate below the ceiling may be tried and probes
  // say whether it holds: a lower rate would not make that easier.
  double least_headroom = kPacingHeadroom;
  // Puts its clocks into `pace`, which must not outlive the result.
  std::function<std::unique_ptr<InstalledCap>(const CapPlan&, Device&, Pace& pace)> install;
  // Where the mechanism acts on the rate through something else (multiprocessors, traffic of others): finds the
  // plan's `setting` from what a probe gets. Throws Error{cap_not_held} when no setting will do.
  std::function<double(const CapPlan&, const DeviceFacts&, const DeliveredWith&)> tune = nullptr;
};

template <>
inline std::string registry_key<Cap>(const Cap& cap) {
  return cap.device + "/" + cap.name;
}

// The caps of a resource on a kind of device for a kernel that paces the resource (its clock) or does not (what works
// on any kernel), in the order in which they are to be tried.
std::vector<const Cap*> find_caps(Resource resource, const std::string& device, bool kernel_paces = true);

// The first of them; null when there is none.
const Cap* find_cap(Resource resource, const std::string& device, bool kernel_paces = true);

// What a rate needs that one of these is to hold: the headroom of the most demanding, since the dilation is settled
// before they are tried in turn, at the rates that follow from it. A clock's where there are none.
double least_headroom(std::span<const Cap* const> caps);

// Rate is charged / elapsed: for resources that all of a launch shares (compute, memory).
std::unique_ptr<InstalledCap> share_capped_by_clock(const CapPlan& plan, std::unique_ptr<TalliedClock> clock,
                                                    ResourceClock*& slot);

// Rate is that of the plan times the time owed (bytes at that rate, and latency that no bytes hid) / the time taken, per
// direction: for wires, which idle between messages. For long messages that is charged / time in transfer.
std::unique_ptr<InstalledCap> wire_capped_by_clocks(const CapPlan& plan, std::unique_ptr<TalliedClock> sender,
                                                    std::unique_ptr<TalliedClock> receiver, ResourceClock*& send,
                                                    ResourceClock*& receive);

// design.md section 5. leaked: some probe, or the run, got more than was granted. missed: a probe got less,
// the probes are not linear, or a wire in use was slower than granted. unverified: a probe is missing. Within the
// record's own tolerance.
CapStatus judge(const CapRecord& cap);

}  // namespace chokepoint
