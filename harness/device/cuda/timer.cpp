#include "harness/device/cuda/timer.hpp"

#include <cuda.h>

#include <algorithm>
#include <atomic>
#include <cmath>

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

TimedGraphs::TimedGraphs(const std::vector<std::function<void()>>& launches, cudaStream_t on)
    : stream(on), turns(launches.size()) {
  for (const auto& launch : launches) launch();  // what is set up on first use is not captured
  check(cudaStreamSynchronize(stream));
  per_sample = launches_per_sample(estimate_s(launches.front(), stream));
  for (const std::vector<std::size_t>& members : rotation(launches.size(), per_sample)) {
    graphs.emplace_back(stream, [&] {
      for (std::size_t member : members) launches[member]();
    });
    graphs.back().upload();
  }
  turns = CopyTurns(graphs.size());
  check(cudaStreamSynchronize(stream));
}

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
