#include "harness/report/gpu_evidence.hpp"

#include <algorithm>
#include <filesystem>

#include "harness/base/strings.hpp"
#include "harness/report/records.hpp"

namespace chokepoint {
namespace {

constexpr const char* kUnverified = "unverified on a GPU";

std::string text_of(const Kernel& kernel, Dtype dtype, const GpuEvidence& evidence) {
  const auto found = evidence.find(registry_key(kernel) + "/" + std::string(to_string(dtype)));
  if (found == evidence.end()) return kUnverified;
  return joined(std::vector<std::string>(found->second.begin(), found->second.end()), " ");
}

}  // namespace

GpuEvidence gpu_evidence(const std::vector<Record>& records) {
  GpuEvidence evidence;
  for (const Record& record : records) {
    const bool right = record.status == Status::ok && record.verification && record.verification->passed;
    if (!right || record.device.value("kind", "") != "cuda") continue;
    evidence[record.operation + "/" + record.kernel + "/" + std::string(to_string(record.dtype))].insert(
        record.device.value("architecture", "a GPU"));
  }
  return evidence;
}

GpuEvidence gpu_evidence_in(const std::string& results) {
  namespace fs = std::filesystem;
  std::vector<std::string> folders;
  if (!fs::is_directory(results)) return {};
  for (const auto& entry : fs::directory_iterator(results))
    if (fs::exists(entry.path() / "records.jsonl")) folders.push_back(entry.path());
  std::sort(folders.begin(), folders.end());
  return gpu_evidence(read_records(folders).records);
}

std::string gpu_evidence_text(const Kernel& kernel, const GpuEvidence& evidence) {
  if (kernel.device != "cuda") return "";
  std::vector<std::string> each, texts;
  for (const Dtype dtype : kernel.dtypes) {
    texts.push_back(text_of(kernel, dtype, evidence));
    each.push_back(std::string(to_string(dtype)) + ": " + texts.back());
  }
  const bool all_the_same = std::adjacent_find(texts.begin(), texts.end(), std::not_equal_to<>()) == texts.end();
  return all_the_same && !texts.empty() ? texts.front() : joined(each, "; ");
}

}  // namespace chokepoint
