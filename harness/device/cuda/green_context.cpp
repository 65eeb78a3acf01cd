#include "harness/device/cuda/green_context.hpp"

#include <map>
#include <mutex>
#include <utility>

#include "harness/device/cuda/green_part.hpp"
#include "harness/device/cuda/multiprocessors_used.hpp"

namespace chokepoint {
namespace {

LanePlace place_on(const StreamOnPart& part) { return {part.stream(), part.multiprocessors()}; }

// What was there before comes back when it is left.
class Detour {
 public:
  explicit Detour(LanePlaces& places) : places_(places) {}
  ~Detour() { leave(); }
  Detour(const Detour&) = delete;
  Detour& operator=(const Detour&) = delete;

  void enter(const LanePlaces& inside) {
    if (std::exchange(entered_, true)) return;
    outside_ = std::exchange(places_, inside);
  }
  void leave() noexcept {
    if (std::exchange(entered_, false)) places_ = outside_;
  }

 private:
  LanePlaces& places_;
  LanePlaces outside_;
  bool entered_ = false;
};

class GreenContext final : public Restriction {
 public:
  GreenContext(int wanted, int total, LanePlaces& places)
      : part_(first_multiprocessors(wanted)), total_(total), places_(places), detour_(places) {}

  int multiprocessors() const override { return part_->multiprocessors(); }
  std::vector<int> ran_on() override { return multiprocessors_used(part_->stream(), total_); }
  void enter() override { detour_.enter({.compute = place_on(*part_), .wire = places_.wire}); }
  void leave() noexcept override { detour_.leave(); }

 private:
  const std::unique_ptr<StreamOnPart> part_;
  int total_;
  const LanePlaces& places_;
  Detour detour_;
};

// One pair for many targets of a comparison: their launches are timed under the same conditions, and nobody says how
// many green contexts a device can have.
std::shared_ptr<const TwoParts> shared_parts(cudaStream_t within, int wire_wanted) {
  static std::mutex mutex;
  static std::map<std::pair<cudaStream_t, int>, std::weak_ptr<const TwoParts>> made;
  const std::lock_guard lock(mutex);
  std::weak_ptr<const TwoParts>& known = made[{within, wire_wanted}];
  if (auto found = known.lock()) return found;
  auto fresh = std::make_shared<const TwoParts>(two_parts_of(within, wire_wanted));
  known = fresh;
  return fresh;
}

class GreenLanes final : public LanesApart {
 public:
  GreenLanes(int wire_wanted, int total, LanePlaces& places)
      : parts_(shared_parts(places.compute.stream, wire_wanted)), total_(total), detour_(places) {}

  int multiprocessors(Lane lane) const override { return part(lane).multiprocessors(); }
  std::vector<int> ran_on(Lane lane) override {
    const auto used = multiprocessors_used_in_graph(parts_->compute->stream(), parts_->wire->stream(), total_);
    return lane == Lane::compute ? used.first : used.second;
  }
  void enter() override {
    detour_.enter({.compute = place_on(*parts_->compute), .wire = place_on(*parts_->wire), .apart = true});
  }
  void leave() noexcept override { detour_.leave(); }

 private:
  const StreamOnPart& part(Lane lane) const { return lane == Lane::compute ? *parts_->compute : *parts_->wire; }

  std::shared_ptr<const TwoParts> parts_;
  int total_;
  Detour detour_;
};

}  // namespace

std::unique_ptr<Restriction> green_context(int wanted, int total, LanePlaces& places) {
  return std::make_unique<GreenContext>(wanted, total, places);
}

std::unique_ptr<LanesApart> green_lanes(int wire_wanted, int total, LanePlaces& places) {
  return std::make_unique<GreenLanes>(wire_wanted, total, places);
}

}  // namespace chokepoint
