// Which clocks do kernel tests pace with? One that counts and never waits, and one that keeps time at a given
// rate.
#pragma once

#include <algorithm>
#include <chrono>
#include <mutex>
#include <thread>

#include "kernels/kernel.hpp"

namespace chokepoint {

// Counts what is booked and how often it is waited for; always ready.
class CountingClock : public ResourceClock {
 public:
  Moment reserve(double amount) override {
    const std::lock_guard lock(mutex_);
    amount_ += amount;
    ++reservations_;
    largest_ = std::max(largest_, amount);
    return Moment{};
  }
  Moment reserve_message(double amount) override {
    {
      const std::lock_guard lock(mutex_);
      ++messages_;
    }
    return reserve(amount);
  }
  void wait(Moment) override {
    const std::lock_guard lock(mutex_);
    ++waits_;
  }

  double amount() const { return amount_; }
  double largest() const { return largest_; }
  int reservations() const { return reservations_; }
  int messages() const { return messages_; }
  int waits() const { return waits_; }

 private:
  std::mutex mutex_;
  double amount_ = 0.0, largest_ = 0.0;
  int reservations_ = 0, messages_ = 0, waits_ = 0;
};

inline Moment::duration ticks(double seconds) {
  return std::chrono::duration_cast<Moment::duration>(std::chrono::duration<double>(seconds));
}

// Serialises what is booked at `per_s`, and adds `latency_s` to every message.
class RateClock : public ResourceClock {
 public:
  explicit RateClock(double per_s, double latency_s = 0.0) : per_s_(per_s), latency_s_(latency_s) {}

  Moment reserve(double amount) override {
    const std::lock_guard lock(mutex_);
    busy_until_ = std::max(busy_until_, std::chrono::steady_clock::now()) + ticks(amount / per_s_);
    return busy_until_;
  }
  Moment reserve_message(double amount) override { return reserve(amount) + ticks(latency_s_); }
  void wait(Moment ready) override { std::this_thread::sleep_until(ready); }

 private:
  std::mutex mutex_;
  double per_s_, latency_s_;
  Moment busy_until_{};
};

// Time that passes only while somebody waits: what a launch would take if its own work took none, to the
// nanosecond and whatever else the machine does.
class Timeline {
 public:
  Moment now() const {
    const std::lock_guard lock(mutex_);
    return now_;
  }
  void advance_to(Moment moment) {
    const std::lock_guard lock(mutex_);
    now_ = std::max(now_, moment);
  }
  double elapsed_s() const { return std::chrono::duration<double>(now() - Moment{}).count(); }

 private:
  mutable std::mutex mutex_;
  Moment now_{};
};

// A rate clock on a timeline. Clocks of one timeline see each other's waits.
class TimelineClock : public ResourceClock {
 public:
  TimelineClock(Timeline& timeline, double per_s, double latency_s = 0.0)
      : timeline_(timeline), per_s_(per_s), latency_s_(latency_s) {}

  Moment reserve(double amount) override {
    const std::lock_guard lock(mutex_);
    busy_until_ = std::max(busy_until_, timeline_.now()) + ticks(amount / per_s_);
    return busy_until_;
  }
  Moment reserve_message(double amount) override { return reserve(amount) + ticks(latency_s_); }
  void wait(Moment ready) override { timeline_.advance_to(ready); }

 private:
  std::mutex mutex_;
  Timeline& timeline_;
  double per_s_, latency_s_;
  Moment busy_until_{};
};

// The shortest of up to twenty tries; ends early at `enough_s`. On a busy machine any single try may be late.
template <class Body>
double least_seconds_of(const Body& body, double enough_s) {
  double least_s = 1e9;
  for (int attempt = 0; attempt < 20 && least_s > enough_s; ++attempt) {
    const Moment begin = Moment::clock::now();
    body();
    least_s = std::min(least_s, std::chrono::duration<double>(Moment::clock::now() - begin).count());
  }
  return least_s;
}

// A counting clock on every resource.
struct CountingPace {
  CountingClock compute, memory, link_send, link_receive, network_send, network_receive;

  Pace pace() { return {&compute, &memory, &link_send, &link_receive, &network_send, &network_receive}; }
};

}  // namespace chokepoint
