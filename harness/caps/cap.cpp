#include "harness/caps/cap.hpp"

#include <algorithm>

#include "harness/caps/sm_rate.hpp"

namespace chokepoint {
namespace {

class SharedClock final : public InstalledCap {
 public:
  SharedClock(double rate, std::unique_ptr<TalliedClock> clock, ResourceClock*& slot)
      : rate_(rate), clock_(std::move(clock)) {
    slot = clock_.get();
  }
  void engage() override { clock_->engage(); }
  void release() noexcept override { clock_->release(); }
  bool retune(const CapPlan& plan) override {
    rate_ = plan.requested;
    clock_->set_rate(plan.requested, 0.0);
    return true;
  }
  void reset_tally() override { clock_->reset_tally(); }
  Delivered delivered(double elapsed_s) const override {
    const ClockTally tally = clock_->tally();
    if (tally.charged <= 0.0 || elapsed_s <= 0.0) return {tally.charged, std::nullopt, std::nullopt};
    const double rate = tally.charged / elapsed_s;
    return {tally.charged, rate, std::min(1.0, rate / rate_), tally.tick_s};
  }

 private:
  double rate_;
  std::unique_ptr<TalliedClock> clock_;
};

class WireClocks final : public InstalledCap {
 public:
  WireClocks(const CapPlan& plan, std::unique_ptr<TalliedClock> sender, std::unique_ptr<TalliedClock> receiver,
             ResourceClock*& send, ResourceClock*& receive)
      : rate_(plan.requested), send_(std::move(sender)), receive_(std::move(receiver)) {
    send = send_.get();
    receive = receive_.get();
    for (TalliedClock* clock : {send_.get(), receive_.get()}) clock->set_sm_rate(sm_rate_of(plan));
  }
  void engage() override {
    send_->engage();
    receive_->engage();
  }
  void release() noexcept override {
    send_->release();
    receive_->release();
  }
  bool retune(const CapPlan& plan) override {
    rate_ = plan.requested;
    for (TalliedClock* clock : {send_.get(), receive_.get()}) {
      clock->set_rate(plan.requested, plan.latency_s);
      clock->set_sm_rate(sm_rate_of(plan));
    }
    return true;
  }
  void reset_tally() override {
    send_->reset_tally();
    receive_->reset_tally();
  }
  Delivered delivered(double elapsed_s) const override {
    const ClockTally tally = receive_->tally();  // the later of the two directions to be waited for
    if (tally.charged <= 0.0 || tally.active_s <= 0.0) return {tally.charged, std::nullopt, std::nullopt};
    const double owed_s = tally.charged / rate_ + tally.latency_only_s;
    Delivered delivered{tally.charged, rate_ * owed_s / tally.active_s, std::min(1.0, tally.active_s / elapsed_s)};
    delivered.tick_s = tally.tick_s;
    if (tally.messages > 0) delivered.owed_per_message_s = owed_s / static_cast<double>(tally.messages);
    return delivered;
  }

 private:
  double rate_;
  std::unique_ptr<TalliedClock> send_, receive_;
};

}  // namespace

std::vector<const Cap*> find_caps(Resource resource, const std::string& device, bool kernel_paces) {
  std::vector<const Cap*> found;
  for (const Cap& cap : Registry<Cap>::instance().all())
    if (cap.resource == resource && cap.device == device && cap.kernel_charges == kernel_paces) found.push_back(&cap);
  std::stable_sort(found.begin(), found.end(),
                   [](const Cap* a, const Cap* b) { return a->preference < b->preference; });
  return found;
}

const Cap* find_cap(Resource resource, const std::string& device, bool kernel_paces) {
  const std::vector<const Cap*> found = find_caps(resource, device, kernel_paces);
  return found.empty() ? nullptr : found.front();
}

double least_headroom(std::span<const Cap* const> caps) {
  if (caps.empty()) return kPacingHeadroom;
  const auto demands_less = [](const Cap* a, const Cap* b) { return a->least_headroom < b->least_headroom; };
  return (*std::max_element(caps.begin(), caps.end(), demands_less))->least_headroom;
}

std::unique_ptr<InstalledCap> share_capped_by_clock(const CapPlan& plan, std::unique_ptr<TalliedClock> clock,
                                                    ResourceClock*& slot) {
  return std::make_unique<SharedClock>(plan.requested, std::move(clock), slot);
}

std::unique_ptr<InstalledCap> wire_capped_by_clocks(const CapPlan& plan, std::unique_ptr<TalliedClock> sender,
                                                    std::unique_ptr<TalliedClock> receiver, ResourceClock*& send,
                                                    ResourceClock*& receive) {
  return std::make_unique<WireClocks>(plan, std::move(sender), std::move(receiver), send, receive);
}

CapStatus judge(const CapRecord& cap) {
  const bool native = cap.mechanism == "native";
  const double tolerance = native ? kNativeTolerance : cap.tolerance.value_or(kCapTolerance);
  // The host's own silicon plays itself: what it delivers above its ceiling, the target would too.
  const double above = native && cap.target_rate_kind == "ratio" ? kOwnSiliconTolerance : tolerance;
  if (!cap.delivered_before || !cap.delivered_after) return CapStatus::unverified;
  const auto off = [&](double delivered) { return delivered / cap.requested - 1.0; };
  const bool wire = cap.resource == Resource::link || cap.resource == Resource::network;
  if (off(*cap.delivered_before) > above || off(*cap.delivered_after) > above ||
      (cap.delivered_during && off(*cap.delivered_during) > above))
    return CapStatus::leaked;
  if (off(*cap.delivered_before) < -tolerance || off(*cap.delivered_after) < -tolerance ||
      cap.linearity_error.value_or(0.0) > tolerance ||
      (wire && cap.delivered_during && off(*cap.delivered_during) < -tolerance))
    return CapStatus::missed;
  return CapStatus::held;
}

}  // namespace chokepoint
