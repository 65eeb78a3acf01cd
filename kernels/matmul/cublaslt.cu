// matmul by cuBLASLt, found at run time: f32 without TF32, bf16, and fp8 with the scales of DeepSeek-V3
// (sm_90). Its heuristic's suggestions are timed on first use of a shape, and the fastest is kept. Paces
// nothing, so it runs uncapped.
#include <cuda_runtime.h>
#include <fmt/format.h>

#include <limits>
#include <map>
#include <mutex>
#include <tuple>

#include "kernels/common/cuda/device_array.hpp"
#include "kernels/matmul/cublaslt_product.hpp"

namespace chokepoint {
namespace {

constexpr std::size_t kWorkspaceBytes = std::size_t{64}
                                        << 20;  // cuBLAS documentation: 32 MiB for Hopper at least
constexpr int kSuggestions = 8, kTimedLaunches = 5;

void check(cudaError_t code, const char* step) {
  if (code != cudaSuccess)
    throw Error(Fault::device, std::string("matmul/cublaslt: ") + step + ": " + cudaGetErrorString(code),
                "`chokepoint doctor` shows the state of the GPU");
}

int current_device() {
  int device = 0;
  check(cudaGetDevice(&device), "asking for the current device");
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

// Launches of one stream follow each other, so they share it.
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

// A suggestion, and what is said about it in the record.
struct Algorithm {
  cublasLtMatmulAlgo_t algorithm = {};
  int rank = 0, suggestions = 0;  // place in the heuristic's order, from 1
};

class Stopwatch {
 public:
  explicit Stopwatch(void* stream) : stream_(static_cast<cudaStream_t>(stream)) {
    check(cudaEventCreate(&begin_), "making an event");
    check(cudaEventCreate(&end_), "making an event");
  }
  ~Stopwatch() {
    cudaEventDestroy(begin_);
    cudaEventDestroy(end_);
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

  template <class Body>
  float ms(const Body& body) {
    check(cudaEventRecord(begin_, stream_), "reading the clock");
    body();
    check(cudaEventRecord(end_, stream_), "reading the clock");
    check(cudaEventSynchronize(end_), "trying an algorithm");
    float elapsed = 0.0F;
    check(cudaEventElapsedTime(&elapsed, begin_, end_), "reading the clock");
    return elapsed;
  }

 private:
  cudaStream_t stream_;
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
};

class MatmulCublasLt final : public DeviceLaunch {
 public:
  MatmulCublasLt(const MatmulProblem& problem, Device& device)
      : DeviceLaunch(device,
                     Tensor("output", problem.output_dims(), problem.output_dtype(), "[m, n] row-major")),
        a_(device, problem.a()),
        b_(device, problem.b()),
        product_(problem.m(), problem.n(), problem.k(), problem.b_layout(), problem.dtype()) {
    if (problem.dtype() == Dtype::fp8_e4m3) {
      w_scale_ = upload(cublaslt_w_scales(problem.b_scale()));
      x_scale_ = upload(cublaslt_x_scales(problem.a_scale()));
      product_.set_scales(w_scale_.as<float>(), x_scale_.as<float>());
    }
    workspace_ = shared_workspace(device, stream());
    chosen_ = algorithm_for({current_device(), static_cast<int>(problem.dtype()),
                             static_cast<int>(problem.b_layout()), problem.m(), problem.n(), problem.k()});
  }

  void run() override { check_cublaslt(enqueue(chosen_.algorithm), "enqueuing a product"); }

  std::vector<std::pair<std::string, std::string>> remarks() const override {
    return {{"cublaslt_version", std::to_string(cublaslt().version())},
            {"cublaslt_algorithm_id", configured(CUBLASLT_ALGO_CONFIG_ID)},
            {"cublaslt_tile_id", configured(CUBLASLT_ALGO_CONFIG_TILE_ID)},
            {"cublaslt_stages_id", configured(CUBLASLT_ALGO_CONFIG_STAGES_ID)},
            {"cublaslt_split_k", configured(CUBLASLT_ALGO_CONFIG_SPLITK_NUM)},
            {"cublaslt_heuristic_rank",
             std::to_string(chosen_.rank) + " of " + std::to_string(chosen_.suggestions)}};
  }

 private:
  using Key = std::tuple<int, int, int, std::int64_t, std::int64_t, std::int64_t>;

  DeviceArray upload(const std::vector<float>& values) {
    return {device(), values.data(), static_cast<std::int64_t>(values.size() * sizeof(float))};
  }

  cublasStatus_t enqueue(const cublasLtMatmulAlgo_t& algorithm) const {
    const float one = 1.0F, zero = 0.0F;
    void* d = output_data<void>();
    return cublaslt().multiply(handle(), product_.product(), &one, b_.as<void>(), product_.w(), a_.as<void>(),
                               product_.x(), &zero, d, product_.d(), d, product_.d(), &algorithm,
                               workspace_.get(), kWorkspaceBytes, static_cast<cudaStream_t>(stream()));
  }

  // Copies of a problem take the same algorithm.
  Algorithm algorithm_for(const Key& key) const {
    static std::mutex mutex;
    static std::map<Key, Algorithm> known;
    const std::scoped_lock lock(mutex);
    const auto found = known.find(key);
    return found != known.end() ? found->second : known[key] = fastest();
  }

  std::vector<cublasLtMatmulHeuristicResult_t> suggestions() const {
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
        cublaslt().suggest(handle(), product_.product(), product_.w(), product_.x(), product_.d(),
                           product_.d(), made, kSuggestions, results.data(), &count);
    if (status == CUBLAS_STATUS_NOT_SUPPORTED || (status == CUBLAS_STATUS_SUCCESS && count == 0))
      throw Error(Fault::unsupported,
                  "matmul/cublaslt: the library has no algorithm for this shape on this GPU",
                  "choose another kernel, dtype or shape");
    check_cublaslt(status, "asking for algorithms");
    results.resize(static_cast<std::size_t>(count));
    return results;
  }

  Algorithm fastest() const {
    const std::vector<cublasLtMatmulHeuristicResult_t> results = suggestions();
    Stopwatch stopwatch(stream());
    float least = std::numeric_limits<float>::infinity();
    Algorithm best;
    best.suggestions = static_cast<int>(results.size());
    for (std::size_t i = 0; i < results.size(); ++i) {
      if (results[i].state != CUBLAS_STATUS_SUCCESS || enqueue(results[i].algo) != CUBLAS_STATUS_SUCCESS)
        continue;
      const float ms = stopwatch.ms([&] {
        for (int launch = 0; launch < kTimedLaunches; ++launch)
          check_cublaslt(enqueue(results[i].algo), "trying an algorithm");
      });
      if (ms >= least) continue;
      least = ms;
      best.algorithm = results[i].algo;
      best.rank = static_cast<int>(i) + 1;
    }
    if (best.rank == 0)
      throw Error(Fault::unsupported, "matmul/cublaslt: none of the suggested algorithms runs",
                  "choose another kernel, dtype or shape");
    return best;
  }

  std::string configured(cublasLtMatmulAlgoConfigAttributes_t attribute) const {
    std::int32_t value = 0;
    std::size_t written = 0;
    const cublasStatus_t status =
        cublaslt().algorithm_get(&chosen_.algorithm, attribute, &value, sizeof value, &written);
    return status == CUBLAS_STATUS_SUCCESS && written == sizeof value ? std::to_string(value) : "unknown";
  }

  DeviceArray a_, b_, w_scale_, x_scale_;
  CublasLtProduct product_;
  std::shared_ptr<void> workspace_;
  Algorithm chosen_;
};

// 130100 is 13.1.0.
std::string describe() {
  const CublasLt& found = cublaslt();
  if (!found.missing.empty()) return found.missing;
  const std::size_t version = found.version();
  return fmt::format("{}.{}.{}, {}", version / 10000, version / 100 % 100, version % 100, found.name);
}

const Register<OptionalLibrary> library{{.name = "cublaslt", .describe = describe}};

const Register<Kernel> kernel{{
    .name = "cublaslt",
    .operation = "matmul",
    .summary = "cublasLtMatmul of cuBLAS, found at run time; the fastest of its suggestions",
    .device = "cuda",
    .dtypes = {Dtype::f32, Dtype::bf16, Dtype::fp8_e4m3},
    .least_sm = 80,
    .unsupported = cublaslt_unsupported,
    .prepare = [](const Problem& any, Device& device, const Pace&) -> std::unique_ptr<Launch> {
      const auto& problem = dynamic_cast<const MatmulProblem&>(any);
      const Shape shape = {{"m", problem.m()},
                           {"n", problem.n()},
                           {"k", problem.k()},
                           {"b_layout", problem.b_layout() == BLayout::nk ? "nk" : "kn"}};
      if (const auto reason = cublaslt_unsupported(shape, problem.dtype()))
        throw Error(Fault::unsupported, "matmul/cublaslt: " + *reason, "choose another kernel or dtype");
      return std::make_unique<MatmulCublasLt>(problem, device);
    },
}};

}  // namespace
}  // namespace chokepoint
