#include "harness/claims/claim_kernels.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/strings.hpp"
#include "harness/claims/kernel_records.hpp"
#include "harness/claims/kernel_siblings.hpp"
#include "harness/claims/once_per_folder.hpp"

namespace chokepoint {
namespace {

constexpr std::int64_t kLeastRowsOfTraining = 4096;  // products of fewer are bound by memory

// "deepseek-ai/DeepGEMM" of "github:deepseek-ai/DeepGEMM@4496024"; empty when it is no repository.
std::string repository_of(const std::string& url) {
  const std::string prefix = "github:";
  if (url.rfind(prefix, 0) != 0) return "";
  return url.substr(prefix.size(), url.find_first_of("@ (", prefix.size()) - prefix.size());
}

std::vector<KernelFile> without_rows(const std::string& repository, std::vector<KernelFile> files) {
  for (KernelFile& file : files)
    std::erase_if(file.rows, [&](const KernelRow& row) { return row.source.find(repository) != std::string::npos; });
  return files;
}

// "alibaba/InferSim f2293da" of "alibaba/InferSim f2293da, bench_data (h20)".
std::string origin_of(const KernelRow& row) { return row.source.substr(0, row.source.find(',')); }

// The same kernel as the same people measured it, alone: of another build the ratio would be one of builds too.
const KernelRow* same_measurement(const KernelTable& table, const KernelRow& row) {
  for (const KernelRow& other : table.rows())
    if (other.operation == row.operation && other.dtype == row.dtype && other.shape == row.shape && !other.in_place &&
        origin_of(other) == origin_of(row))
      return &other;
  return nullptr;
}

std::string dtype_name(Dtype dtype) { return dtype == Dtype::fp8_e4m3 ? "fp8" : std::string(to_string(dtype)); }

std::string dimensions(const KernelRow& row) {
  std::string text;
  for (const char* field : {"groups", "m", "n", "k"})
    if (row.shape.has(field)) text += fmt::format("{}{}", text.empty() ? "" : "x", row.shape[field]);
  return text;
}

std::string attention_key(const KernelRow& row) {
  const bool is_decode = row.shape.has("mode") && row.shape.word("mode") == "decode";
  const char* pass = row.operation == "attention_backward" ? "bwd" : is_decode ? "decode" : "fwd";
  std::string key = fmt::format("attn.{}.{}_{}", pass, row.shape["qk_dim"], row.shape["v_dim"]);
  if (is_decode && row.shape.has("batch") && row.shape.has("context"))
    key += fmt::format(".{}x{}", row.shape["batch"], row.shape["context"]);
  return key;
}

std::string time_text(const KernelRow& row) { return fmt::format("{:.4g} us", 1e6 * time_s_of(row).value()); }

// The published row whose place this one took, or the measured one that was too slow to take its.
std::string compared_text(const KernelTable& table, const KernelRow& row) {
  for (const Replacement& one : table.replacements())
    if (one.measured.source == row.source && one.measured.shape == row.shape)
      return fmt::format(", in place of the published {} of {} ({:+.1f} %)", time_text(one.published),
                         one.published.source, 100.0 * one.change);
  for (const Replacement& one : table.slower())
    if (one.published.source == row.source && one.published.shape == row.shape)
      return fmt::format(", kept: measured {} by {} is {:.1f} % slower ({})", time_text(one.measured),
                         one.measured.name, 100.0 * one.change, one.measured.source);
  return "";
}

void add_once(std::vector<std::string>& list, const std::string& text) {
  if (!text.empty() && std::find(list.begin(), list.end(), text) == list.end()) list.push_back(text);
}

// Which of these rows are measured ones, and which measured ones were too slow to stand here.
void add_record_notes(const KernelTable& table, const std::vector<const KernelRow*>& rows, Prepared& prepared) {
  const auto is_used = [&](const KernelRow& row) {
    return std::any_of(rows.begin(), rows.end(), [&](const KernelRow* used) {
      return used->source == row.source && used->shape == row.shape;
    });
  };
  std::vector<std::string> taken, slower;
  for (const Replacement& one : table.replacements())
    if (is_used(one.measured)) add_once(taken, fmt::format("{} {:+.0f} %", one.measured.name, 100.0 * one.change));
  for (const Replacement& one : table.slower())
    if (is_used(one.published))
      add_once(slower, fmt::format("{} of {} {:+.0f} %", one.measured.name, one.published.name, 100.0 * one.change));
  if (!taken.empty())
    add_once(prepared.notes, "records took the place of published rows: " + joined(taken, ", "));
  if (!slower.empty())
    add_once(prepared.notes,
             fmt::format("records were more than {:.0f} % slower than published rows, which stay (--take measured "
                         "takes them): {}",
                         100.0 * (kMostSlowerBuild - 1.0), joined(slower, ", ")));
}

}  // namespace

std::shared_ptr<const KernelTable> kernels_for(const Scene& scene, bool own_source) {
  std::vector<KernelFile> files = once_per_folder<std::vector<KernelFile>>(scene.configs, load_kernel_files);
  const std::string repository = repository_of(scene.claim.source.url);
  if (!own_source && !repository.empty()) files = without_rows(repository, std::move(files));
  const std::vector<Profile>& profiles = once_per_folder<std::vector<Profile>>(scene.configs, load_profiles);
  auto table = std::make_shared<KernelTable>(kernel_table_for(scene.machine->profile, files, profiles));
  if (scene.records)
    for (const KernelRow& row : measured_rows(*scene.records, scene.machine->profile, profiles).rows)
      table->add_measured(row, scene.measured_use);
  return table;
}

std::string input_key(const KernelRow& row) {
  if (row.operation == "dispatch" || row.operation == "combine")
    return fmt::format("a2a.{}.{}", row.operation, dtype_name(row.dtype));
  if (row.operation == "traffic") return "stream.aux";
  if (row.operation.rfind("attention", 0) == 0 && row.shape.has("qk_dim")) return attention_key(row);
  if (row.operation.find("matmul") != std::string::npos)
    return fmt::format("gemm.{}.{}", dtype_name(row.dtype), dimensions(row));
  return row.operation + "." + row.name;
}

void add_kernel_inputs(const KernelTable& table, const std::vector<const KernelRow*>& rows, Prepared& prepared) {
  std::vector<const KernelRow*> seen;
  for (const KernelRow* row : rows) {
    if (std::find(seen.begin(), seen.end(), row) != seen.end()) continue;
    seen.push_back(row);
    const std::optional<double> time_s = time_s_of(*row);
    const std::string source = fmt::format("{}: {}{}{}{}", row->source, row->name, row->note.empty() ? "" : ", ",
                                           row->note, compared_text(table, *row));
    prepared.inputs.push_back({input_key(*row), time_s ? *time_s * 1e6 : row->value, time_s ? "us" : row->unit,
                               row->grade, source});
  }
  add_record_notes(table, rows, prepared);
}

std::optional<double> measured_time_ratio(const std::vector<KernelFile>& files, std::string_view operation,
                                          const std::string& machine, const std::string& other) {
  if (machine == other) return std::nullopt;
  const KernelTable own(machine, files), its(other, files);
  double own_s = 0.0, its_s = 0.0;
  for (const KernelRow& row : own.rows()) {
    if (row.operation != operation || row.in_place || own.find(operation, row.shape, row.dtype) != &row) continue;
    if (row.shape.has("m") && row.shape["m"] < kLeastRowsOfTraining) continue;
    const KernelRow* same = same_measurement(its, row);
    const std::optional<double> own_time = time_s_of(row), its_time = same ? time_s_of(*same) : std::nullopt;
    if (!own_time || !its_time) continue;
    own_s += *own_time;
    its_s += *its_time;
  }
  return its_s > 0.0 ? std::optional(own_s / its_s) : std::nullopt;
}

std::optional<double> measured_time_ratio(const std::string& configs, std::string_view operation,
                                          const std::string& machine, const std::string& other) {
  return measured_time_ratio(once_per_folder<std::vector<KernelFile>>(configs, load_kernel_files), operation, machine,
                             other);
}

double set_ratio(const Machine& machine, Resource resource) {
  if (!machine.rate[resource].is_set) return 1.0;
  const Machine own = machine_of(machine.profile);
  return machine.nominal(resource) / own.nominal(resource);
}

}  // namespace chokepoint
