// tp_block row by row with plain dot products in double, each row rounded once: the kernel to compare with.
#include <cmath>

#include "kernels/tp_block/ring.hpp"
#include "kernels/tp_block/tp_block.hpp"

namespace chokepoint {
namespace {

double dot(const Tensor& a, std::int64_t a_row, const Tensor& b, std::int64_t b_row) {
  const std::int64_t width = a.dims().back();
  double sum = 0.0;
  for (std::int64_t i = 0; i < width; ++i) sum += a.at(a_row * width + i) * b.at(b_row * width + i);
  return sum;
}

class TpBlockReference final : public Launch {
 public:
  TpBlockReference(const TpBlockProblem& problem, const Pace& pace)
      : problem_(problem),
        pace_(pace),
        gathered_("gathered", problem.x().dims(), problem.sizes().dtype),
        h_("h", {1, problem.sizes().columns()}, Dtype::f64),
        partial_("partial", problem.output_dims(), Dtype::f64),
        received_("received", {problem.sizes().shard_tokens(), problem.sizes().hidden},
                  problem.sizes().dtype),
        output_("output", problem.output_dims(), problem.output_dtype(), "[tokens, hidden]") {
    std::copy_n(problem.x().data(), problem.sizes().shard_bytes(), gathered_.data());
  }

  void run() override {
    const TpBlockSizes& sizes = problem_.sizes();
    ring_all_gather(problem_, gathered_, pace_);
    PacedLoop loop(pace_, 2);
    for (std::int64_t token = 0; token < sizes.tokens; ++token) {
      loop.begin(row_charge(token));
      multiply_row(token);
    }
    loop.drain();
    ring_reduce_scatter(problem_, received_, pace_, [&](std::int64_t chunk, const Tensor* arrived) {
      const std::int64_t count = sizes.shard_tokens() * sizes.hidden, begin = chunk * count;
      for (std::int64_t i = 0; i < count; ++i)
        output_.set(begin + i, partial_.at(begin + i) + (arrived == nullptr ? 0.0 : arrived->at(i)));
    });
  }

  Tensor& output() override { return output_; }

 private:
  // The first row also brings in the weights.
  Charge row_charge(std::int64_t token) const {
    const TpBlockSizes& sizes = problem_.sizes();
    const std::int64_t weights = problem_.w_up().bytes() + problem_.w_down().bytes();
    return {.memory_bytes =
                static_cast<double>(sizes.hidden * bytes_of(sizes.dtype) + (token == 0 ? weights : 0)),
            .flop = 2.0 * static_cast<double>(sizes.hidden * (sizes.up_rows() + sizes.columns()))};
  }

  void multiply_row(std::int64_t token) {
    const TpBlockSizes& sizes = problem_.sizes();
    for (std::int64_t j = 0; j < sizes.columns(); ++j) {
      const double first = dot(gathered_, token, problem_.w_up(), j);
      const double silu = first / (1.0 + std::exp(-first));
      h_.set(j, sizes.gated ? silu * dot(gathered_, token, problem_.w_up(), sizes.columns() + j) : silu);
    }
    for (std::int64_t n = 0; n < sizes.hidden; ++n)
      partial_.set(token * sizes.hidden + n, dot(h_, 0, problem_.w_down(), n));
  }

  const TpBlockProblem& problem_;
  Pace pace_;
  Tensor gathered_, h_, partial_, received_, output_;
};

const Register<Kernel> kernel{{
    .name = "cpu_reference",
    .operation = "tp_block",
    .summary = "plain dot products in double, on one thread",
    .dtypes = {Dtype::f32, Dtype::bf16},
    .paces = {Resource::compute, Resource::memory, Resource::link, Resource::network},
    .prepare = [](const Problem& problem, Device&, const Pace& pace) -> std::unique_ptr<Launch> {
      return std::make_unique<TpBlockReference>(dynamic_cast<const TpBlockProblem&>(problem), pace);
    },
}};

}  // namespace
}  // namespace chokepoint
