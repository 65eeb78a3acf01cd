#include "kernels/common/cuda/cublaslt_matmul.hpp"

#include <cuda_runtime.h>
#include <fmt/format.h>

#include <map>
#include <mutex>

#include "harness/device/cuda/check.hpp"
#include "harness/device/device.hpp"
#include "kernels/common/cuda/shared_workspace.hpp"

namespace chokepoint {
namespace {

int current_device() {
  int device = 0;
  check(cudaGetDevice(&device));
  return device;
}

// One handle per GPU, for as long as the process lives.
cublasLtHandle_t handle() {
  static std::mutex mutex;
  static std::map<int, cublasLtHandle_t> handles;
  const std::scoped_lock lock(mutex);
  cublasLtHandle_t& made = handles[current_device()];
  if (made == nullptr) check_cublaslt(cublaslt().create(&made), "opening the library");
  return made;
}

bool is_capturing(void* stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check(cudaStreamIsCapturing(static_cast<cudaStream_t>(stream), &status));
  return status != cudaStreamCaptureStatusNone;
}

class Stopwatch {
 public:
  explicit Stopwatch(void* stream) : stream_(static_cast<cudaStream_t>(stream)) {
    check(cudaEventCreate(&begin_));
    check(cudaEventCreate(&end_));
  }
  ~Stopwatch() {
    cudaEventDestroy(begin_);
    cudaEventDestroy(end_);
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

  template <class Body>
  float ms(const Body& body) {
    check(cudaEventRecord(begin_, stream_));
    body();
    check(cudaEventRecord(end_, stream_));
    check(cudaEventSynchronize(end_));
    float elapsed = 0.0F;
    check(cudaEventElapsedTime(&elapsed, begin_, end_));
    return elapsed;
  }

 private:
  cudaStream_t stream_;
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
};

}  // namespace

CublasLtMatmul::CublasLtMatmul(Device& device, const GemmTask& task, CublasLtProduct product)
    : device_(device),
      task_(task),
      product_(std::move(product)),
      workspace_(shared_workspace(device, device.stream(Lane::compute), kWorkspaceBytes)) {
  follow(device.stream(Lane::compute));
}

void CublasLtMatmul::enqueue(void* stream) {
  follow(stream);
  check_cublaslt(try_to_enqueue(taken_.choice().taken.algorithm, stream), "enqueuing a product");
}

std::vector<std::pair<std::string, std::string>> CublasLtMatmul::remarks(std::string_view which) const {
  const std::string prefix = "cublaslt_" + std::string(which);
  const CublasLtChoice& choice = taken_.choice();
  const CublasLtSuggestion& taken = choice.taken;
  std::vector<std::pair<std::string, std::string>> all = {
      {prefix + "algorithm_id", configured(CUBLASLT_ALGO_CONFIG_ID)},
      {prefix + "tile_id", configured(CUBLASLT_ALGO_CONFIG_TILE_ID)},
      {prefix + "stages_id", configured(CUBLASLT_ALGO_CONFIG_STAGES_ID)},
      {prefix + "split_k", configured(CUBLASLT_ALGO_CONFIG_SPLITK_NUM)},
      {prefix + "heuristic_rank", fmt::format("{} of {}", taken.rank, taken.of)},
      {prefix + "workspace_bytes", fmt::format("{}", taken.workspace_bytes)},
      {prefix + "workspace_budget_bytes", fmt::format("{}", taken.budget_bytes)},
      {prefix + "tried", fmt::format("{} of {}", choice.tried, choice.suggested)},
      {prefix + "multiprocessors", fmt::format("{}", taken_.multiprocessors())}};
  if (choice.default_over_best)
    all.emplace_back(prefix + "default_over_best", fmt::format("{:.3f}", *choice.default_over_best));
  return all;
}

cublasStatus_t CublasLtMatmul::try_to_enqueue(const cublasLtMatmulAlgo_t& algorithm, void* stream) const {
  return enqueue_cublaslt(cublaslt(), handle(), task_, product_, algorithm, workspace_.as<void>(), kWorkspaceBytes,
                          static_cast<cudaStream_t>(stream));
}

// All of the device's multiprocessors is the library's default, and left to it.
CublasLtChoice CublasLtMatmul::choose(int multiprocessors, void* stream) {
  static CublasLtChoices choices;
  const auto aim_at = [&](int count) { product_.set_multiprocessors(count < device_.facts().workers ? count : 0); };
  aim_at(multiprocessors);
  try {
    return choices.known_or(cublaslt_key(task_, product_, current_device(), multiprocessors),
                            [&] { return fastest(stream); });
  } catch (...) {
    if (taken_.multiprocessors() > 0) aim_at(taken_.multiprocessors());  // that of the algorithm that stays
    throw;
  }
}

void CublasLtMatmul::follow(void* stream) {
  const int reached = device_.multiprocessors(Lane::compute);
  const bool may_time = reached == taken_.multiprocessors() || !is_capturing(stream);  // asked only where it matters
  taken_.follow(reached, may_time, [&](int multiprocessors) { return choose(multiprocessors, stream); });
}

std::vector<cublasLtMatmulHeuristicResult_t> CublasLtMatmul::suggestions(std::size_t workspace_bytes) const {
  cublasLtMatmulPreference_t made = nullptr;
  check_cublaslt(cublaslt().preference_create(&made), "creating a preference");
  const std::unique_ptr<std::remove_pointer_t<cublasLtMatmulPreference_t>,
                        cublasStatus_t (*)(cublasLtMatmulPreference_t)>
      preference(made, cublaslt().preference_destroy);
  check_cublaslt(cublaslt().preference_set(made, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace_bytes,
                                           sizeof workspace_bytes),
                 "offering a workspace");
  std::vector<cublasLtMatmulHeuristicResult_t> results(kSuggestions);
  int count = 0;
  const cublasStatus_t status =
      cublaslt().suggest(handle(), product_.product(), product_.w(), product_.x(), product_.d(), product_.d(),
                         made, kSuggestions, results.data(), &count);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED) return {};
  check_cublaslt(status, "asking for algorithms");
  results.resize(static_cast<std::size_t>(count));
  return results;
}

CublasLtChoice CublasLtMatmul::fastest(void* stream) const {
  std::vector<std::vector<cublasLtMatmulHeuristicResult_t>> answers;
  for (const std::size_t budget : kWorkspaceBudgets) answers.push_back(suggestions(budget));
  const std::vector<CublasLtSuggestion> all = distinct_suggestions(answers);
  if (all.empty())
    throw Error(Fault::unsupported, "cuBLASLt has no algorithm for this shape on this GPU",
                "choose another kernel, dtype or shape");
  const auto timed = [&](const CublasLtSuggestion& one) { return time_s(one.algorithm, stream); };
  const auto chosen = fastest_suggestion(all, timed, [&] { return device_.now_s(); }, kMostSearch_s);
  if (!chosen)
    throw Error(Fault::unsupported, "none of the algorithms that cuBLASLt suggests runs",
                "choose another kernel, dtype or shape");
  return *chosen;
}

std::optional<double> CublasLtMatmul::time_s(const cublasLtMatmulAlgo_t& algorithm, void* stream) const {
  if (try_to_enqueue(algorithm, stream) != CUBLAS_STATUS_SUCCESS) return std::nullopt;  // loads its code, too
  Stopwatch stopwatch(stream);
  const auto seconds_of = [&](int launches) {
    const float ms = stopwatch.ms([&] {
      for (int launch = 0; launch < launches; ++launch)
        check_cublaslt(try_to_enqueue(algorithm, stream), "trying an algorithm");
    });
    return ms * 1e-3 / launches;
  };
  const double one_s = seconds_of(1);
  const int launches = timed_launches(one_s);
  return launches == 1 ? one_s : seconds_of(launches);
}

std::string CublasLtMatmul::configured(cublasLtMatmulAlgoConfigAttributes_t attribute) const {
  std::int32_t value = 0;
  std::size_t written = 0;
  const cublasStatus_t status =
      cublaslt().algorithm_get(&taken_.choice().taken.algorithm, attribute, &value, sizeof value, &written);
  return status == CUBLAS_STATUS_SUCCESS && written == sizeof value ? std::to_string(value) : "unknown";
}

std::pair<std::string, std::string> cublaslt_version_remark() {
  return {"cublaslt_version", std::to_string(cublaslt().version())};
}

}  // namespace chokepoint
