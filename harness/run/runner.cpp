#include "harness/run/runner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "harness/base/error.hpp"
#include "harness/metrics/metric.hpp"
#include "harness/run/case_runner.hpp"
#include "harness/run/child.hpp"
#include "harness/run/environment.hpp"

namespace chokepoint {
namespace {

// A group may take this much longer than expected before it counts as hanging: big inputs, a busy machine.
constexpr double kPatience = 5.0, kLeastPatience_s = 60.0;

double since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::string request_text(const CaseGroup& group, const Ceilings& ceilings, const std::string& configs) {
  return Json{{"group", to_json(group)}, {"ceilings", to_json(ceilings)}, {"configs", configs}}.dump();
}

// Records of one group from its child; whatever did not come back becomes a failed record.
std::vector<Record> collect(const CaseGroup& group, const ChildOutcome& outcome, const DeviceFacts& facts) {
  std::vector<Record> records;
  std::string trouble = outcome.trouble;
  for (const std::string& line : outcome.lines) try {
      const JsonFile parsed = parse_json(line, "output of the case's process");
      records.push_back(record_from_json(parsed));
    } catch (const Error& error) {
      trouble += (trouble.empty() ? "" : "; ") + error.message();
    }
  for (const std::string& target : group.targets)
    if (std::none_of(records.begin(), records.end(), [&](const Record& r) { return r.target == target; })) {
      Record record = blank_record(group, target, facts);
      record.status = Status::failed;
      record.reason =
          fmt::format("the case's process {}", trouble.empty() ? "ended without a record" : trouble);
      records.push_back(std::move(record));
    }
  return records;
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

std::vector<std::string> serve_group(const std::string& request) {
  const JsonFile file = parse_json(request, "request");
  Fields fields(file);
  const Ceilings ceilings = ceilings_from_json(fields.object("ceilings"));
  const std::vector<Profile> profiles = load_profiles(fields.text("configs"));
  const JsonFile group_file{"request", file.text, fields.any("group")};
  const CaseGroup group = group_from_json(group_file);
  fields.finish();
  const std::unique_ptr<Device> device = open_device(group.device);
  std::vector<std::string> lines;
  for (const Record& record : run_group(group, *device, {profiles, ceilings}))
    lines.push_back(to_json(record).dump());
  return lines;
}

std::vector<Record> run_groups(const std::vector<CaseGroup>& groups, const Ceilings& ceilings,
                               const DeviceFacts& facts, const RunSettings& settings, Store& store,
                               const std::function<void(const Progress&)>& progress) {
  std::vector<Record> records;
  const auto start = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < groups.size(); ++i) {
    CaseGroup group = groups[i];
    std::erase_if(group.targets,
                  [&](const std::string& target) { return store.has(case_id(group, target)); });
    if (group.targets.empty()) continue;
    double left_s = 0.0;
    for (std::size_t j = i; j < groups.size(); ++j) left_s += expected_s(groups[j]);
    const auto group_start = std::chrono::steady_clock::now();
    const auto tick = [&] {
      progress({i, groups.size(), &group, since(start), std::max(0.0, left_s - since(group_start))});
    };
    tick();
    std::vector<Record> fresh;
    if (group.unsupported) {
      for (const std::string& target : group.targets) {
        Record record = blank_record(group, target, facts);
        record.status = Status::unsupported;
        record.reason = *group.unsupported;
        fresh.push_back(std::move(record));
      }
    } else {
      const double timeout_s =
          settings.timeout_s.value_or(std::max(kLeastPatience_s, kPatience * expected_s(group)));
      const ChildOutcome outcome =
          run_child(settings.worker, request_text(group, ceilings, settings.configs), timeout_s, tick);
      fresh = collect(group, outcome, facts);
    }
    for (Record& record : fresh) {
      record.run_id = settings.run_id;
      for (const auto& [key, value] : settings.provenance.items()) record.provenance[key] = value;
      record.provenance["finished"] = utc_now();
      add_metrics(record, settings.books, settings.prices);
      store.append(record);
      records.push_back(std::move(record));
    }
  }
  return records;
}

}  // namespace chokepoint
