#include "harness/claims/kernel_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "harness/claims/missing_input.hpp"

namespace chokepoint {
namespace {

bool measured(const KernelRow& row) { return row.grade == Grade::a || row.grade == Grade::b; }

// The smaller, the sooner it is taken.
auto rank(const KernelRow& row) {
  return std::tuple(measured(row) ? static_cast<int>(row.grade) : 2, row.in_place, -row.priority);
}

// A field that a shape has only where its value is not the usual one (kernel.hpp): without it, another is meant.
bool is_another_kernel(const KernelRow& row, const Shape& wanted) {
  const Operation* operation = Registry<Operation>::instance().find(row.operation);
  if (operation == nullptr) return false;
  return std::any_of(operation->fields.begin(), operation->fields.end(), [&](const ShapeField& field) {
    return field.unsaid_fallback && row.shape.has(field.name) && !wanted.has(field.name);
  });
}

// Every field of `wanted` is in the row's shape with the same value.
bool includes(const KernelRow& row, const Shape& wanted) {
  if (is_another_kernel(row, wanted)) return false;
  return std::all_of(wanted.values().begin(), wanted.values().end(), [&](const auto& field) {
    const auto found = row.shape.values().find(field.first);
    return found != row.shape.values().end() && found->second == field.second;
  });
}

bool same_kernel(const KernelRow& row, std::string_view operation, Dtype dtype) {
  return row.operation == operation && row.dtype == dtype;
}

MissingInput missing(const std::string& machine, std::string_view operation, const Shape& fields, Dtype dtype) {
  return {Fault::config,
          fmt::format("no kernel row for {} {} in {} on {}", std::string(operation), fields.text(),
                      to_string(dtype), machine),
          "add one to configs/kernels, or name records that have it"};
}

// A curve through (x, time), x rising.
double on_curve(const std::map<double, double>& curve, double x) {
  const auto above = curve.lower_bound(x);
  if (above == curve.begin()) return above->second;
  if (above == curve.end()) return std::prev(above)->second * x / std::prev(above)->first;
  const auto below = std::prev(above);
  const double share = (x - below->first) / (above->first - below->first);
  return below->second + share * (above->second - below->second);
}

Shape without(const Shape& shape, const std::vector<std::string>& fields) {
  Shape rest;
  for (const auto& [name, value] : shape.values())
    if (std::find(fields.begin(), fields.end(), name) == fields.end()) rest.set(name, value);
  return rest;
}

}  // namespace

double charged(std::vector<const KernelRow*>& sources, const KernelTime& time) {
  sources.insert(sources.end(), time.rows.begin(), time.rows.end());
  return time.time_s;
}

KernelTable::KernelTable(std::string machine, const std::vector<KernelFile>& files)
    : machine_(std::move(machine)) {
  for (const KernelFile& file : files)
    for (const KernelRow& row : file.rows)
      if (row.machine == machine_) rows_.push_back(row);
  replacement_of_.resize(rows_.size());
}

// The fastest row that was published for exactly this kernel, whether or not a measured one has its place by now.
std::optional<KernelRow> KernelTable::fastest_published(const KernelRow& row) const {
  std::optional<KernelRow> fastest;
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    const bool is_replaced = i < replacement_of_.size() && replacement_of_[i].has_value();
    const KernelRow& old = is_replaced ? replacements_[*replacement_of_[i]].published : rows_[i];
    const std::optional<double> old_s = time_s_of(old);
    if (measured(old) || old.in_place || !old_s || !same_kernel(old, row.operation, row.dtype) ||
        !includes(row, old.shape))
      continue;
    if (!fastest || *old_s < *time_s_of(*fastest)) fastest = old;
  }
  return fastest;
}

// What published rows of other sizes say about this one; absent where there are none of its kernel.
std::optional<KernelRow> KernelTable::between_published(const KernelRow& row) const {
  for (const KernelRow& old : rows_) {
    if (measured(old) || old.in_place || !same_kernel(old, row.operation, row.dtype)) continue;
    std::vector<std::string> sizes;
    Shape there = old.shape;
    for (const char* size : {"m", "batch", "context"})
      if (old.shape.has(size) && row.shape.has(size) && sizes.size() < 2) {
        there.set(size, row.shape[size]);
        sizes.emplace_back(size);
      }
    if (sizes.empty() || !includes(row, there)) continue;
    KernelRow expected = old;
    expected.shape = there;
    expected.value = between(row.operation, there, row.dtype, sizes).time_s;
    expected.unit = "s";
    return expected;
  }
  return std::nullopt;
}

bool KernelTable::is_too_slow(const KernelRow& row, double time_s) {
  std::optional<KernelRow> published = fastest_published(row);
  if (!published) published = between_published(row);
  if (!published) return false;
  const double published_s = time_s_of(*published).value();
  if (time_s <= kMostSlowerBuild * published_s) return false;
  const auto known = std::find_if(slower_.begin(), slower_.end(), [&](const Replacement& one) {
    return same_kernel(one.measured, row.operation, row.dtype) && one.published.shape == published->shape;
  });
  const Replacement entry{*published, row, time_s / published_s - 1.0};
  if (known == slower_.end())
    slower_.push_back(entry);
  else if (entry.change < known->change)
    *known = entry;
  return true;
}

