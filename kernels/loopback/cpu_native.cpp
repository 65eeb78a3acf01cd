// loopback through the link emulation that every other kernel sends with. Bound: link or network.
#include "kernels/loopback/loopback.hpp"

namespace chokepoint {
namespace {

class LoopbackNative final : public Launch {
 public:
  LoopbackNative(const LoopbackProblem& problem, const Pace& pace)
      : problem_(problem), pace_(pace), output_("output", problem.output_dims(), Dtype::f32, "[bytes / 4]") {}

  void run() override {
    PacedLoop memory(pace_, 2);
    for (std::int64_t message = 0; message < problem_.messages(); ++message) {
      const std::int64_t begin = problem_.message_begin(message);
      const Piece piece = {problem_.sent().data() + begin, output_.data() + begin,
                           problem_.message_begin(message + 1) - begin};
      memory.begin({.memory_bytes = 2.0 * static_cast<double>(piece.bytes)});
      loopback(std::span(&piece, 1), problem_.wire(), pace_);
    }
    memory.drain();
  }

  Tensor& output() override { return output_; }

 private:
  const LoopbackProblem& problem_;
  Pace pace_;
  Tensor output_;
};

const Register<Kernel> kernel{{
    .name = "cpu_native",
    .operation = "loopback",
    .summary = "one copy per message, in chunks that keep up with the wire",
    .dtypes = {Dtype::f32},
    .paces = {Resource::memory, Resource::link, Resource::network},
    .prepare = [](const Problem& problem, Device&, const Pace& pace) -> std::unique_ptr<Launch> {
      return std::make_unique<LoopbackNative>(dynamic_cast<const LoopbackProblem&>(problem), pace);
    },
}};

}  // namespace
}  // namespace chokepoint
