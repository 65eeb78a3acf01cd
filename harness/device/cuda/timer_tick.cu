#include "harness/device/cuda/timer_tick.hpp"

#include "harness/device/cuda/check.hpp"
#include "harness/device/cuda/timer_tick.cuh"

namespace chokepoint {
namespace {

class TimerStepsOnDevice {
 public:
  TimerStepsOnDevice() { check(cudaMalloc(reinterpret_cast<void**>(&steps_), sizeof(TimerSteps))); }
  ~TimerStepsOnDevice() { cudaFree(steps_); }
  TimerStepsOnDevice(const TimerStepsOnDevice&) = delete;
  TimerStepsOnDevice& operator=(const TimerStepsOnDevice&) = delete;
  TimerSteps* get() const { return steps_; }

 private:
  TimerSteps* steps_ = nullptr;
};

}  // namespace

std::optional<TimerTick> timer_tick(void* stream) {
  const auto on = static_cast<cudaStream_t>(stream);
  const TimerStepsOnDevice seen;
  timer_steps<<<1, 1, 0, on>>>(seen.get());
  check(cudaGetLastError());
  TimerSteps steps{};
  check(cudaMemcpyAsync(&steps, seen.get(), sizeof steps, cudaMemcpyDeviceToHost, on));
  check(cudaStreamSynchronize(on));
  return tick_of({steps.step_ns, steps.step_ns + steps.count});
}

}  // namespace chokepoint
