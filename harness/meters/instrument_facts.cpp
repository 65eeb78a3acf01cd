#include "harness/meters/instrument_facts.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/model/descriptive.hpp"

namespace chokepoint {
namespace {

// Time between changes: polls see each a little late, so their mean is finer than their median; ticks that were slept
// through are left out.
std::optional<double> tick_length_s(const std::vector<CounterTick>& ticks) {
  std::vector<double> lengths_s;
  for (std::size_t i = 1; i < ticks.size(); ++i) lengths_s.push_back(ticks[i].middle_s() - ticks[i - 1].middle_s());
  const std::optional<double> usual_s = median(lengths_s);
  std::erase_if(lengths_s, [&](double length_s) { return length_s > 1.5 * *usual_s; });
  return mean(lengths_s);
}

// Where the line of the loaded counter meets the line of the idle one, after the load began. A counter that tells at
// each tick what had been used `lag` ago shifts both lines by the lag.
std::optional<double> counter_lag(const std::vector<CounterTick>& ticks, double load_began_s) {
  const auto loaded = std::partition_point(ticks.begin(), ticks.end(),
                                           [&](const CounterTick& tick) { return tick.at_s <= load_began_s; });
  if (loaded - ticks.begin() < 3 || ticks.end() - loaded < 6) return std::nullopt;
  const CounterTick &a = ticks.front(), &b = loaded[-1], &c = loaded[(ticks.end() - loaded) / 2], &d = ticks.back();
  const double idle_w = power_between(a, b), load_w = power_between(c, d);
  if (load_w < 1.2 * idle_w) return std::nullopt;  // the lines are too alike to meet at a sharp point
  const double meet_s = (a.energy_j - idle_w * a.middle_s() - c.energy_j + load_w * c.middle_s()) / (load_w - idle_w);
  return std::max(0.0, meet_s - load_began_s);
}

// First reading more than half way from the idle to the loaded power.
std::optional<double> power_lag(const std::vector<PowerPoint>& points, double load_began_s) {
  std::vector<double> before, after;
  for (const PowerPoint& point : points) (point.at_s <= load_began_s ? before : after).push_back(point.w);
  const std::optional<double> idle_w = median(before), load_w = median(after);
  if (!idle_w || !load_w || *load_w < 1.2 * *idle_w) return std::nullopt;
  for (const PowerPoint& point : points)
    if (point.at_s > load_began_s && point.w > 0.5 * (*idle_w + *load_w)) return point.at_s - load_began_s;
  return std::nullopt;
}

}  // namespace

InstrumentFacts instrument_facts(const PowerTrace& trace, std::optional<double> load_began_s) {
  InstrumentFacts facts;
  facts.tick_s = tick_length_s(trace.ticks);
  for (std::size_t i = 1; i < trace.ticks.size(); ++i) {
    const double step_j = trace.ticks[i].energy_j - trace.ticks[i - 1].energy_j;
    facts.step_j = std::min(facts.step_j.value_or(step_j), step_j);
  }
  std::vector<double> refreshes;
  for (std::size_t i = 1; i < trace.power.size(); ++i)
    refreshes.push_back(trace.power[i].at_s - trace.power[i - 1].at_s);
  facts.power_refresh_s = median(std::move(refreshes));
  if (load_began_s) {
    facts.counter_lag_s = counter_lag(trace.ticks, *load_began_s);
    facts.power_lag_s = power_lag(trace.power, *load_began_s);
  }
  facts.counter_read_p50_s = quantile(trace.counter_read_s, 0.5);
  facts.counter_read_p99_s = quantile(trace.counter_read_s, 0.99);
  facts.power_read_p50_s = quantile(trace.power_read_s, 0.5);
  facts.power_read_p99_s = quantile(trace.power_read_s, 0.99);
  return facts;
}

Readings readings_of(const InstrumentFacts& facts) {
  return {{"tick_s", facts.tick_s},
          {"step_j", facts.step_j},
          {"counter_lag_s", facts.counter_lag_s},
          {"power_lag_s", facts.power_lag_s},
          {"power_refresh_s", facts.power_refresh_s},
          {"counter_read_p50_s", facts.counter_read_p50_s},
          {"counter_read_p99_s", facts.counter_read_p99_s},
          {"power_read_p50_s", facts.power_read_p50_s},
          {"power_read_p99_s", facts.power_read_p99_s}};
}

namespace {

std::string milliseconds(const std::optional<double>& seconds, const char* otherwise) {
  return seconds ? fmt::format("{:.3g} ms", 1e3 * *seconds) : otherwise;
}

std::string reading_text(const std::optional<double>& p50_s, const std::optional<double>& p99_s) {
  return fmt::format("a reading takes {} (p99 {})", milliseconds(p50_s, "?"), milliseconds(p99_s, "?"));
}

}  // namespace

std::string text_of(const InstrumentFacts& facts) {
  std::string counter = "no energy counter", power = "no instant power";
  if (facts.counter_read_p50_s)
    counter = fmt::format("energy counter: tick {}{}, lag {}, {}", milliseconds(facts.tick_s, "none seen"),
                          facts.step_j ? fmt::format(" of {:.3g} J at least", *facts.step_j) : "",
                          milliseconds(facts.counter_lag_s, "not seen"),
                          reading_text(facts.counter_read_p50_s, facts.counter_read_p99_s));
  if (facts.power_read_p50_s)
    power = fmt::format("instant power: refresh {}, lag {}, {}", milliseconds(facts.power_refresh_s, "none seen"),
                        milliseconds(facts.power_lag_s, "not seen"),
                        reading_text(facts.power_read_p50_s, facts.power_read_p99_s));
  return counter + "\n" + power;
}

InstrumentFacts probe_instrument(PowerInstrument& instrument, const KeepBusy& keep_busy,
                                 const ProbeSettings& settings, Poller* poller) {
  PowerRecording recording(instrument, poller);
  instrument.sleep_s(settings.idle_s);
  LoadLog log(instrument.now_s());
  keep_busy_until(instrument, log.began_s() + settings.load_s, keep_busy, log);
  return instrument_facts(recording.finish(), log.began_s());
}

}  // namespace chokepoint