void KernelTable::add_measured(const KernelRow& row, MeasuredUse use) {
  const std::optional<double> time_s = time_s_of(row);
  if (!time_s || (use == MeasuredUse::comparable && is_too_slow(row, *time_s))) return;
  bool placed = false;
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    KernelRow& old = rows_[i];
    if (!same_kernel(old, row.operation, row.dtype) || old.in_place || !includes(row, old.shape))
      continue;
    const std::optional<double> old_s = time_s_of(old);
    if (!old_s) continue;
    placed = true;
    if (measured(old) && std::tuple(old.grade, *old_s) <= std::tuple(row.grade, *time_s)) continue;
    note_replacement(i, row, *time_s);
    const Shape shape = old.shape;
    old = row;
    old.shape = shape;  // what others ask for; the record's own has further fields
  }
  if (!placed) rows_.push_back(row);
  replacement_of_.resize(rows_.size());
}

void KernelTable::note_replacement(std::size_t index, const KernelRow& row, double time_s) {
  std::optional<std::size_t>& place = replacement_of_[index];
  if (!place && measured(rows_[index])) return;  // a record took the place of a record that was a further row
  if (!place) {
    place = replacements_.size();
    replacements_.push_back({.published = rows_[index]});
  }
  Replacement& replacement = replacements_[*place];
  replacement.measured = row;
  replacement.change = time_s / time_s_of(replacement.published).value() - 1.0;
}

const KernelRow* KernelTable::find(std::string_view operation, const Shape& fields, Dtype dtype) const {
  const KernelRow* best = nullptr;
  for (const KernelRow& row : rows_)
    if (same_kernel(row, operation, dtype) && includes(row, fields) &&
        (best == nullptr || rank(row) < rank(*best)))
      best = &row;
  return best;
}

const KernelRow& KernelTable::at(std::string_view operation, const Shape& fields, Dtype dtype) const {
  if (const KernelRow* row = find(operation, fields, dtype)) return *row;
  throw missing(machine_, operation, fields, dtype);
}

double KernelTable::time_s(std::string_view operation, const Shape& fields, Dtype dtype) const {
  const std::optional<double> time_s = time_s_of(at(operation, fields, dtype));
  if (!time_s) throw missing(machine_, operation, fields, dtype);
  return *time_s;
}

// Values of `field` among rows with these fields: of those alone on the machine, where there are any.
std::vector<std::int64_t> KernelTable::points_of(std::string_view operation, const Shape& fields, Dtype dtype,
                                                 const std::string& field) const {
  std::map<bool, std::vector<std::int64_t>> points;
  for (const KernelRow& row : rows_)
    if (same_kernel(row, operation, dtype) && includes(row, fields) && row.shape.has(field) &&
        time_s_of(row))
      points[row.in_place].push_back(row.shape[field]);
  std::vector<std::int64_t>& taken = points[!points.contains(false)];
  std::sort(taken.begin(), taken.end());
  taken.erase(std::unique(taken.begin(), taken.end()), taken.end());
  return taken;
}

KernelTime KernelTable::between(std::string_view operation, const Shape& fields, Dtype dtype,
                                const std::vector<std::string>& varied) const {
  if (varied.empty()) {
    const KernelRow& row = at(operation, fields, dtype);
    if (const std::optional<double> time_s = time_s_of(row)) return {*time_s, {&row}};
    throw missing(machine_, operation, fields, dtype);
  }
  const std::string& field = varied.front();
  const std::vector<std::string> rest(varied.begin() + 1, varied.end());
  const Shape fixed = without(fields, varied);
  const std::vector<std::int64_t> points = points_of(operation, fixed, dtype, field);
  if (points.empty()) throw missing(machine_, operation, fields, dtype);
  const double x = static_cast<double>(fields[field]);
  const auto above = std::lower_bound(points.begin(), points.end(), fields[field]);
  const bool exact = above != points.end() && *above == fields[field];
  std::vector<std::int64_t> neighbours;
  if (above != points.begin() && !exact) neighbours.push_back(*std::prev(above));
  if (above != points.end()) neighbours.push_back(*above);
  std::map<double, double> curve;
  KernelTime answer;
  for (const std::int64_t point : neighbours) {
    Shape there = fields;
    there.set(field, point);
    const KernelTime time = between(operation, there, dtype, rest);
    curve[static_cast<double>(point)] = time.time_s;
    answer.rows.insert(answer.rows.end(), time.rows.begin(), time.rows.end());
  }
  answer.time_s = on_curve(curve, x);
  return answer;
}

}  // namespace chokepoint
