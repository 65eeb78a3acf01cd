#include "harness/device/cuda/timer.hpp"

#include <cuda.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <numeric>

#include "harness/device/cuda/check.hpp"

namespace chokepoint {
namespace {

class Event {
 public:
  Event() { check(cudaEventCreate(&event_)); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  cudaEvent_t get() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

// Seconds that one launch takes when enqueued plainly: the fastest of three, the first of which loads code.
double estimate_s(const std::function<void()>& launch, cudaStream_t stream) {
  const Event before, after;
  double best_s = INFINITY;
  for (int i = 0; i < 3; ++i) {
    check(cudaEventRecord(before.get(), stream));
    launch();
    check(cudaEventRecord(after.get(), stream));
    check(cudaEventSynchronize(after.get()));
    float milliseconds = 0.0F;
    check(cudaEventElapsedTime(&milliseconds, before.get(), after.get()));
    best_s = std::min(best_s, static_cast<double>(milliseconds) * 1e-3);
  }
  return best_s;
}

}  // namespace

int launches_per_sample(double launch_s) {
  if (launch_s >= kShortLaunch_s) return 1;
  return std::clamp(static_cast<int>(std::ceil(kShortLaunch_s / std::max(launch_s, 1e-7))), 1,
                    kMostLaunchesPerSample);
}

std::vector<std::vector<std::size_t>> rotation(std::size_t launches, int per_sample, std::size_t most) {
  const auto each = static_cast<std::size_t>(per_sample);
  const std::size_t graphs = std::min(most, launches / std::gcd(launches, each));
  std::vector<std::vector<std::size_t>> plan(graphs);
  for (std::size_t g = 0; g < graphs; ++g)
    for (std::size_t i = 0; i < each; ++i) plan[g].push_back((g * each + i) % launches);
  return plan;
}

CudaGraphTimer::CudaGraphTimer(std::vector<std::function<void()>> launches, cudaStream_t stream)
    : stream_(stream) {
  for (const auto& launch : launches) launch();  // what is set up on first use is not captured
  check(cudaStreamSynchronize(stream));
  per_sample_ = chokepoint::launches_per_sample(estimate_s(launches.front(), stream));
  for (const std::vector<std::size_t>& members : rotation(launches.size(), per_sample_)) {
    graphs_.emplace_back(stream, [&] {
      for (std::size_t member : members) launches[member]();
    });
    graphs_.back().upload();
  }
  check(cudaStreamSynchronize(stream));
}

void CudaGraphTimer::enqueue() { graphs_[next_++ % graphs_.size()].launch(); }

Gate::Gate(cudaStream_t stream) : stream_(stream) {
  check(cudaHostAlloc(reinterpret_cast<void**>(&flag_), sizeof(unsigned), cudaHostAllocMapped));
  *flag_ = 0;
  cudaDriverEntryPointQueryResult found{};
  if (cudaGetDriverEntryPointByVersion("cuStreamWaitValue32", &wait_value_, 12000, cudaEnableDefault, &found) !=
          cudaSuccess ||
      found != cudaDriverEntryPointSuccess)
    wait_value_ = nullptr;
}

Gate::~Gate() { cudaFreeHost(flag_); }

void Gate::close() {
  ++round_;
  if (wait_value_ == nullptr) return;
  void* address = nullptr;
  check(cudaHostGetDevicePointer(&address, flag_, 0));
  const auto wait = reinterpret_cast<CUresult (*)(CUstream, CUdeviceptr, cuuint32_t, unsigned)>(wait_value_);
  check_gpu(static_cast<int>(wait(stream_, reinterpret_cast<CUdeviceptr>(address), round_, CU_STREAM_WAIT_VALUE_GEQ)),
            "the driver does not hold a stream at a gate");
}

void Gate::open() noexcept { std::atomic_ref<unsigned>(*flag_).store(round_, std::memory_order_release); }

}  // namespace chokepoint
