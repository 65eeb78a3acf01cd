#include "harness/claims/kernel_siblings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "harness/claims/kernel_scaling.hpp"

namespace chokepoint {
namespace {

bool same_rate(const Profile& a, const Profile& b, Resource resource, Dtype dtype) {
  const std::optional<double> ratio = rate_ratio(a, b, resource, dtype);
  return ratio && *ratio == 1.0;
}

double ratio_or(const Profile& a, const Profile& b, Resource resource, double fallback) {
  return rate_ratio(a, b, resource, Dtype::bf16).value_or(fallback);
}

bool is_transfer(const KernelRow& row) { return row.operation == "dispatch" || row.operation == "combine"; }

bool carries_over(const KernelRow& row, const Profile& from, const Profile& machine) {
  const std::int64_t gpus =
      machine.gpus_per_node ? static_cast<std::int64_t>(machine.gpus_per_node->value) : 1;
  const double link = ratio_or(machine, from, Resource::link, 0.0);
  if (row.shape.has("ranks") && row.shape["ranks"] <= gpus) return link == 1.0;
  return link >= 1.0 && same_rate(machine, from, Resource::network, row.dtype);
}

// The row as it would be on `machine`; absent where nothing is known about that.
std::optional<KernelRow> on_machine(KernelRow row, const Profile& from, const Profile& machine) {
  const auto same = [&](Resource resource) { return same_rate(machine, from, resource, row.dtype); };
  row.machine = machine.id;
  row.note += fmt::format("{}of {}", row.note.empty() ? "" : "; ", from.id);
  if (row.unit == "B") return row;  // traffic of the model, on whatever machine
  if (is_transfer(row)) return carries_over(row, from, machine) ? std::optional(row) : std::nullopt;
  if (same(Resource::compute) && same(Resource::memory)) return row;
  const std::optional<double> time_s = time_s_of(row), flop = flop_of(row), bytes = memory_bytes_of(row);
  if (!time_s || !flop || !bytes) return std::nullopt;
  const ScaledTime scaled = scaled_time(*time_s, *flop, *bytes, kernel_machine(from, row.dtype),
                                        kernel_machine(machine, row.dtype));
  row.value = scaled.time_s;
  row.unit = "s";
  row.sms.reset();
  row.note += fmt::format(", scaled by {}", std::string(to_string(scaled.branch)));
  return row;
}

// What two rows of one kernel at different sizes share.
std::string family_of(const KernelRow& row) {
  static const std::set<std::string> sizes = {"m", "batch", "context", "tokens"};
  Shape rest;
  for (const auto& [name, value] : row.shape.values())
    if (!sizes.contains(name)) rest.set(name, value);
  return fmt::format("{} {} {}", row.operation, to_string(row.dtype), rest.text());
}

// Machines of the same architecture, nearest in compute and memory first.
std::vector<const Profile*> siblings_of(const Profile& machine, const std::vector<Profile>& profiles) {
  const auto distance = [&](const Profile* other) {
    return std::abs(std::log(ratio_or(machine, *other, Resource::compute, 1e3))) +
           std::abs(std::log(ratio_or(machine, *other, Resource::memory, 1e3)));
  };
  std::vector<const Profile*> siblings;
  for (const Profile& profile : profiles)
    if (profile.architecture == machine.architecture && profile.id != machine.id)
      siblings.push_back(&profile);
  std::stable_sort(siblings.begin(), siblings.end(),
                   [&](auto* a, auto* b) { return distance(a) < distance(b); });
  return siblings;
}

void add_rows_of(const Profile& from, const Profile& machine, const std::vector<KernelFile>& files,
                 std::set<std::string>& known, std::vector<KernelRow>& rows) {
  std::set<std::string> added;
  for (const KernelFile& file : files)
    for (const KernelRow& row : file.rows) {
      if (row.machine != from.id || known.contains(family_of(row))) continue;
      if (std::optional<KernelRow> scaled = on_machine(row, from, machine)) {
        added.insert(family_of(row));
        rows.push_back(std::move(*scaled));
      }
    }
  known.merge(added);
}

}  // namespace

KernelTable kernel_table_for(const Profile& machine, const std::vector<KernelFile>& files,
                             const std::vector<Profile>& profiles) {
  std::set<std::string> known;
  for (const KernelFile& file : files)
    for (const KernelRow& row : file.rows)
      if (row.machine == machine.id) known.insert(family_of(row));
  KernelFile scaled{.id = "siblings"};
  for (const Profile* from : siblings_of(machine, profiles))
    add_rows_of(*from, machine, files, known, scaled.rows);
  std::vector<KernelFile> all = files;
  all.push_back(std::move(scaled));
  return KernelTable(machine.id, all);
}

}  // namespace chokepoint
