// How is memory bandwidth taken from a kernel that knows nothing of it? By copies beside it, kept at a rate by a
// thread of the host.
#pragma once

#include <atomic>
#include <exception>
#include <memory>
#include <thread>

#include "harness/device/device.hpp"

namespace chokepoint {

class TrafficGenerator {
 public:
  // Bytes read plus written per second. Throws Error{unsupported} where the device cannot; idle at first.
  TrafficGenerator(Device& device, double rate);
  ~TrafficGenerator() { stop(); }
  TrafficGenerator(const TrafficGenerator&) = delete;
  TrafficGenerator& operator=(const TrafficGenerator&) = delete;

  void start();  // returns once it is at its pace; rethrows what its thread met, now or before
  void stop() noexcept;
  void rethrow() const;  // what its thread met, if anything

 private:
  void generate();

  double rate_;
  std::unique_ptr<BackgroundCopies> copies_;
  std::atomic<bool> stopping_{false}, settled_{false};
  std::exception_ptr trouble_;  // written by the thread before settled_, or before it ends
  std::thread thread_;
};

}  // namespace chokepoint
