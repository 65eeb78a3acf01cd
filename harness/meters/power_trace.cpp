#include "harness/meters/power_trace.hpp"

#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "harness/base/error.hpp"

namespace chokepoint {
namespace {

constexpr int kSlowReadEvery = 8;  // polls; memory and average power are a label and a check

class PollingThread final : public Poller {
 public:
  explicit PollingThread(double period_s) : period_(period_s) {}
  ~PollingThread() override { stop(); }

  void start(std::function<void()> poll) override {
    stop();
    is_stopped_ = false;
    thread_ = std::thread([this, poll = std::move(poll)] {
      while (!is_stopped_) {
        poll();
        std::this_thread::sleep_for(period_);
      }
    });
  }

  void stop() override {
    is_stopped_ = true;
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::chrono::duration<double> period_;
  std::atomic<bool> is_stopped_ = true;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Poller> polling_thread(double period_s) { return std::make_unique<PollingThread>(period_s); }

void TraceRecorder::poll() {
  poll_counter();
  poll_power();
  if (trace_.polls % kSlowReadEvery == 0) {
    add_reading(instrument_.memory_power_w(), trace_.memory_power);
    // Beside a counter it would only make the polls longer.
    if (!last_energy_j_) add_reading(instrument_.average_power_w(), trace_.average_power);
  }
  ++trace_.polls;
}

void TraceRecorder::add_reading(std::optional<double> w, std::vector<PowerPoint>& points) {
  if (!w) return;
  const double now_s = instrument_.now_s();
  if (!points.empty() && points.back().w == *w)
    points.back().last_seen_s = now_s;
  else
    points.push_back({now_s, now_s, *w});
}

// The counter changed after the unchanged reading before began and before this one ended.
void TraceRecorder::poll_counter() {
  const double begin_s = instrument_.now_s();
  const std::optional<double> energy_j = instrument_.energy_j();
  const double end_s = instrument_.now_s();
  if (!energy_j) return;
  trace_.counter_read_s.push_back(end_s - begin_s);
  if (last_energy_j_ && *energy_j < *last_energy_j_)
    throw Error(Fault::device, fmt::format("the energy counter went back from {:.3f} to {:.3f} J", *last_energy_j_, *energy_j),
                "the driver was reloaded during the run; run again");
  if (last_energy_j_ && *energy_j != *last_energy_j_)
    trace_.ticks.push_back({last_counter_poll_s_, end_s, *energy_j});
  last_energy_j_ = energy_j;
  last_counter_poll_s_ = begin_s;
}

// A reading repeats the one before when neither its value nor its stamp moved.
void TraceRecorder::poll_power() {
  const double begin_s = instrument_.now_s();
  const std::optional<InstantPower> power = instrument_.instant_power();
  const double end_s = instrument_.now_s();
  if (!power) return;
  trace_.power_read_s.push_back(end_s - begin_s);
  const double at_s = 0.5 * (begin_s + end_s);
  const bool is_same_value = !trace_.power.empty() && trace_.power.back().w == power->w;
  const bool is_same_stamp = power->stamp_s != 0.0 && last_stamp_s_ == power->stamp_s;
  last_stamp_s_ = power->stamp_s;
  if (!is_same_value)
    trace_.power.push_back({at_s, at_s, power->w});
  else if (!is_same_stamp)
    trace_.power.back().last_seen_s = at_s;
}

PowerRecording::PowerRecording(PowerInstrument& instrument, Poller* poller)
    : recorder_(instrument, trace_), poller_(poller) {
  if (!poller_) poller_ = (own_ = polling_thread()).get();
  poller_->start([this] { poll(); });
}

const PowerTrace& PowerRecording::finish() {
  poller_->stop();
  if (!trace_.trouble.empty())
    throw Error(Fault::io, fmt::format("reading the power stopped: {}", trace_.trouble),
                "see the message; the time of the case is unharmed");
  return trace_;
}

// Runs on the poller's thread, where nothing may throw.
void PowerRecording::poll() noexcept {
  if (!trace_.trouble.empty()) return;
  try {
    recorder_.poll();
  } catch (const std::exception& error) {
    trace_.trouble = error.what();
  }
}

double power_between(const CounterTick& a, const CounterTick& b) {
  return (b.energy_j - a.energy_j) / (b.middle_s() - a.middle_s());
}

}  // namespace chokepoint
