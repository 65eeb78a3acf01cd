// Caps memory bandwidth of any kernel by interference, where copy engines cannot take enough: copies on some of the
// multiprocessors take what it is not to have. How fast they go is found by probes, as with engines.
//
// They run on the last multiprocessors. A kernel whose compute is capped runs on the first ones, apart from them where
// both fit; any other runs everywhere and shares theirs, or waits for the rest where its blocks do not fit beside them:
// it loses some arithmetic too.
#include <fmt/format.h>

#include "harness/caps/cap.hpp"
#include "harness/caps/tuning.hpp"

namespace chokepoint {
namespace {

// Traffic that may be asked for; what multiprocessors cannot do shows in the probe.
constexpr double kMostOfMultiprocessors = 2.0;

class Copying final : public InstalledCap {
 public:
  Copying(Device& device, double rate)
      : rate_(rate),
        total_(device.facts().workers),
        traffic_(device.background_traffic(multiprocessors_for_traffic(rate, total_))) {}
  void engage() override { traffic_->start(rate_); }
  void release() noexcept override { traffic_->stop(); }
  void reset_tally() override {}
  Delivered delivered(double) const override {
    traffic_->moved_bytes();  // throws what it met
    return {};
  }
  bool device_wide() const override { return true; }
  std::optional<std::string> mechanism() const override {
    return fmt::format("interference (copies on {} of {} multiprocessors)", traffic_->multiprocessors(), total_);
  }

 private:
  double rate_;
  int total_;
  std::unique_ptr<BackgroundTraffic> traffic_;
};

const Register<Cap> cuda_multiprocessor_traffic_cap{
    {.name = "multiprocessor_traffic",
     .resource = Resource::memory,
     .device = "cuda",
     .mechanism = "interference (multiprocessors)",
     .needs = "a driver for CUDA 12.5 or later, 512 MiB of the GPU's memory and up to half of its SMs; no "
              "privileges",
     .kernel_charges = false,
     .preference = 1,
     .least_headroom = 1.0,
     .install = [](const CapPlan& plan, Device& device, Pace&) -> std::unique_ptr<InstalledCap> {
       return std::make_unique<Copying>(device, plan.setting.value_or(plan.ceiling - plan.requested));
     },
     .tune = [](const CapPlan& plan, const DeviceFacts&, const DeliveredWith& delivered) -> double {
       return tune_traffic(plan.requested, plan.ceiling, kMostOfMultiprocessors * plan.ceiling, delivered);
     }}};

}  // namespace
}  // namespace chokepoint
