#include "harness/run/runner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <optional>

#include "harness/base/error.hpp"
#include "harness/metrics/metric.hpp"
#include "harness/run/architecture.hpp"
#include "harness/run/case_runner.hpp"
#include "harness/run/child.hpp"
#include "harness/run/environment.hpp"

namespace chokepoint {
namespace {

// A group may take this much longer than expected before it counts as hanging: big inputs, a busy machine.
constexpr double kPatience = 5.0, kLeastPatience_s = 180.0;

double since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::string request_text(const std::vector<CaseGroup>& groups, const Ceilings& ceilings,
                         const std::string& configs) {
  Json list = Json::array();
  for (const CaseGroup& group : groups) list.push_back(to_json(group));
  return Json{{"groups", list}, {"ceilings", to_json(ceilings)}, {"configs", configs}}.dump();
}

Record unmeasured(const CaseGroup& group, const std::string& target, const DeviceFacts& facts, Status status,
                  const std::string& reason) {
  Record record = blank_record(group, target, facts);
  record.status = status;
  record.reason = reason;
  return record;
}

// Groups that share a process: one, or on a device with memory of its own as many as there are, because opening
// it, loading its libraries and setting up probes takes longer than most cases. A fault costs the group it
// happens in; the rest goes on in a new process.
constexpr std::size_t kMostGroupsPerProcess = 1000;

// Runs groups [first, ..) in one child, handing over each record when it comes; returns how many groups are
// settled, at least one. Targets of a group that the child ended in become failed records.
std::size_t run_in_child(const std::vector<CaseGroup>& groups, const Ceilings& ceilings, const DeviceFacts& facts,
                         const RunSettings& settings, const std::function<void(std::size_t settled)>& tick,
                         const std::function<void(Record)>& keep) {
  double longest_s = 0.0;
  for (const CaseGroup& group : groups) longest_s = std::max(longest_s, expected_s(group));
  const double timeout_s = settings.timeout_s.value_or(std::max(kLeastPatience_s, kPatience * longest_s));
  std::vector<std::vector<std::string>> missing;
  for (const CaseGroup& group : groups) missing.push_back(group.targets);
  std::size_t settled = 0;
  std::string trouble;
  const auto take = [&](const std::string& line) {
    std::optional<Record> record;
    try {
      const JsonFile parsed = parse_json(line, "output of the case's process");
      record = record_from_json(parsed);
      if (settled == groups.size() || record->case_id != case_id(groups[settled], record->target) ||
          std::erase(missing[settled], record->target) == 0)
        throw Error(Fault::device, "a record of another case came", "this is a defect of chokepoint");
    } catch (const Error& error) {
      trouble += (trouble.empty() ? "" : "; ") + error.message();
      return;
    }
    keep(*std::move(record));  // a record that cannot be stored ends the run
    while (settled < groups.size() && missing[settled].empty()) ++settled;
  };
  const ChildOutcome outcome = run_child(settings.worker, request_text(groups, ceilings, settings.configs), timeout_s,
                                         [&] { tick(settled); }, take);
  if (settled == groups.size()) return settled;
  if (settled > 0 && outcome.trouble.empty() && trouble.empty()) return settled;  // it left the rest to a successor
  if (!outcome.trouble.empty()) trouble = outcome.trouble + (trouble.empty() ? "" : "; ") + trouble;
  for (const std::string& target : missing[settled])
    keep(unmeasured(groups[settled], target, facts, Status::failed,
                    fmt::format("the case's process {}", trouble.empty() ? "ended without a record" : trouble)));
  return settled + 1;
}

}  // namespace

void add_metrics(Record& record, const std::vector<PriceBook>& books,
                 const std::optional<std::string>& prices) {
  if (record.status != Status::ok) return;
  // The host, and a profile with replaced rates, are machines that nobody offers.
  const bool for_sale = record.target != "host" && record.target.find('@') == std::string::npos;
  std::optional<PriceQuote> found;
  if (for_sale) found = prices ? quote(books, record.target, *prices) : quote(books, record.target);
  std::optional<double> usd_per_h;
  if (found) {
    usd_per_h = found->item.usd_per_gpu_h;
    record.provenance["price"] = found->text();
    record.provenance["price_hash"] = found->hash;
  }
  for (const Metric& metric : Registry<Metric>::instance().all())
    if (const std::optional<MetricValue> value = evaluate(metric, record, usd_per_h))
      record.metrics[metric.name] = *value;
}

namespace {

// After a fault a GPU's context serves no further case: the rest is for a new process.
bool survives(Device& device) {
  try {
    device.finish();
    return true;
  } catch (const Error&) {
    return false;  // its records tell the fault already
  }
}

}  // namespace

void serve_groups(const std::string& request, const std::function<void(const std::string&)>& answer) {
  const JsonFile file = parse_json(request, "request");
  Fields fields(file);
  const Ceilings ceilings = ceilings_from_json(fields.object("ceilings"));
  const std::string configs = fields.text("configs");
  const std::vector<Profile> profiles = load_profiles(configs);
  const TuningBook tuning = load_tuning(configs);
  std::vector<CaseGroup> groups;
  for (const Json& json : fields.any("groups")) groups.push_back(group_from_json({"request", file.text, json}));
  fields.finish();
  if (groups.empty()) return;
  const std::unique_ptr<Device> device = open_device(groups.front().device);
  Prober prober(*device);
  GpuEnergy gpu(device->facts());
  // While a GPU measures, the host has little to do; a CPU would disturb itself.
  std::vector<CaseGroup> coming;
  if (device->facts().own_memory)
    std::copy_if(groups.begin(), groups.end(), std::back_inserter(coming), [&](const CaseGroup& group) {
      return !architecture_obstacle(find_kernel(group.operation, group.kernel), device->facts());
    });
  ProblemSource problems(coming);
  for (const CaseGroup& group : groups) {
    bool lost = false;
    for (const Record& record : run_group(group, *device, {profiles, ceilings, &prober, &gpu, &problems, &tuning})) {
      answer(to_json(record).dump());
      lost |= record.status == Status::failed;
    }
    if (lost && device->facts().own_memory && !survives(*device)) return;
  }
}

std::vector<Record> run_groups(const std::vector<CaseGroup>& groups, const Ceilings& ceilings,
                               const DeviceFacts& facts, const RunSettings& settings, Store& store,
                               const std::function<void(const Progress&)>& progress) {
  std::vector<Record> records;
  const auto start = std::chrono::steady_clock::now();
  const auto keep = [&](Record record) {
    record.run_id = settings.run_id;
    for (const auto& [key, value] : settings.provenance.items()) record.provenance[key] = value;
    record.provenance["finished"] = utc_now();
    add_metrics(record, settings.books, settings.prices);
    store.append(record);
    records.push_back(std::move(record));
  };
  std::vector<CaseGroup> open;
  for (CaseGroup group : groups) {
    std::erase_if(group.targets,
                  [&](const std::string& target) { return store.has(case_id(group, target)); });
    if (!group.targets.empty()) open.push_back(std::move(group));
  }
  std::vector<double> left_s(open.size() + 1, 0.0);  // from group i on
  for (std::size_t i = open.size(); i-- > 0;) left_s[i] = left_s[i + 1] + expected_s(open[i]);
  for (std::size_t first = 0; first < open.size();) {
    if (open[first].unsupported) {
      for (const std::string& target : open[first].targets)
        keep(unmeasured(open[first], target, facts, Status::unsupported, *open[first].unsupported));
      ++first;
      continue;
    }
    std::size_t last = first + 1;
    while (facts.own_memory && last < open.size() && last - first < kMostGroupsPerProcess && !open[last].unsupported)
      ++last;
    std::size_t shown = open.size();
    auto group_start = std::chrono::steady_clock::now();
    const auto tick = [&](std::size_t settled) {
      const std::size_t now = std::min(first + settled, last - 1);
      if (now != shown) group_start = std::chrono::steady_clock::now();
      shown = now;
      progress({now, open.size(), &open[now], since(start), std::max(0.0, left_s[now] - since(group_start))});
    };
    tick(0);
    first += run_in_child({open.begin() + static_cast<std::ptrdiff_t>(first),
                           open.begin() + static_cast<std::ptrdiff_t>(last)},
                          ceilings, facts, settings, tick, keep);
  }
  return records;
}

}  // namespace chokepoint
