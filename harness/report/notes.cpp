#include "harness/report/notes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "harness/base/strings.hpp"
#include "harness/base/units.hpp"
#include "harness/report/rows.hpp"

namespace chokepoint {
namespace {

constexpr std::size_t kMostNamed = 4;  // of a list that says the same in every entry

// In order of first appearance.
class Distinct {
 public:
  void add(const std::string& text) {
    if (!text.empty() && std::find(texts_.begin(), texts_.end(), text) == texts_.end()) texts_.push_back(text);
  }
  const std::vector<std::string>& all() const { return texts_; }
  std::string shown() const {
    if (texts_.size() <= kMostNamed) return joined(texts_, ", ");
    return fmt::format("{} and {} more", joined(std::span(texts_).first(kMostNamed), ", "), texts_.size() - kMostNamed);
  }

 private:
  std::vector<std::string> texts_;
};

std::string text_in(const Json& json, const char* key) {
  if (!json.is_object() || !json.contains(key)) return "";
  const Json& value = json[key];
  return value.is_string() ? value.get<std::string>()
         : value.is_null() ? ""
                           : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string device_text(const Record& record) {
  const std::string workers = text_in(record.device, "workers");
  return fmt::format("{}: {}{}", text_in(record.device, "kind"), text_in(record.device, "name"),
                     workers.empty() ? "" : fmt::format(", {} workers", workers));
}

std::string count_text(const ReportInput& input) {
  std::map<Status, std::size_t> counts;
  for (const Record& record : input.set.records) ++counts[record.status];
  std::vector<std::string> parts;
  for (const auto& [status, count] : counts) parts.push_back(fmt::format("{} {}", count, to_string(status)));
  std::string text = fmt::format("{} records ({})", input.set.records.size(), joined(parts, ", "));
  if (input.set.superseded > 0)
    text += fmt::format(", {} older attempt{} superseded", input.set.superseded, input.set.superseded == 1 ? "" : "s");
  return text;
}

// A metered power differs from case to case; a profile's is one figure.
std::string power_text(const Energy& energy) {
  const bool is_metered = energy.basis != "provisioned";
  return fmt::format("{}{} ({}{}{})", is_metered ? "" : fmt::format("{:.4g} W, ", energy.power_w.value_or(0.0)),
                     energy.basis, energy.scope, energy.verified ? "" : ", unverified",
                     energy.source.empty() ? "" : "; " + energy.source);
}

std::string price_text(const PriceQuote& price) {
  std::string text = price.text();
  if (price.item.low && price.item.high) text += fmt::format(", {:.2f} to {:.2f}", *price.item.low, *price.item.high);
  return text + (price.item.source.empty() ? "" : ": " + price.item.source);
}

std::string build_text(const Json& provenance) {
  std::vector<std::string> parts;
  for (const char* key : {"version", "git", "build"})
    if (const std::string text = text_in(provenance, key); !text.empty()) parts.push_back(text);
  return parts.empty() ? "" : "chokepoint " + joined(parts, ", ");
}

void add_run(const ReportInput& input, std::vector<HeaderLine>& lines) {
  Distinct runs, suites, builds, drivers;
  std::string first, last;  // ISO 8601 in UTC: order of text is order of time
  for (const Record& record : input.set.records) {
    runs.add(record.run_id);
    suites.add(text_in(record.provenance, "suite"));
    builds.add(build_text(record.provenance));
    drivers.add(text_in(record.provenance, "driver"));
    const std::string finished = text_in(record.provenance, "finished");
    if (finished.empty()) continue;
    first = first.empty() ? finished : std::min(first, finished);
    last = std::max(last, finished);
  }
  std::string run = runs.shown();
  if (!suites.all().empty()) run += fmt::format("{}suite {}", run.empty() ? "" : ", ", suites.shown());
  if (!first.empty()) run += fmt::format("{}finished {}", run.empty() ? "" : ", ", first);
  if (first != last) run += " to " + last;
  if (!run.empty()) lines.push_back({"run", run});
  for (const std::string& build : builds.all()) lines.push_back({"build", build});
  if (!drivers.all().empty()) lines.push_back({"driver", drivers.shown()});
}

void note_records_without_figures(const ReportInput& input, std::vector<std::string>& notes) {
  for (const Record& record : input.set.records) {
    if (record.status != Status::ok)
      notes.push_back(fmt::format("{}: {} as {}: {}", to_string(record.status), case_text(record), record.target,
                                  record.reason.empty() ? "no reason recorded" : record.reason));
    else if (!record.reason.empty())
      notes.push_back(fmt::format("remark: {} as {}: {}", case_text(record), record.target, record.reason));
  }
  for (const Place& cut : input.set.cut_lines)
    notes.push_back(fmt::format("{}:{} ends too soon (a crash or a full disk): the case in flight is not in this report; "
                                "`chokepoint run --resume` runs it again",
                                cut.file, cut.line));
}

// Figures of a profile that nobody confirmed and that decided something here.
void note_unverified(const ReportInput& input, std::vector<std::string>& notes) {
  Distinct figures;
  for (const Record& record : input.set.records) {
    for (const CapRecord& cap : record.caps)
      if (!cap.target_rate_verified)
        figures.add(fmt::format("{} {} of {}", to_string(cap.resource),
                                rate_text(cap.target_rate, cap.resource), record.target));
    if (record.energy.power_w && !record.energy.verified)
      figures.add(fmt::format("power {:.4g} W of {}", *record.energy.power_w, record.target));
  }
  if (!figures.all().empty())
    notes.push_back(fmt::format("unverified figures in use: {}", joined(figures.all(), "; ")));
  Distinct datasheets;
  for (const Record& record : input.set.records)
    for (const CapRecord& cap : record.caps)
      if (cap.target_rate_kind == "datasheet")
        datasheets.add(fmt::format("{} of {}", to_string(cap.resource), record.target));
  if (!datasheets.all().empty())
    notes.push_back(fmt::format("datasheet rates stand in for achieved ones nobody published: {}",
                                joined(datasheets.all(), ", ")));
}

void note_caps(const ReportInput& input, std::vector<std::string>& notes) {
  std::size_t held = 0;
  double worst = -1.0;
  std::string where;
  for (const Record& record : input.set.records)
    for (const CapRecord& cap : record.caps) {
      if (record.status != Status::ok || cap.status != CapStatus::held) continue;
      ++held;
      for (const std::optional<double>& delivered : {cap.delivered_before, cap.delivered_after}) {
        if (!delivered || cap.mechanism == "native" || cap.requested <= 0.0) continue;
        const double off = std::abs(*delivered / cap.requested - 1.0);
        if (off <= worst) continue;
        worst = off;
        where = fmt::format("{} in {} as {}", to_string(cap.resource), record.operation, record.target);
      }
    }
  if (held == 0) return;
  notes.push_back(fmt::format("caps: {} held{}", held,
                              worst < 0.0 ? ""
                                          : fmt::format("; the probes before and after were off by {:.2f} % at most ({})",
                                                        100.0 * worst, where)));
}

// By how much two that should tie do not is an error that no interval of samples shows, since each has its own buffers in
// memory.
void note_ties(const ReportInput& input, std::vector<std::string>& notes) {
  std::size_t ties = 0, outside = 0;
  double worst = 0.0;
  for (const Comparison& pair : input.comparisons) {
    if (!pair.same_caps) continue;
    ++ties;
    const Bounded& ratio = pair.throughput_ratio;
    worst = std::max(worst, std::abs(ratio.value - 1.0));
    if (ratio.interval && (ratio.interval->low > 1.0 || ratio.interval->high < 1.0)) ++outside;
  }
  if (ties == 0) return;
  notes.push_back(fmt::format(
      "ties: {} pair{} of targets differ in nothing their case uses, and came out within {:.2f} %, {} of them with 1 outside "
      "the interval; take no smaller difference for one",
      ties, ties == 1 ? "" : "s", 100.0 * worst, outside));
}

// Where products and a wire ran side by side, and on how many multiprocessors each.
void note_wires(const ReportInput& input, std::vector<std::string>& notes) {
  std::map<std::string, std::size_t> divisions;
  for (const Record& record : input.set.records)
    if (const std::string wire = text_in(record.provenance, "wire_multiprocessors"); !wire.empty())
      ++divisions[fmt::format("{} SMs of its own and products {}", wire,
                              text_in(record.provenance, "product_multiprocessors"))];
  for (const auto& [division, count] : divisions)
    notes.push_back(fmt::format("a wire beside products had {}, in {} record{}", division, count, count == 1 ? "" : "s"));
}

void note_sampling(const ReportInput& input, std::vector<std::string>& notes) {
  std::map<std::string, std::size_t> stops, regimes;
  std::int64_t fewest = 0, most = 0;
  std::size_t ok = 0;
  for (const Record& record : input.set.records) {
    if (record.status != Status::ok) continue;
    fewest = ok == 0 ? record.time.n : std::min(fewest, record.time.n);
    most = std::max(most, record.time.n);
    ++ok;
    ++stops[record.time.stopped_by];
    ++regimes[record.time.regime];
  }
  if (ok == 0) return;
  const auto counted = [](const std::map<std::string, std::size_t>& counts) {
    std::vector<std::string> parts;
    for (const auto& [word, count] : counts) parts.push_back(fmt::format("{} {}", count, word.empty() ? "?" : word));
    return joined(parts, ", ");
  };
  notes.push_back(fmt::format("samples: {} per case; stopped by: {}{}{}",
                              fewest == most ? fmt::format("{}", most) : fmt::format("{} to {}", fewest, most),
                              counted(stops),
                              stops.contains("budget") ? " (budget: the time ran out, the interval is as wide as shown)" : "",
                              stops.contains("ess_low") ? " (ess_low: fewer than 200 effective samples)" : ""));
  notes.push_back(fmt::format("regime: {} (burst: under 1 s of load; sustained: 10 s before and during)",
                              counted(regimes)));
}

std::string span_text(const std::vector<double>& values, const char* unit, double scale = 1.0) {
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  const std::string low = fmt::format("{:.3g}", *least * scale), high = fmt::format("{:.3g}", *most * scale);
  return low == high ? fmt::format("{} {}", low, unit) : fmt::format("{} to {} {}", low, high, unit);
}

// Joules by the windows of an energy meter: how sure they are.
void note_metered_energy(const ReportInput& input, std::vector<std::string>& notes) {
  std::vector<double> random, systematic, idle_w, windows_s;
  Distinct sources, flags;
  for (const Record& record : input.set.records) {
    const Energy& energy = record.energy;
    if (record.status != Status::ok || !energy.gross_j_per_launch) continue;
    sources.add(energy.source);
    for (const std::string& flag : energy.flags) flags.add(flag);
    if (energy.random_error) random.push_back(*energy.random_error);
    if (energy.systematic_error) systematic.push_back(*energy.systematic_error);
    if (energy.idle_w) idle_w.push_back(*energy.idle_w);
    if (energy.window_s) windows_s.push_back(*energy.window_s);
  }
  if (windows_s.empty()) return;
  std::string text = fmt::format("joules by {}, idle power included, windows of {}", sources.shown(), span_text(windows_s, "s"));
  if (!random.empty()) text += fmt::format("; random error {}", span_text(random, "%", 100.0));
  if (!systematic.empty())
    text += fmt::format("; systematic bound {} (the sensor's gain is 5 % of it, the same for every case on one card)",
                        span_text(systematic, "%", 100.0));
  if (!idle_w.empty()) text += fmt::format("; idle {}", span_text(idle_w, "W"));
  if (!flags.all().empty()) text += fmt::format("; flags: {}", flags.shown());
  notes.push_back(text);
}

// Clocks and what held them back, where a monitor ran beside the samples.
void note_clocks(const ReportInput& input, std::vector<std::string>& notes) {
  std::vector<double> sm_hz;
  std::map<std::string, std::size_t> reasons;
  for (const Record& record : input.set.records) {
    if (record.status != Status::ok || !record.provenance.contains("clocks")) continue;
    const Json& clocks = record.provenance["clocks"];
    if (clocks.contains("sm_clock_hz") && clocks["sm_clock_hz"].is_object())
      sm_hz.push_back(clocks["sm_clock_hz"].value("median", 0.0));
    if (clocks.contains("throttle_reasons") && clocks["throttle_reasons"].is_array())
      for (const Json& reason : clocks["throttle_reasons"]) ++reasons[reason.get<std::string>()];
  }
  if (sm_hz.empty()) return;
  std::vector<std::string> parts;
  for (const auto& [reason, count] : reasons) parts.push_back(fmt::format("{} in {}", reason, count));
  notes.push_back(fmt::format("clocks: SM at {} (medians){}", span_text(sm_hz, "MHz", 1e-6),
                              parts.empty() ? "" : "; held back by " + joined(parts, ", ")));
}

// Where the wall time of the cases went: what is not load of the kernel measured is the harness's.
void note_steps(const ReportInput& input, std::vector<std::string>& notes) {
  std::map<std::string, double> seconds;
  for (const Record& record : input.set.records) {
    if (!record.provenance.contains("step_s") || !record.provenance["step_s"].is_object()) continue;
    for (const auto& [step, value] : record.provenance["step_s"].items())
      if (value.is_number()) seconds[step] += value.get<double>();
  }
  double total_s = 0.0, measured_s = 0.0;
  for (const auto& [step, step_s] : seconds) total_s += step_s;
  for (const char* step : {"warm_up", "sample", "measure_energy"}) {
    measured_s += seconds[step];
    seconds.erase(step);
  }
  if (total_s <= 0.0) return;
  std::vector<std::pair<double, std::string>> rest;
  for (const auto& [step, step_s] : seconds) rest.emplace_back(step_s, step);
  std::sort(rest.rbegin(), rest.rend());
  std::vector<std::string> parts;
  for (const auto& [step_s, step] : rest)
    if (step_s >= 0.01 * total_s) parts.push_back(fmt::format("{} {:.0f} %", step, 100.0 * step_s / total_s));
  notes.push_back(fmt::format("wall time: {:.3g} s, of which {:.0f} % under load of the kernels measured{}{}", total_s,
                              100.0 * measured_s / total_s, parts.empty() ? "" : "; ", joined(parts, ", ")));
}

void note_energy_and_basis(const ReportInput& input, std::vector<std::string>& notes) {
  std::map<Basis, bool> bases;
  bool is_provisioned = false;
  for (const Record& record : input.set.records) {
    if (record.status != Status::ok) continue;
    if (record.basis) bases[*record.basis] = true;
    is_provisioned = is_provisioned || record.energy.basis == "provisioned";
  }
  if (bases.contains(Basis::scaled))
    notes.push_back(
        "scaled: every cap was verified, but kernels and caches are the host's; trust ratios between targets more than "
        "times on one");
  if (is_provisioned)
    notes.push_back("provisioned energy is the profile's power times time: nothing was metered");
}

}  // namespace

std::vector<HeaderLine> header_of(const ReportInput& input) {
  std::vector<HeaderLine> lines = {{"read", fmt::format("{} from {}", count_text(input), joined(input.set.files, ", "))}};
  add_run(input, lines);
  Distinct devices, targets;
  std::map<std::string, std::vector<std::string>> powers;
  for (const Record& record : input.set.records) {
    devices.add(device_text(record));
    targets.add(record.target);
    Distinct known;
    for (const std::string& text : powers[record.target]) known.add(text);
    if (record.status == Status::ok && record.energy.basis != "absent" && record.energy.power_w)
      known.add(power_text(record.energy));
    powers[record.target] = known.all();
  }
  for (const std::string& device : devices.all()) lines.push_back({"device", device});
  for (const std::string& target : targets.all()) {
    const std::optional<PriceQuote> price = input.prices.of(target);
    lines.push_back({"price", fmt::format("{}: {}", target,
                                          price ? price_text(*price) : "none, " + input.prices.absence_of(target))});
  }
  for (const std::string& target : targets.all())
    for (const std::string& power : powers[target]) lines.push_back({"power", fmt::format("{}: {}", target, power)});
  if (!input.set.records.empty())
    lines.push_back({"±", "half of the interval (95 % unless the suite says otherwise) of the median in % of it, for time, "
                          "rate, per $ and per J alike: the scatter of the samples, not an error of prices, powers or "
                          "profiles"});
  return lines;
}

std::vector<std::string> notes_of(const ReportInput& input) {
  std::vector<std::string> notes;
  note_records_without_figures(input, notes);
  note_unverified(input, notes);
  note_caps(input, notes);
  note_ties(input, notes);
  note_wires(input, notes);
  note_sampling(input, notes);
  note_metered_energy(input, notes);
  note_clocks(input, notes);
  note_steps(input, notes);
  note_energy_and_basis(input, notes);
  return notes;
}

}  // namespace chokepoint
