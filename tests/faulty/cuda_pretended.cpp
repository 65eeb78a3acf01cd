// A device that says it is a GPU in the place where the fake NVML's first one is, and computes on the CPU: to see what
// `run` does with root-only knobs where there is no GPU. Its one kernel copies, or does what the environment's
// PRETENDED_FAULT says: `hang` or `crash`.
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "harness/device/device.hpp"
#include "tests/faulty/faulty.hpp"

namespace chokepoint {
namespace {

class CudaPretended final : public Device {
 public:
  CudaPretended() : facts_(cpu_->facts()) {
    facts_.kind = "cuda_pretended";
    facts_.more["pci_bus_id"] = "00000000:01:00.0";
  }
  const DeviceFacts& facts() const override { return facts_; }
  double time_s(const std::function<void()>& work) override { return cpu_->time_s(work); }
  double now_s() override { return cpu_->now_s(); }

 private:
  std::unique_ptr<Device> cpu_ = open_device("cpu");
  DeviceFacts facts_;
};

const Register<DeviceDriver> driver{{.name = "cuda_pretended",
                                     .open = [](int) { return std::make_unique<CudaPretended>(); },
                                     .describe = [] { return std::string("pretends, for tests"); }}};

void copy_or_fail(const Tensor& from, Tensor& to, const Pace&) {
  const char* variable = std::getenv("PRETENDED_FAULT");
  const std::string fault = variable ? variable : "";
  while (fault == "hang") std::this_thread::sleep_for(std::chrono::seconds(1));
  if (fault == "crash") std::raise(SIGSEGV);
  std::memcpy(to.data(), from.data(), static_cast<std::size_t>(from.bytes()));
}

Kernel pretended_kernel() {
  Kernel kernel = faulty_kernel("cuda_pretended", copy_or_fail);
  kernel.device = "cuda_pretended";
  return kernel;
}

const Register<Kernel> kernel{pretended_kernel()};

}  // namespace
}  // namespace chokepoint
