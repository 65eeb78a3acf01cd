#include "harness/run/wire_lanes.hpp"

#include <fmt/format.h>

#include <vector>

#include "harness/base/error.hpp"
#include "harness/device/multiprocessors.hpp"
#include "harness/run/in_turn.hpp"

namespace chokepoint {
namespace {

// By %smid, as a part for compute is.
void require_apart(LanesApart& lanes) {
  const std::vector<int> compute = lanes.ran_on(Lane::compute), wire = lanes.ran_on(Lane::wire);
  if (within_partition(compute, lanes.multiprocessors(Lane::compute)) &&
      within_partition(wire, lanes.multiprocessors(Lane::wire)) && are_apart(compute, wire))
    return;
  throw Error(Fault::unsupported,
              fmt::format("kernels granted {} multiprocessors and {} others ran on {} and {}",
                          lanes.multiprocessors(Lane::compute), lanes.multiprocessors(Lane::wire), compute.size(),
                          wire.size()),
              "see whether the GPU is shared through MPS");
}

// While `error` is handled: throws it where it is no refusal of a device that goes on working.
void require_refusal(const Error& error, Device& device) {
  if (error.fault() != Fault::unsupported && error.fault() != Fault::device) throw;
  device.finish();
}

}  // namespace

WireLanes::WireLanes(Device& device, int wanted, std::span<const std::unique_ptr<InstalledCap>> caps)
    : device_(&device) {
  if (wanted <= 0) return;
  try {
    hold_under(caps, [&] { apart_ = device.lanes_apart(wanted); });
    require_apart(*apart_);
  } catch (const Error& error) {
    require_refusal(error, device);
    stay_together(error.message());
  }
}

void WireLanes::hold(const std::function<void()>& work) const {
  if (!apart_) return work();
  struct Leave {
    LanesApart& lanes;
    ~Leave() { lanes.leave(); }
  } const leave{*apart_};
  apart_->enter();
  work();
}

void WireLanes::hold_if_taken(const std::function<void()>& work) {
  std::string refusal;
  hold([&] {
    try {
      work();
    } catch (const Error& error) {
      if (!apart_) throw;
      require_refusal(error, *device_);
      refusal = error.message();
    }
  });
  if (refusal.empty()) return;
  stay_together(refusal);
  work();
}

void WireLanes::stay_together(const std::string& why) {
  apart_.reset();
  why_together_ = why;
}

void WireLanes::note(Record& record) const {
  if (apart_) {
    record.provenance["wire_multiprocessors"] = multiprocessors(Lane::wire);
    record.provenance["product_multiprocessors"] = multiprocessors(Lane::compute);
  }
  if (!why_together_.empty())
    record.reason += (record.reason.empty() ? "" : "; ") +
                     fmt::format("the wire shared SMs with the products, and may have waited for them: {}", why_together_);
}

}  // namespace chokepoint
