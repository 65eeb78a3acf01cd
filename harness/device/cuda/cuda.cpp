// NVIDIA GPUs as devices: discovery, facts and a stopwatch of CUDA events. Kernels for them register
// themselves with device = "cuda". Not yet verified on a GPU: see README, "What it cannot tell".
//
// Links the static CUDA runtime, which loads the driver when first used: the program starts on machines
// without one.
#include <cuda_runtime.h>
#include <fmt/format.h>

#include <chrono>
#include <source_location>

#include "harness/base/error.hpp"
#include "harness/device/device.hpp"

namespace chokepoint {
namespace {

std::string remedy_for(cudaError_t code) {
  switch (code) {
    case cudaErrorNoDevice:
      return "no NVIDIA GPU is visible; check CUDA_VISIBLE_DEVICES, or use --device cpu";
    case cudaErrorInsufficientDriver:
      return "the driver is missing or too old; install or update it, or use --device cpu";
    case cudaErrorMemoryAllocation:
      return "make the shape smaller or free the GPU";
    default:
      return "see the CUDA documentation of this error, or use --device cpu";
  }
}

void check(cudaError_t code, const std::source_location& at = std::source_location::current()) {
  if (code != cudaSuccess)
    throw Error(Fault::device, fmt::format("CUDA: {}", cudaGetErrorString(code)), remedy_for(code), at);
}

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

class Cuda final : public Device {
 public:
  explicit Cuda(int index) {
    check(cudaSetDevice(index));
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, index));
    int driver = 0, runtime = 0;
    check(cudaDriverGetVersion(&driver));
    check(cudaRuntimeGetVersion(&runtime));
    facts_.kind = "cuda";
    facts_.name = properties.name;
    facts_.architecture = fmt::format("sm_{}{}", properties.major, properties.minor);
    facts_.workers = properties.multiProcessorCount;
    facts_.last_level_cache_bytes = properties.l2CacheSize;
    facts_.memory_bytes = static_cast<std::int64_t>(properties.totalGlobalMem);
    facts_.more = {{"driver", driver}, {"runtime", runtime}, {"pci_bus", properties.pciBusID}};
  }

  const DeviceFacts& facts() const override { return facts_; }

  // Events around what `work` enqueues on the default stream; resolution about 0.5 us (CUDA Runtime API,
  // event management).
  double time_s(const std::function<void()>& work) override {
    const Event before, after;
    check(cudaEventRecord(before.get()));
    work();
    check(cudaEventRecord(after.get()));
    check(cudaEventSynchronize(after.get()));
    float milliseconds = 0.0F;
    check(cudaEventElapsedTime(&milliseconds, before.get(), after.get()));
    return static_cast<double>(milliseconds) * 1e-3;
  }

  double now_s() override {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  }

 private:
  DeviceFacts facts_;
};

const Register<DeviceDriver> driver{
    {.name = "cuda",
     .open = [](int index) -> std::unique_ptr<Device> { return std::make_unique<Cuda>(index); },
     .describe = []() -> std::string {
       int count = 0;
       if (const cudaError_t code = cudaGetDeviceCount(&count); code != cudaSuccess)
         return fmt::format("{}; {}", cudaGetErrorString(code), remedy_for(code));
       std::string text = fmt::format("{} device{}", count, count == 1 ? "" : "s");
       for (int i = 0; i < count; ++i) text += fmt::format(", cuda:{} {}", i, Cuda(i).facts().name);
       return text;
     }}};

}  // namespace
}  // namespace chokepoint
