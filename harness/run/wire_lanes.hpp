// Does the wire of a launch have multiprocessors of its own? Decided once per target, within its caps, before its
// launches are prepared; the record says how many it had, or why it shared those of the products.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "harness/caps/cap.hpp"
#include "harness/device/device.hpp"
#include "harness/model/record.hpp"

namespace chokepoint {

class WireLanes {
 public:
  WireLanes() = default;  // nothing overlaps, or all is shared
  // `wanted` of the wire, as the kernel says (kernel.hpp); none: nothing overlaps, and every launch has all there are.
  // Where the device cannot divide them the lanes stay together. Outlives neither the caps nor the device.
  WireLanes(Device& device, int wanted, std::span<const std::unique_ptr<InstalledCap>> caps);

  bool apart() const { return apart_ != nullptr; }
  int multiprocessors(Lane lane) const { return apart_->multiprocessors(lane); }  // where they are
  const std::string& why_together() const { return why_together_; }              // where they were to be, and are not

  // Runs `work` with the lanes apart, where they are: it prepares, runs or times launches.
  void hold(const std::function<void()>& work) const;
  // The same. Where a device that goes on working refuses it (a kernel that does not run on a part, a graph that joins
  // two), the lanes stay together for good and `work` is run again.
  void hold_if_taken(const std::function<void()>& work);

  void note(Record& record) const;

 private:
  void stay_together(const std::string& why);

  Device* device_ = nullptr;
  std::unique_ptr<LanesApart> apart_;
  std::string why_together_;  // where a wire that wanted its own has none
};

}  // namespace chokepoint
