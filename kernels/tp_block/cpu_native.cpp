// tp_block with packed matrix products on all workers. Bound: compute, or the link while the ring turns.
//
// The steps follow each other without overlap, as in a layer whose collectives are not hidden. Gate, up, h
// and the partial sums stay in f32 for every dtype: h overwrites gate, and for f32 the partial sums are the
// output in the making. Weights are read as stored, [n, k], through strides. Memory is charged by the product
// that reads an input first; ring_in and the output by the ring.
#include <algorithm>

#include "harness/base/parallel.hpp"
#include "kernels/common/gemm.hpp"
#include "kernels/tp_block/ring.hpp"
#include "kernels/tp_block/tp_block.hpp"
#include "kernels/tp_block/vector_loops.hpp"

namespace chokepoint {
namespace {

constexpr std::int64_t kSettleGrain = 1 << 14;  // elements per worker and turn

class TpBlockNative final : public Launch {
 public:
  TpBlockNative(const TpBlockProblem& problem, const Pace& pace)
      : problem_(problem),
        sizes_(problem.sizes()),
        pace_(pace),
        gathered_("gathered", problem.x().dims(), sizes_.dtype),
        up_("up", {sizes_.tokens, sizes_.up_rows()}, Dtype::f32),
        partial_("partial", {sizes_.dtype == Dtype::f32 ? 0 : sizes_.tokens, sizes_.hidden}, Dtype::f32),
        received_("received", {sizes_.tp == 1 ? 0 : sizes_.shard_tokens(), sizes_.hidden}, sizes_.dtype),
        output_("output", problem.output_dims(), problem.output_dtype(), "[tokens, hidden]") {
    std::copy_n(problem.x().data(), sizes_.shard_bytes(), gathered_.data());
  }

  void run() override {
    ring_all_gather(problem_, gathered_, pace_);
    multiply_up();
    activate();
    multiply_down();
    ring_reduce_scatter(problem_, received_, pace_,
                        [&](std::int64_t chunk, const Tensor* arrived) { settle(chunk, arrived); });
  }

  Tensor& output() override { return output_; }

 private:
  // up [tokens, up_rows] = gathered [tokens, hidden] x w_up^T.
  void multiply_up() {
    const gemm::Matrix x = {.data = gathered_.data(),
                            .dtype = sizes_.dtype,
                            .rows = sizes_.tokens,
                            .cols = sizes_.hidden,
                            .row_stride = sizes_.hidden};
    gemm::gemm(x, transposed(problem_.w_up()), {up_.data(), Dtype::f32, sizes_.up_rows()}, pace_,
               static_cast<double>(gathered_.bytes() + problem_.w_up().bytes()));
  }

  // The first `columns` of every row of up become h.
  void activate() {
    float* up = up_.as<float>().data();
    const std::int64_t columns = sizes_.columns(), up_rows = sizes_.up_rows();
    const std::int64_t rows_per_turn = std::max<std::int64_t>(1, kSettleGrain / columns);
    parallel_for(sizes_.tokens, rows_per_turn, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t token = begin; token < end; ++token) {
        float* row = up + token * up_rows;
        tp_block::activate(row, sizes_.gated ? row + columns : nullptr, columns);
      }
    });
  }

  // partial [tokens, hidden] = h [tokens, columns] x w_down^T.
  void multiply_down() {
    const gemm::Matrix h = {
        .data = up_.data(), .rows = sizes_.tokens, .cols = sizes_.columns(), .row_stride = sizes_.up_rows()};
    gemm::gemm(h, transposed(problem_.w_down()), {partial(), Dtype::f32, sizes_.hidden}, pace_,
               static_cast<double>(problem_.w_down().bytes()));
  }

  void settle(std::int64_t chunk, const Tensor* arrived) {
    const std::int64_t count = sizes_.shard_tokens() * sizes_.hidden, bytes = bytes_of(sizes_.dtype);
    if (arrived == nullptr && sizes_.dtype == Dtype::f32) return;  // the partial sum is the output
    parallel_for(count, kSettleGrain, [&](std::int64_t begin, std::int64_t end, int) {
      const std::int64_t at = chunk * count + begin;
      tp_block::settle(arrived == nullptr ? nullptr : arrived->data() + begin * bytes, partial() + at,
                       output_.data() + at * bytes, sizes_.dtype, end - begin);
    });
  }

  float* partial() {
    return sizes_.dtype == Dtype::f32 ? output_.as<float>().data() : partial_.as<float>().data();
  }

  // Weights [n, k] as the right-hand side [k, n].
  static gemm::Matrix transposed(const Tensor& weights) {
    return {.data = weights.data(),
            .dtype = weights.dtype(),
            .rows = weights.dims()[1],
            .cols = weights.dims()[0],
            .row_stride = 1,
            .col_stride = weights.dims()[1]};
  }

  const TpBlockProblem& problem_;
  TpBlockSizes sizes_;
  Pace pace_;
  Tensor gathered_, up_, partial_, received_, output_;
};

const Register<Kernel> kernel{{
    .name = "cpu_native",
    .operation = "tp_block",
    .summary = "packed products on all workers between two paced rings",
    .dtypes = {Dtype::f32, Dtype::bf16},
    .paces = {Resource::compute, Resource::memory, Resource::link, Resource::network},
    .prepare = [](const Problem& problem, Device&, const Pace& pace) -> std::unique_ptr<Launch> {
      return std::make_unique<TpBlockNative>(dynamic_cast<const TpBlockProblem&>(problem), pace);
    },
}};

}  // namespace
}  // namespace chokepoint
