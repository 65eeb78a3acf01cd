// Caps arithmetic of any kernel: it runs on a part of the multiprocessors. Their share of caches, memory and links
// is not taken away with them.
#include <fmt/format.h>

#include "harness/base/error.hpp"
#include "harness/caps/cap.hpp"
#include "harness/caps/tuning.hpp"
#include "harness/device/multiprocessors.hpp"

namespace chokepoint {
namespace {

class FewerMultiprocessors final : public InstalledCap {
 public:
  FewerMultiprocessors(Device& device, int wanted)
      : restriction_(device.restrict_multiprocessors(wanted)), total_(device.facts().workers) {
    const std::vector<int> ran_on = restriction_->ran_on();
    if (!within_partition(ran_on, restriction_->multiprocessors()))
      throw Error(Fault::cap_not_held,
                  fmt::format("a kernel granted {} multiprocessors ran on {}", restriction_->multiprocessors(),
                              ran_on.size()),
                  "see whether the GPU is shared through MPS");
  }

  // What was made under hold() stays restricted, and nothing else ever is.
  void engage() override {}
  void release() noexcept override {}
  void reset_tally() override {}
  Delivered delivered(double) const override { return {}; }

  void hold(const std::function<void()>& enqueue) override {
    struct Leave {
      Restriction& restriction;
      ~Leave() { restriction.leave(); }
    } const leave{*restriction_};
    restriction_->enter();
    enqueue();
  }
  std::optional<std::string> mechanism() const override {
    return fmt::format("green context, {} of {} SMs", restriction_->multiprocessors(), total_);
  }
  double tolerance() const override {
    return std::max(kCapTolerance, half_step(restriction_->multiprocessors()));
  }

 private:
  std::unique_ptr<Restriction> restriction_;
  int total_;
};

const Register<Cap> cuda_green_context_cap{
    {.name = "green_context",
     .resource = Resource::compute,
     .device = "cuda",
     .mechanism = "green context",
     .needs = "a driver for CUDA 12.5 or later; no privileges",
     .kernel_charges = false,
     .least_headroom = 1.0,
     .install =
         [](const CapPlan& plan, Device& device, Pace&) -> std::unique_ptr<InstalledCap> {
       const int total = device.facts().workers;
       const double wanted = plan.setting.value_or(plan.requested / plan.ceiling * total);
       return std::make_unique<FewerMultiprocessors>(device, nearest_partition(wanted, total));
     },
     .tune = [](const CapPlan& plan, const DeviceFacts& facts, const DeliveredWith& delivered) -> double {
       return tune_multiprocessors(plan.requested, plan.ceiling, facts.workers, delivered);
     }}};

}  // namespace
}  // namespace chokepoint
