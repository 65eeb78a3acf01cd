// loopback on a GPU, through the wire that every other kernel sends with. Bound: link or network.
#include "kernels/common/cuda/wire.hpp"
#include "kernels/loopback/loopback.hpp"

namespace chokepoint {
namespace {

class LoopbackCuda final : public DeviceLaunch {
 public:
  LoopbackCuda(const LoopbackProblem& problem, Device& device, const Pace& pace)
      : DeviceLaunch(device, Tensor("output", problem.output_dims(), Dtype::f32, "[bytes / 4]")),
        problem_(problem),
        pace_(device_pace(pace)),
        sent_(device, problem.sent()),
        copier_(device) {}

  void run() override {
    for (std::int64_t message = 0; message < problem_.messages(); ++message) {
      const std::int64_t begin = problem_.message_begin(message), end = problem_.message_begin(message + 1);
      WireTask task =
          wire_piece(sent_.as<std::byte>() + begin, output_data<std::byte>() + begin, end - begin, problem_.wire());
      task.memory_bytes = 2.0 * static_cast<double>(end - begin);
      copier_.send(task, pace_, stream());
    }
  }

 private:
  const LoopbackProblem& problem_;
  DevicePace pace_;
  DeviceArray sent_;
  WireCopier copier_;
};

const Register<Kernel> kernel{{
    .name = "cuda_simple",
    .operation = "loopback",
    .summary = "one copy per message on a few SMs, in chunks that keep up with the wire",
    .device = "cuda",
    .dtypes = {Dtype::f32},
    .paces = {Resource::memory, Resource::link, Resource::network},
    .least_sm = 80,
    .unsupported = [](const Shape& shape, Dtype) -> std::optional<std::string> {
      if (shape["in_flight"] == 1) return std::nullopt;
      return "in_flight above 1: this kernel sends one message after the other";
    },
    .prepare = [](const Problem& problem, Device& device, const Pace& pace) -> std::unique_ptr<Launch> {
      return std::make_unique<LoopbackCuda>(dynamic_cast<const LoopbackProblem&>(problem), device, pace);
    },
}};

}  // namespace
}  // namespace chokepoint
