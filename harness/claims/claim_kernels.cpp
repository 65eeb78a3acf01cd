#include "harness/claims/claim_kernels.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "harness/claims/kernel_records.hpp"
#include "harness/claims/kernel_siblings.hpp"

namespace chokepoint {
namespace {

constexpr std::int64_t kLeastRowsOfTraining = 4096;  // products of fewer are bound by memory

// Read once per folder: every what-if asks again.
template <class T>
const T& once_per_folder(const std::string& configs, T (*load)(const std::string&)) {
  static std::mutex mutex;
  static std::map<std::string, T> known;
  const std::lock_guard lock(mutex);
  const auto found = known.find(configs);
  return found != known.end() ? found->second : known.emplace(configs, load(configs)).first->second;
}

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
  return fmt::format("attn.{}.{}_{}", pass, row.shape["qk_dim"], row.shape["v_dim"]);
}

std::string replaced_text(const KernelTable& table, const KernelRow& row) {
  for (const Replacement& replacement : table.replacements())
    if (replacement.measured.source == row.source && replacement.measured.shape == row.shape)
      return fmt::format(", {:+.1f} % against {}", 100.0 * replacement.change, replacement.published.source);
  return "";
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
      table->add_measured(row);
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
                                           row->note, replaced_text(table, *row));
    prepared.inputs.push_back({input_key(*row), time_s ? *time_s * 1e6 : row->value, time_s ? "us" : row->unit,
                               row->grade, source});
  }
}

std::optional<double> measured_time_ratio(const std::string& configs, std::string_view operation,
                                          const std::string& machine, const std::string& other) {
  if (machine == other) return std::nullopt;
  const auto& files = once_per_folder<std::vector<KernelFile>>(configs, load_kernel_files);
  const KernelTable own(machine, files), its(other, files);
  double own_s = 0.0, its_s = 0.0;
  for (const KernelRow& row : own.rows()) {
    if (row.operation != operation || row.in_place || own.find(operation, row.shape, row.dtype) != &row) continue;
    if (row.shape.has("m") && row.shape["m"] < kLeastRowsOfTraining) continue;
    const KernelRow* same = its.find(operation, row.shape, row.dtype);
    const std::optional<double> own_time = time_s_of(row), its_time = same ? time_s_of(*same) : std::nullopt;
    if (!own_time || !its_time || same->in_place) continue;
    own_s += *own_time;
    its_s += *its_time;
  }
  return its_s > 0.0 ? std::optional(own_s / its_s) : std::nullopt;
}

double set_ratio(const Machine& machine, Resource resource) {
  if (!machine.rate[resource].is_set) return 1.0;
  const Machine own = machine_of(machine.profile);
  return machine.nominal(resource) / own.nominal(resource);
}

}  // namespace chokepoint
