#include "harness/caps/shared_clocks.hpp"

#include <utility>

namespace chokepoint {

// On the host it hands on what it is charged; on a GPU it is memory that a target's clock is copied to.
class SharedClock final : public ResourceClock {
 public:
  explicit SharedClock(std::shared_ptr<void> memory) : memory_(std::move(memory)) {}

  DeviceClock* on_device() const override { return static_cast<DeviceClock*>(memory_.get()); }
  void become(ResourceClock* own) { own_ = own; }  // null: nobody's turn

  Moment reserve(double amount) override { return own_ != nullptr ? own_->reserve(amount) : Moment::clock::now(); }
  Moment reserve_message(double amount) override {
    return own_ != nullptr ? own_->reserve_message(amount) : Moment::clock::now();
  }
  void wait(Moment ready) override {
    if (own_ != nullptr) own_->wait(ready);
  }

 private:
  std::shared_ptr<void> memory_;  // null on the host
  ResourceClock* own_ = nullptr;
};

bool have_same_clocks(const Pace& a, const Pace& b) {
  for (const auto clock : kPaceClocks)
    if ((a.*clock == nullptr) != (b.*clock == nullptr)) return false;
  return true;
}

SharedClocks::SharedClocks(Device& device, const Pace& like) : device_(device) {
  for (const auto clock : kPaceClocks) {
    if (like.*clock == nullptr) continue;
    std::shared_ptr<void> memory;
    if ((like.*clock)->on_device() != nullptr) {
      memory = device.allocate(sizeof(DeviceClock));
      const DeviceClock released;
      device.upload(memory.get(), &released, sizeof released);
    }
    pace_.*clock = clocks_.emplace_back(std::make_unique<SharedClock>(std::move(memory))).get();
  }
}

SharedClocks::~SharedClocks() = default;

void SharedClocks::begin_turn(const Pace& own, void* stream) { copy(own, false, stream); }
void SharedClocks::end_turn(const Pace& own, void* stream) { copy(own, true, stream); }

void SharedClocks::copy(const Pace& own, bool back, void* stream) {
  std::vector<DeviceCopy> copies;
  for (const auto clock : kPaceClocks) {
    if (pace_.*clock == nullptr) continue;
    static_cast<SharedClock*>(pace_.*clock)->become(back ? nullptr : own.*clock);
    DeviceClock *shared = (pace_.*clock)->on_device(), *owned = (own.*clock)->on_device();
    if (shared != nullptr) copies.push_back({back ? owned : shared, back ? shared : owned, sizeof(DeviceClock)});
  }
  if (!copies.empty()) device_.enqueue_copies(copies, stream);
}

}  // namespace chokepoint
