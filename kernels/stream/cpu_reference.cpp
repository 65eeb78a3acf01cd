// stream on one thread, one element after the other: the kernel to compare with.
#include <algorithm>

#include "kernels/stream/stream.hpp"

namespace chokepoint {
namespace {

constexpr std::int64_t kTileElements = 1 << 16;

class StreamReference final : public Launch {
 public:
  StreamReference(const StreamProblem& problem, const Pace& pace)
      : problem_(problem), pace_(pace), output_("output", problem.output_dims(), Dtype::f32, "[elements]") {}

  void run() override {
    const bool copy = problem_.pattern() == StreamPattern::copy;
    const float* b = problem_.b().as<float>().data();
    const float* c = copy ? nullptr : problem_.c().as<float>().data();
    float* a = output_.as<float>().data();
    PacedLoop loop(pace_, 4);
    for (std::int64_t begin = 0; begin < output_.count(); begin += kTileElements) {
      const std::int64_t end = std::min(output_.count(), begin + kTileElements);
      const Work work = stream_work(problem_.pattern(), end - begin);
      loop.begin({.memory_bytes = work.memory_bytes, .flop = work.flop});
      for (std::int64_t i = begin; i < end; ++i) a[i] = copy ? b[i] : b[i] + kTriadFactor * c[i];
    }
    loop.drain();
  }

  Tensor& output() override { return output_; }

 private:
  const StreamProblem& problem_;
  Pace pace_;
  Tensor output_;
};

const Register<Kernel> kernel{{
    .name = "cpu_reference",
    .operation = "stream",
    .summary = "one plain loop on one thread",
    .dtypes = {Dtype::f32},
    .paces = {Resource::compute, Resource::memory},
    .probes = false,
    .prepare = [](const Problem& problem, Device&, const Pace& pace) -> std::unique_ptr<Launch> {
      return std::make_unique<StreamReference>(dynamic_cast<const StreamProblem&>(problem), pace);
    },
}};

}  // namespace
}  // namespace chokepoint
