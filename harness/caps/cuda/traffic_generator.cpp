#include "harness/caps/cuda/traffic_generator.hpp"

#include <chrono>

#include "harness/caps/rate_controller.hpp"

namespace chokepoint {
namespace {

using Clock = std::chrono::steady_clock;

// Short beside the kernels that are to feel it, long beside the few microseconds that a launch takes.
constexpr std::chrono::microseconds kTick{50};
constexpr double kTick_s = 50e-6;
constexpr double kGranule = 2 << 20;
constexpr std::chrono::milliseconds kSettling{2};

}  // namespace

TrafficGenerator::TrafficGenerator(Device& device, double rate)
    : rate_(rate), copies_(device.background_copies()) {}

void TrafficGenerator::start() {
  stop();
  rethrow();
  stopping_ = settled_ = false;
  thread_ = std::thread([this] { generate(); });
  while (!settled_) std::this_thread::yield();
  rethrow();
}

void TrafficGenerator::stop() noexcept {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

void TrafficGenerator::rethrow() const {
  if (trouble_) std::rethrow_exception(trouble_);
}

void TrafficGenerator::generate() {
  try {
    RateController controller(rate_, kTick_s, kGranule);
    copies_->take_done_bytes();  // left over from before
    const Clock::time_point start = Clock::now();
    for (Clock::time_point last = start; !stopping_;) {
      Clock::time_point now;
      while ((now = Clock::now()) - last < kTick) {
      }
      const double done = static_cast<double>(copies_->take_done_bytes());
      const double burst = controller.next_burst(std::chrono::duration<double>(now - last).count(), done);
      if (burst > 0.0) copies_->enqueue(static_cast<std::size_t>(burst));
      last = now;
      if (now - start > kSettling) settled_ = true;
    }
  } catch (...) {
    trouble_ = std::current_exception();
  }
  settled_ = true;
}

}  // namespace chokepoint
