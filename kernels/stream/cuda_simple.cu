#include "kernels/stream/cuda_simple.cuh"

#include <algorithm>

#include "kernels/common/cuda/device_array.hpp"
#include "kernels/common/cuda/launch.cuh"
#include "kernels/stream/stream.hpp"

namespace chokepoint {
namespace {

class StreamCuda final : public DeviceLaunch {
 public:
  StreamCuda(const StreamProblem& problem, Device& device, const Pace& pace)
      : DeviceLaunch(device, Tensor("output", problem.output_dims(), Dtype::f32, "[elements]")),
        triad_(problem.pattern() == StreamPattern::triad),
        elements_(problem.b().count()),
        pace_(device_pace(pace)),
        b_(device, problem.b()),
        c_(device, problem.c()),
        tiles_(std::max<std::int64_t>(1, elements_ / 4 / kStreamTileVectors)) {}

  void run() override {
    // A green context may reach fewer multiprocessors than there are.
    const std::int64_t blocks = std::min<std::int64_t>(tiles_, 4 * device().multiprocessors(Lane::compute));
    const StreamArrays arrays = {b_.as<float>(), triad_ ? c_.as<float>() : nullptr, output_data<float>(), elements_,
                                 kTriadFactor};
    launch(triad_ ? stream_kernel<true> : stream_kernel<false>, dim3(static_cast<unsigned>(blocks)),
           dim3(kStreamThreads), 0, stream(), arrays, pace_);
  }

 private:
  bool triad_;
  std::int64_t elements_;
  DevicePace pace_;
  DeviceArray b_, c_;
  std::int64_t tiles_;
};

const Register<Kernel> kernel{{
    .name = "cuda_simple",
    .operation = "stream",
    .summary = "16-byte accesses on all SMs",
    .device = "cuda",
    .dtypes = {Dtype::f32},
    .paces = {Resource::compute, Resource::memory},
    .least_sm = 80,
    .prepare = [](const Problem& problem, Device& device, const Pace& pace) -> std::unique_ptr<Launch> {
      return std::make_unique<StreamCuda>(dynamic_cast<const StreamProblem&>(problem), device, pace);
    },
}};

}  // namespace
}  // namespace chokepoint
