// A kernel whose last thread writes where nothing is, to see that a fault of a GPU costs its own cases alone.
#include "kernels/common/cuda/device_array.hpp"
#include "kernels/common/cuda/launch.cuh"

namespace chokepoint {
namespace {

__global__ void write_beyond(float* to, std::int64_t elements) {
  const std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i == elements - 1) *reinterpret_cast<volatile float*>(std::uintptr_t{16}) = to[i];
}

class Faults final : public DeviceLaunch {
 public:
  Faults(const Problem& problem, Device& device)
      : DeviceLaunch(device, Tensor("output", problem.output_dims(), problem.output_dtype())),
        elements_(problem.inputs().front()->count()) {}
  void run() override {
    const auto blocks = static_cast<unsigned>((elements_ + 255) / 256);
    launch(write_beyond, dim3(blocks), dim3(256), 0, stream(), output_data<float>(), elements_);
  }

 private:
  std::int64_t elements_;
};

const Register<Kernel> kernel{{
    .name = "cuda_faults",
    .operation = "stream",
    .summary = "misbehaves, for tests",
    .device = "cuda",
    .dtypes = {Dtype::f32},
    .paces = {Resource::compute, Resource::memory},
    .probes = false,
    .prepare = [](const Problem& problem, Device& device, const Pace&) -> std::unique_ptr<Launch> {
      return std::make_unique<Faults>(problem, device);
    },
}};

}  // namespace
}  // namespace chokepoint
