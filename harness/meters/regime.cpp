#include "harness/meters/regime.hpp"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "harness/model/descriptive.hpp"

namespace chokepoint {
namespace {

Json spread(const std::vector<double>& values) {
  if (values.empty()) return nullptr;
  return {{"min", *quantile(values, 0.0)}, {"median", *quantile(values, 0.5)}, {"max", *quantile(values, 1.0)}};
}

}  // namespace

RegimeSample read_regime(const NvmlGpu& gpu) {
  const std::optional<NvmlPower> power = gpu.instant_power();
  return {gpu.sm_clock_hz(), gpu.memory_clock_hz(), gpu.temperature_c(),
          power ? std::optional(power->w) : std::nullopt, gpu.throttle_mask()};
}

struct RegimeMonitor::State {
  std::function<RegimeSample()> read;
  std::chrono::duration<double> period;
  std::mutex mutex;
  std::condition_variable ended;
  bool is_ending = false;
  std::thread thread;

  // The thread's from its start until it ended.
  bool is_over = false;
  std::int64_t samples = 0;
  std::vector<double> sm_clock_hz, memory_clock_hz, temperature_c, power_w;
  std::vector<TracePoint> points;
  std::chrono::steady_clock::time_point began = std::chrono::steady_clock::now();
  std::optional<std::uint64_t> throttle_mask;
  std::string trouble;

  void add(const RegimeSample& sample) {
    const auto keep = [](const std::optional<double>& value, std::vector<double>& values) {
      if (value) values.push_back(*value);
    };
    keep(sample.sm_clock_hz, sm_clock_hz);
    keep(sample.memory_clock_hz, memory_clock_hz);
    keep(sample.temperature_c, temperature_c);
    keep(sample.power_w, power_w);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - began;
    if (sample.power_w)
      points.push_back({elapsed.count(), *sample.power_w, sample.sm_clock_hz, sample.temperature_c});
    if (sample.throttle_mask) throttle_mask = throttle_mask.value_or(0) | *sample.throttle_mask;
    ++samples;
  }

  void take() noexcept {
    if (!trouble.empty()) return;
    try {
      add(read());
    } catch (const std::exception& error) {
      trouble = error.what();
    }
  }

  void watch() noexcept {
    std::unique_lock lock(mutex);
    while (!ended.wait_for(lock, period, [this] { return is_ending; })) {
      lock.unlock();
      take();
      lock.lock();
    }
  }

  void end() {
    {
      const std::lock_guard lock(mutex);
      is_ending = true;
    }
    ended.notify_all();
    if (thread.joinable()) thread.join();
  }

  // The first and the last sample, however short the run.
  void begin_and_watch() {
    take();
    thread = std::thread([this] { watch(); });
  }
  void end_and_look_once_more() {
    end();
    if (!is_over) take();
    is_over = true;
  }
};

RegimeMonitor::RegimeMonitor(std::function<RegimeSample()> read, double period_s) : state_(std::make_unique<State>()) {
  state_->read = std::move(read);
  state_->period = std::chrono::duration<double>(period_s);
  state_->begin_and_watch();
}

RegimeMonitor::~RegimeMonitor() { state_->end(); }

Json RegimeMonitor::stop() {
  state_->end_and_look_once_more();
  const State& state = *state_;
  return {{"samples", state.samples},
          {"period_s", state.period.count()},
          {"sm_clock_hz", spread(state.sm_clock_hz)},
          {"memory_clock_hz", spread(state.memory_clock_hz)},
          {"temperature_c", spread(state.temperature_c)},
          {"power_w", spread(state.power_w)},
          {"throttle_reasons", state.throttle_mask ? Json(throttle_words(*state.throttle_mask)) : Json(nullptr)},
          {"trouble", state.trouble.empty() ? Json(nullptr) : Json(state.trouble)}};
}

std::optional<RecordedTrace> RegimeMonitor::trace() const {
  const std::vector<TracePoint>& points = state_->points;
  if (points.size() < 2) return std::nullopt;
  return RecordedTrace{.source = "nvml instant power",
                       .load = "sampling",
                       .points = thinned(points),
                       .windows_s = {{0.0, points.back().t_s}}};
}

}  // namespace chokepoint
