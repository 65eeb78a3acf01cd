// What does an instrument show while something runs? Readings of the counter and of instant power, polled beside the
// load, with the moments between which each was seen. No GPU and no clock of its own in here: whoever reads the power is
// a PowerInstrument.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/meters/power_window.hpp"
#include "harness/model/readings.hpp"

namespace chokepoint {

struct InstantPower {
  double w = 0.0;
  double stamp_s = 0.0;  // the instrument's own time of the reading, to tell repeated readings apart; 0: none
};

// Readings come from one thread at a time; `now_s` and `sleep_s` from any.
class PowerInstrument {
 public:
  virtual ~PowerInstrument() = default;
  virtual std::optional<double> energy_j() = 0;  // since a fixed moment, board
  virtual std::optional<InstantPower> instant_power() = 0;
  virtual std::optional<double> average_power_w() { return std::nullopt; }  // mean of the last second
  virtual std::optional<double> memory_power_w() { return std::nullopt; }   // scope gpu_memory
  virtual Readings state() { return {}; }     // temperature_c, sm_clock_hz, memory_clock_hz: now
  virtual Readings slowed_s() { return {}; }  // by reason, since a fixed moment
  virtual double now_s() = 0;  // steady
  virtual void sleep_s(double seconds) = 0;
};

// Everything seen while polling. A tick is a change of the counter, seen somewhere in (after_s, at_s].
struct CounterTick {
  double after_s = 0.0, at_s = 0.0;
  double energy_j = 0.0;
  double middle_s() const { return 0.5 * (after_s + at_s); }
};
struct PowerTrace {
  std::vector<CounterTick> ticks;
  std::vector<PowerPoint> power;
  std::vector<PowerPoint> memory_power;
  std::vector<PowerPoint> average_power;  // only where there is no counter
  std::vector<double> counter_read_s, power_read_s;  // how long each reading took
  std::int64_t polls = 0;
  std::string trouble;  // what stopped the polling, or empty
};

// Adds what one poll of `instrument` shows. One per trace.
class TraceRecorder {
 public:
  TraceRecorder(PowerInstrument& instrument, PowerTrace& trace) : instrument_(instrument), trace_(trace) {}
  void poll();

 private:
  void poll_counter();
  void poll_power();
  void add_reading(std::optional<double> w, std::vector<PowerPoint>& points);

  PowerInstrument& instrument_;
  PowerTrace& trace_;
  std::optional<double> last_energy_j_;
  double last_counter_poll_s_ = 0.0;  // when the reading before began
  std::optional<double> last_stamp_s_;
};

// Polls beside the load. The default is a thread; tests on a scripted clock poll from the load itself.
class Poller {
 public:
  virtual ~Poller() = default;
  virtual void start(std::function<void()> poll) = 0;
  virtual void stop() = 0;  // no poll runs after it returned
};
std::unique_ptr<Poller> polling_thread(double period_s = 0.002);

// One trace, from construction to `finish`.
class PowerRecording {
 public:
  PowerRecording(PowerInstrument& instrument, Poller* poller);  // null: a thread of its own
  ~PowerRecording() { poller_->stop(); }
  PowerRecording(const PowerRecording&) = delete;
  PowerRecording& operator=(const PowerRecording&) = delete;

  const PowerTrace& finish();  // throws Error{io} when reading had failed

 private:
  void poll() noexcept;

  PowerTrace trace_;
  TraceRecorder recorder_;
  std::unique_ptr<Poller> own_;
  Poller* poller_;
};

// Mean power between two ticks.
double power_between(const CounterTick& a, const CounterTick& b);

}  // namespace chokepoint
