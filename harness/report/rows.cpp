#include "harness/report/rows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "harness/base/strings.hpp"
#include "harness/base/units.hpp"
#include "harness/report/sentences.hpp"

namespace chokepoint {
namespace {

enum : std::size_t {  // positions in columns_of
  kKernel,
  kTarget,
  kTime,
  kHalfWidth,
  kCount,
  kRate,
  kPerDollar,
  kPerJoule,
  kCaps,
  kStoppedBy,
  kRegime,
  kColumns
};

std::string device_kind(const Record& record) {
  const bool has = record.device.is_object() && record.device.contains("kind") && record.device["kind"].is_string();
  return has ? record.device["kind"].get<std::string>() : "device";
}

std::string model_label(const Record& record) {
  const Json& provenance = record.provenance;
  const bool has = provenance.is_object() && provenance.contains("label") && provenance["label"].is_string();
  return has ? provenance["label"].get<std::string>() : "";
}

// What a row says of its case, in parts that can be found common to all or not.
std::vector<std::string> parts_of(const Record& record) {
  std::vector<std::string> parts;
  if (const std::string label = model_label(record); !label.empty()) parts.push_back(label);
  parts.emplace_back(to_string(record.dtype));
  for (const auto& [field, value] : record.shape.values())
    std::visit([&, &name = field](const auto& inner) { parts.push_back(fmt::format("{}={}", name, inner)); }, value);
  return parts;
}

std::string case_key(const Record& record) {
  const Json& provenance = record.provenance;
  std::string key = joined(parts_of(record), " ");
  for (const char* name : {"seed", "input_distribution"})
    if (provenance.is_object() && provenance.contains(name))
      key += ' ' + provenance[name].dump(-1, ' ', false, Json::error_handler_t::replace);
  return key;
}

// The unit that counts the work of this operation: tokens where it has them.
std::string work_unit(const Record& record) {
  return record.work.tokens > 0.0 ? "token" : record.work.flop > 0.0 ? "FLOP" : "B";
}

const MetricValue* metric_of(const ReportRow& row, const std::string& name) {
  const auto found = row.metrics.find(name);
  return found == row.metrics.end() ? nullptr : &found->second;
}

// "12.3 M" under a title that has the unit, else "12.3 Mtoken/s".
Cell rate_cell(const ReportGroup& group, const ReportRow& row, const std::string& unit, const std::string& per) {
  static const std::map<std::string, std::string> stems = {{"token", "tokens"}, {"FLOP", "flop"}, {"B", "bytes"}};
  const auto stem = stems.find(unit);
  const MetricValue* metric = stem == stems.end() ? nullptr : metric_of(row, stem->second + "_per_" + per);
  if (!metric) return {};
  const std::string shown_unit = group.work_unit.empty() ? metric->unit : "";
  if (metric->value < 1.0) return fmt::format("{:.3g}{}{}", metric->value, shown_unit.empty() ? "" : " ", shown_unit);
  return with_unit(metric->value, shown_unit);
}

void fill_comparisons(const ReportInput& input, ReportCase& report_case) {
  const auto holds = [&](std::size_t record) {
    return std::find(report_case.records.begin(), report_case.records.end(), record) != report_case.records.end();
  };
  std::map<std::string, std::set<std::size_t>> targets;  // by kernel
  std::vector<std::size_t> all;
  for (std::size_t i = 0; i < input.comparisons.size(); ++i) {
    const Comparison& comparison = input.comparisons[i];
    if (!holds(comparison.a) || !holds(comparison.b)) continue;
    all.push_back(i);
    std::set<std::size_t>& known = targets[input.set.records[comparison.a].kernel];
    known.insert({comparison.a, comparison.b});
  }
  for (const std::size_t i : all) {
    const std::set<std::size_t>& known = targets[input.set.records[input.comparisons[i].a].kernel];
    if (known.size() <= kMostTargetsInAllPairs || input.comparisons[i].a == *known.begin())
      report_case.comparisons.push_back(i);
    else
      ++report_case.comparisons_left_out;
  }
}

ReportGroup group_of(const ReportInput& input, const std::string& operation, const std::vector<std::size_t>& members) {
  ReportGroup group{.operation = operation};
  const std::vector<Record>& records = input.set.records;
  std::map<std::string, std::size_t> uses, places;  // of a part; of a case
  std::set<std::string> kernels, units, energies;
  for (const std::size_t i : members) {
    for (const std::string& part : parts_of(records[i])) ++uses[part];
    kernels.insert(records[i].kernel);
    if (records[i].status != Status::ok) continue;
    units.insert(work_unit(records[i]));
    if (records[i].energy.basis != "absent") energies.insert(records[i].energy.basis);
  }
  group.has_several_kernels = kernels.size() > 1;
  if (units.size() == 1) group.work_unit = *units.begin();
  if (energies.size() == 1) group.energy_basis = *energies.begin();
  std::vector<std::string> common;
  if (!group.has_several_kernels) common.push_back(*kernels.begin());
  for (const std::string& part : parts_of(records[members.front()]))
    if (uses[part] == members.size()) common.push_back(part);
  group.common = joined(common, ", ");
  for (const std::size_t i : members) {
    const auto [place, is_new] = places.emplace(case_key(records[i]), group.cases.size());
    if (is_new) {
      std::vector<std::string> own;
      for (const std::string& part : parts_of(records[i]))
        if (uses[part] != members.size()) own.push_back(part);
      group.cases.push_back({.title = joined(own, " "), .short_title = ""});
    }
    group.cases[place->second].records.push_back(i);
  }
  std::map<std::string, std::size_t> labels;
  for (const ReportCase& report_case : group.cases) ++labels[model_label(records[report_case.records.front()])];
  for (ReportCase& report_case : group.cases) {
    const std::string label = model_label(records[report_case.records.front()]);
    report_case.short_title = group.cases.size() > 1 && !label.empty() && labels[label] == 1 ? label : report_case.title;
    fill_comparisons(input, report_case);
  }
  return group;
}

Paint paint_of(const Record& record) {
  return record.status == Status::ok ? Paint::plain
         : record.status == Status::invalid || record.status == Status::failed ? Paint::bad
                                                                               : Paint::faint;
}

}  // namespace

std::vector<ReportGroup> groups_of(const ReportInput& input) {
  std::vector<std::string> operations;
  std::map<std::string, std::vector<std::size_t>> members;
  for (std::size_t i = 0; i < input.set.records.size(); ++i) {
    const std::string& operation = input.set.records[i].operation;
    if (members[operation].empty()) operations.push_back(operation);
    members[operation].push_back(i);
  }
  std::vector<ReportGroup> groups;
  for (const std::string& operation : operations) groups.push_back(group_of(input, operation, members[operation]));
  return groups;
}

std::vector<Column> columns_of(const ReportGroup& group) {
  const auto per = [&](const std::string& what, const std::string& alone) {
    return group.work_unit.empty() ? alone : group.work_unit + "/" + what;
  };
  constexpr int whole = 1 << 16;  // a label is cut from its front: the basis stands at its end
  return {{.title = "kernel"},
          {.title = "target", .tail = whole},
          {.title = "time", .align = Align::right},
          {.title = "±", .align = Align::right},
          {.title = "n", .align = Align::right, .rank = 1},
          {.title = per("s", "rate"), .align = Align::right, .rank = 4},
          {.title = per("$", "per $"), .align = Align::right, .rank = 2},
          {.title = per("J", "per J"), .align = Align::right, .rank = 3},
          {.title = "caps", .rank = 5},
          {.title = "stopped by", .rank = 6, .is_extra = true},
          {.title = "regime", .rank = 7, .is_extra = true}};
}

std::vector<Cell> cells_of(const ReportGroup& group, const ReportInput& input, std::size_t index) {
  const Record& record = input.set.records[index];
  const ReportRow& row = input.rows[index];
  const std::string unit = group.work_unit.empty() ? work_unit(record) : group.work_unit;
  std::vector<Cell> cells(kColumns);
  if (group.has_several_kernels) cells[kKernel] = Cell(record.kernel);
  cells[kTarget] = Cell(label_forms(record), paint_of(record));
  cells[kCaps] = Cell(cap_forms(record), record.status == Status::ok ? Paint::good : paint_of(record));
  if (record.status != Status::ok) return cells;
  if (const MetricValue* time = metric_of(row, "target_time_s")) {
    cells[kTime] = Cell(duration_text(time->value));
    cells[kHalfWidth] = Cell(half_width_text(time->value, time->ci_low, time->ci_high));
  }
  std::vector<std::string> count = {fmt::format("{}", record.time.n)};
  if (record.time.ess) count.insert(count.begin(), fmt::format("{} (ESS {:.0f})", record.time.n, *record.time.ess));
  cells[kCount] = Cell(count);
  cells[kRate] = rate_cell(group, row, unit, "s");
  cells[kPerDollar] = rate_cell(group, row, unit, "usd");
  cells[kPerJoule] = rate_cell(group, row, unit, "j");
  if (!cells[kPerJoule].forms.empty() && group.energy_basis.empty())
    cells[kPerJoule].forms.front() += " " + record.energy.basis;
  cells[kStoppedBy] = Cell(record.time.stopped_by);
  cells[kRegime] = Cell(record.time.regime);
  return cells;
}

std::vector<std::string> label_forms(const Record& record) {
  const std::string kind = device_kind(record), full = label_of(record);
  if (!record.basis) {
    const std::string end = fmt::format("as {} ({})", record.target, to_string(record.status));
    return {kind + " " + end, end};
  }
  if (*record.basis == Basis::measured) return {full, kind + " (measured)"};
  if (*record.basis == Basis::emulated)
    return {full, fmt::format("{} as {} (emulated)", kind, record.target), fmt::format("as {} (emulated)", record.target)};
  if (*record.basis == Basis::scaled)
    return {full, fmt::format("as {}, {} (scaled)", record.target, dilation_text(record.dilation))};
  return {full};
}

std::vector<std::string> cap_forms(const Record& record) {
  std::string held, others;
  std::size_t held_count = 0;
  for (const CapRecord& cap : record.caps) {
    const std::string resource(to_string(cap.resource));
    if (cap.status == CapStatus::held) {
      held += resource + " ";
      ++held_count;
    } else {
      others += fmt::format("{}{} {}", others.empty() ? "" : ", ", resource, to_string(cap.status));
    }
  }
  if (record.caps.empty()) return {record.status == Status::ok ? "uncapped" : ""};
  if (others.empty()) return {held + "held", fmt::format("{} held", held_count)};
  return {held_count == 0 ? others : fmt::format("{}; {} held", others, held_count), others};
}

std::string case_text(const Record& record) {
  const std::string label = model_label(record);
  return fmt::format("{}, {}, {}{}{}, {}", record.operation, record.kernel, label, label.empty() ? "" : ", ",
                     to_string(record.dtype), record.shape.text());
}

}  // namespace chokepoint
