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
        c_(device, problem.c()) {
    const std::int64_t tiles = std::max<std::int64_t>(1, elements_ / 4 / kStreamTileVectors);
    blocks_ = static_cast<unsigned>(std::min<std::int64_t>(tiles, 4 * device.facts().workers));
  }

  void run() override {
    const StreamArrays arrays = {b_.as<float>(), triad_ ? c_.as<float>() : nullptr, output_data<float>(), elements_,
                                 kTriadFactor};
    launch(triad_ ? stream_kernel<true> : stream_kernel<false>, dim3(blocks_), dim3(kStreamThreads), 0, stream(),
           arrays, pace_);
  }

 private:
  bool triad_;
  std::int64_t elements_;
  unsigned blocks_ = 1;
  DevicePace pace_;
  DeviceArray b_, c_;
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
