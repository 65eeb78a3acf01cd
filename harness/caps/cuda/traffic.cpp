// Caps memory bandwidth of any kernel by interference: copies beside it take what it is not to have. What is left
// depends on how the memory controllers arbitrate, so the amount is found by probes, and it holds for kernels that
// keep memory as busy as the probe does.
#include "harness/caps/cap.hpp"
#include "harness/caps/cuda/traffic_generator.hpp"
#include "harness/caps/tuning.hpp"

namespace chokepoint {
namespace {

constexpr double kMostOfCeiling = 2.0;  // traffic that may be asked for; engines that cannot do it show in the probe

class Interference final : public InstalledCap {
 public:
  Interference(Device& device, double traffic_rate) : generator_(device, traffic_rate) {}
  void engage() override { generator_.start(); }
  void release() noexcept override { generator_.stop(); }
  void reset_tally() override {}
  Delivered delivered(double) const override {
    generator_.rethrow();
    return {};
  }
  bool device_wide() const override { return true; }

 private:
  TrafficGenerator generator_;
};

const Register<Cap> cuda_traffic_cap{
    {.name = "traffic",
     .resource = Resource::memory,
     .device = "cuda",
     .mechanism = "interference (copy engines)",
     .needs = "512 MiB of the GPU's memory and a core of the host; no privileges",
     .kernel_charges = false,
     .least_headroom = 1.0,
     .install = [](const CapPlan& plan, Device& device, Pace&) -> std::unique_ptr<InstalledCap> {
       return std::make_unique<Interference>(device, plan.setting.value_or(plan.ceiling - plan.requested));
     },
     .tune = [](const CapPlan& plan, const DeviceFacts&, const DeliveredWith& delivered) -> double {
       return tune_traffic(plan.requested, plan.ceiling, kMostOfCeiling * plan.ceiling, delivered);
     }}};

}  // namespace
}  // namespace chokepoint
