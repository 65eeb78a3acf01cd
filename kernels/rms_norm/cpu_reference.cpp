// rms_norm on one thread, one element after the other, sums in double: the kernel to compare with.
#include <cmath>

#include "kernels/rms_norm/rms_norm.hpp"

namespace chokepoint {
namespace {

class RmsNormReference final : public Launch {
 public:
  RmsNormReference(const RmsNormProblem& problem, const Pace& pace)
      : problem_(problem), pace_(pace), output_("output", problem.output_dims(), problem.output_dtype()) {}

  void run() override {
    const RmsNormSizes& sizes = problem_.sizes();
    PacedLoop loop(pace_, 4);
    for (std::int64_t token = 0; token < sizes.tokens; ++token) {
      const Work work = rms_norm_rows_work(sizes, 1);
      const auto gamma_bytes = static_cast<double>(token == 0 ? sizes.row_bytes() : 0);
      loop.begin({.memory_bytes = work.memory_bytes + gamma_bytes, .flop = work.flop});
      normalise(token);
    }
    loop.drain();
  }

  Tensor& output() override { return output_; }

 private:
  double sum(std::int64_t at) const {
    return problem_.x().at(at) + (problem_.sizes().residual ? problem_.residual().at(at) : 0.0);
  }

  void normalise(std::int64_t token) {
    const RmsNormSizes& sizes = problem_.sizes();
    const std::int64_t first = token * sizes.hidden;
    double squares = 0.0;
    for (std::int64_t i = 0; i < sizes.hidden; ++i) squares += sum(first + i) * sum(first + i);
    const double factor = 1.0 / std::sqrt(squares / static_cast<double>(sizes.hidden) + sizes.epsilon);
    for (std::int64_t i = 0; i < sizes.hidden; ++i) {
      output_.set(first + i, sum(first + i) * factor * problem_.gamma().at(i));
      if (sizes.residual) output_.set((sizes.tokens + token) * sizes.hidden + i, sum(first + i));
    }
  }

  const RmsNormProblem& problem_;
  Pace pace_;
  Tensor output_;
};

const Register<Kernel> kernel{{
    .name = "cpu_reference",
    .operation = "rms_norm",
    .summary = "one plain loop on one thread",
    .dtypes = {Dtype::f32, Dtype::bf16},
    .paces = {Resource::compute, Resource::memory},
    .probes = false,
    .prepare = [](const Problem& problem, Device&, const Pace& pace) -> std::unique_ptr<Launch> {
      return std::make_unique<RmsNormReference>(dynamic_cast<const RmsNormProblem&>(problem), pace);
    },
}};

}  // namespace
}  // namespace chokepoint
