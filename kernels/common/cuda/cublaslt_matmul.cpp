#include "kernels/common/cuda/cublaslt_matmul.hpp"

#include <cuda_runtime.h>

#include <limits>
#include <map>
#include <mutex>
#include <tuple>

#include "harness/device/cuda/check.hpp"
#include "harness/device/device.hpp"

namespace chokepoint {
namespace {

// cuBLAS documentation: 32 MiB for Hopper at least.
constexpr std::size_t kWorkspaceBytes = std::size_t{64} << 20;
constexpr int kSuggestions = 8, kTimedLaunches = 5;

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

// Products of one stream follow each other, so they share it.
std::shared_ptr<void> shared_workspace(Device& device, void* stream) {
  static std::mutex mutex;
  static std::map<void*, std::weak_ptr<void>> known;
  const std::scoped_lock lock(mutex);
  std::shared_ptr<void> workspace = known[stream].lock();
  if (workspace == nullptr) {
    workspace = device.allocate(kWorkspaceBytes);
    known[stream] = workspace;
  }
  return workspace;
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
    : task_(task),
      product_(std::move(product)),
      workspace_(shared_workspace(device, device.stream(Lane::compute))),
      chosen_(known_or_fastest(device.stream(Lane::compute))) {}

void CublasLtMatmul::enqueue(void* stream) const {
  check_cublaslt(try_to_enqueue(chosen_.algorithm, stream), "enqueuing a product");
}

std::vector<std::pair<std::string, std::string>> CublasLtMatmul::remarks(std::string_view which) const {
  const std::string prefix = "cublaslt_" + std::string(which);
  return {{prefix + "algorithm_id", configured(CUBLASLT_ALGO_CONFIG_ID)},
          {prefix + "tile_id", configured(CUBLASLT_ALGO_CONFIG_TILE_ID)},
          {prefix + "stages_id", configured(CUBLASLT_ALGO_CONFIG_STAGES_ID)},
          {prefix + "split_k", configured(CUBLASLT_ALGO_CONFIG_SPLITK_NUM)},
          {prefix + "heuristic_rank",
           std::to_string(chosen_.rank) + " of " + std::to_string(chosen_.suggestions)}};
}

cublasStatus_t CublasLtMatmul::try_to_enqueue(const cublasLtMatmulAlgo_t& algorithm, void* stream) const {
  return enqueue_cublaslt(cublaslt(), handle(), task_, product_, algorithm, workspace_.get(), kWorkspaceBytes,
                          static_cast<cudaStream_t>(stream));
}

// Copies of a problem take the same algorithm.
CublasLtMatmul::Algorithm CublasLtMatmul::known_or_fastest(void* stream) const {
  using Key = std::tuple<int, Dtype, Dtype, GemmLayout, std::int64_t, std::int64_t, std::int64_t>;
  static std::mutex mutex;
  static std::map<Key, Algorithm> known;
  const Key key{current_device(), task_.dtype, task_.c_dtype, task_.b_layout, task_.m, task_.n, task_.k};
  const std::scoped_lock lock(mutex);
  const auto found = known.find(key);
  return found != known.end() ? found->second : known[key] = fastest(stream);
}

std::vector<cublasLtMatmulHeuristicResult_t> CublasLtMatmul::suggestions() const {
  cublasLtMatmulPreference_t made = nullptr;
  check_cublaslt(cublaslt().preference_create(&made), "creating a preference");
  const std::unique_ptr<std::remove_pointer_t<cublasLtMatmulPreference_t>,
                        cublasStatus_t (*)(cublasLtMatmulPreference_t)>
      preference(made, cublaslt().preference_destroy);
  check_cublaslt(cublaslt().preference_set(made, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &kWorkspaceBytes,
                                           sizeof kWorkspaceBytes),
                 "offering a workspace");
  std::vector<cublasLtMatmulHeuristicResult_t> results(kSuggestions);
  int count = 0;
  const cublasStatus_t status =
      cublaslt().suggest(handle(), product_.product(), product_.w(), product_.x(), product_.d(), product_.d(),
                         made, kSuggestions, results.data(), &count);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED || (status == CUBLAS_STATUS_SUCCESS && count == 0))
    throw Error(Fault::unsupported, "cuBLASLt has no algorithm for this shape on this GPU",
                "choose another kernel, dtype or shape");
  check_cublaslt(status, "asking for algorithms");
  results.resize(static_cast<std::size_t>(count));
  return results;
}

CublasLtMatmul::Algorithm CublasLtMatmul::fastest(void* stream) const {
  const std::vector<cublasLtMatmulHeuristicResult_t> results = suggestions();
  Stopwatch stopwatch(stream);
  float least = std::numeric_limits<float>::infinity();
  Algorithm best;
  best.suggestions = static_cast<int>(results.size());
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (results[i].state != CUBLAS_STATUS_SUCCESS) continue;
    if (try_to_enqueue(results[i].algo, stream) != CUBLAS_STATUS_SUCCESS) continue;
    const float ms = stopwatch.ms([&] {
      for (int launch = 0; launch < kTimedLaunches; ++launch)
        check_cublaslt(try_to_enqueue(results[i].algo, stream), "trying an algorithm");
    });
    if (ms >= least) continue;
    least = ms;
    best.algorithm = results[i].algo;
    best.rank = static_cast<int>(i) + 1;
  }
  if (best.rank == 0)
    throw Error(Fault::unsupported, "none of the algorithms that cuBLASLt suggests runs",
                "choose another kernel, dtype or shape");
  return best;
}

std::string CublasLtMatmul::configured(cublasLtMatmulAlgoConfigAttributes_t attribute) const {
  std::int32_t value = 0;
  std::size_t written = 0;
  const cublasStatus_t status =
      cublaslt().algorithm_get(&chosen_.algorithm, attribute, &value, sizeof value, &written);
  return status == CUBLAS_STATUS_SUCCESS && written == sizeof value ? std::to_string(value) : "unknown";
}

std::pair<std::string, std::string> cublaslt_version_remark() {
  return {"cublaslt_version", std::to_string(cublaslt().version())};
}

}  // namespace chokepoint
