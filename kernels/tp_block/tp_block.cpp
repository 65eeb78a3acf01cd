// The operation `tp_block`: shapes, inputs, work and the answer in double. See tp_block.hpp for the
// definition.
#include "kernels/tp_block/tp_block.hpp"

#include <fmt/format.h>

#include <cmath>

#include "harness/base/error.hpp"
#include "harness/base/parallel.hpp"
#include "harness/base/random.hpp"

namespace chokepoint {
namespace {

TpBlockSizes sizes_of(const Shape& shape, Dtype dtype) {
  return {.tokens = shape["tokens"],
          .hidden = shape["hidden"],
          .intermediate = shape["intermediate"],
          .tp = shape["tp"],
          .node_size = shape["node_size"],
          .gated = shape["gated"] == 1,
          .dtype = dtype};
}

void check(const Shape& shape) {
  for (const std::string field : {"tokens", "intermediate"})
    if (shape[field] % shape["tp"] != 0)
      throw Error(Fault::config,
                  fmt::format("tp_block: {} is {}, not a multiple of tp, which is {}", field, shape[field],
                              shape["tp"]),
                  fmt::format("change tp or {}", field));
}

// FLOP are those of the matrix products. Memory holds x, the weights, ring_in and the output once each; h and
// the partial sums stay in caches of the emulated machine or are its kernels' own business. Tokens are this
// rank's share of the tokens that tp ranks work on together, so that tokens per rank, per dollar and per
// joule of one rank follow.
Work tp_block_work(const TpBlockSizes& sizes) {
  const auto tokens = static_cast<double>(sizes.tokens), hidden = static_cast<double>(sizes.hidden);
  const auto up_rows = static_cast<double>(sizes.up_rows()), columns = static_cast<double>(sizes.columns());
  const auto element = static_cast<double>(bytes_of(sizes.dtype)), hops = static_cast<double>(sizes.tp - 1);
  const double shard_bytes = static_cast<double>(sizes.shard_tokens()) * hidden * element;
  Work work;
  work.flop = 2.0 * tokens * hidden * (up_rows + columns);
  work.memory_bytes = element * hidden * (2.0 * tokens + up_rows + columns) + hops * shard_bytes;
  const bool link = sizes.wire() == Wire::link;
  (link ? work.link_bytes : work.network_bytes) = 2.0 * hops * shard_bytes;
  (link ? work.link_messages : work.network_messages) = 2.0 * hops;
  work.tokens = static_cast<double>(sizes.shard_tokens());
  return work;
}

const Register<Operation> operation{{
    .name = "tp_block",
    .summary = "MLP of a dense layer at one tensor-parallel rank: all-gather, up, silu, down, reduce-scatter",
    .fields = {{.name = "tokens", .meaning = "tokens of all ranks together, a multiple of tp"},
               {.name = "hidden", .meaning = "width of the residual stream"},
               {.name = "intermediate", .meaning = "width of the MLP over all ranks, a multiple of tp"},
               {.name = "tp", .meaning = "ranks the layer is cut over"},
               {.name = "gated",
                .meaning = "1: silu(gate) * up, 0: silu(up)",
                .fallback = 1,
                .least = 0,
                .most = 1},
               {.name = "node_size",
                .meaning = "ranks within reach of the link; a longer ring runs over the network",
                .fallback = 8}},
    .dtypes = {Dtype::f32, Dtype::bf16},
    .check = check,
    .make =
        [](const Shape& shape, Dtype dtype, const InputSpec& inputs) {
          return std::make_unique<TpBlockProblem>(sizes_of(shape, dtype), inputs);
        },
    .work = [](const Shape& shape, Dtype dtype) { return tp_block_work(sizes_of(shape, dtype)); },
}};

// ---- The answer in double ----

void widen(const Tensor& tensor, std::int64_t begin, std::int64_t count, double* out) {
  const auto from = static_cast<std::size_t>(begin), length = static_cast<std::size_t>(count);
  if (tensor.dtype() == Dtype::f32)
    for (std::size_t i = 0; i < length; ++i) out[i] = tensor.as<float>()[from + i];
  else
    for (std::size_t i = 0; i < length; ++i) out[i] = float_from_bf16(tensor.as<std::uint16_t>()[from + i]);
}

double dot(const double* a, const double* b, std::int64_t length) {
  double sums[4] = {};  // four chains of additions keep the adder busy
  std::int64_t i = 0;
  for (; i + 4 <= length; i += 4)
    for (int chain = 0; chain < 4; ++chain) sums[chain] += a[i + chain] * b[i + chain];
  for (; i < length; ++i) sums[0] += a[i] * b[i];
  return sums[0] + sums[1] + sums[2] + sums[3];
}

// [count, weights.rows] = in [count, width] x weights [rows, width]^T.
std::vector<double> times_transposed(const std::vector<double>& in, std::int64_t count,
                                     const Tensor& weights) {
  const std::int64_t rows = weights.dims()[0], width = weights.dims()[1];
  std::vector<double> out(static_cast<std::size_t>(count * rows));
  parallel_for(rows, 16, [&](std::int64_t begin, std::int64_t end, int) {
    std::vector<double> weight(static_cast<std::size_t>(width));
    for (std::int64_t row = begin; row < end; ++row) {
      widen(weights, row * width, width, weight.data());
      for (std::int64_t i = 0; i < count; ++i)
        out[static_cast<std::size_t>(i * rows + row)] = dot(in.data() + i * width, weight.data(), width);
    }
  });
  return out;
}

double silu(double value) { return value / (1.0 + std::exp(-value)); }

}  // namespace

TpBlockProblem::TpBlockProblem(const TpBlockSizes& sizes, const InputSpec& inputs)
    : sizes_(sizes),
      x_("x", {sizes.tokens, sizes.hidden}, sizes.dtype, "[tokens, hidden], shard after shard"),
      w_up_(sizes.gated ? "w_gate_up" : "w_up", {sizes.up_rows(), sizes.hidden}, sizes.dtype,
            sizes.gated ? "[2 intermediate / tp, hidden], gate rows, then up rows"
                        : "[intermediate / tp, hidden]"),
      w_down_("w_down", {sizes.hidden, sizes.columns()}, sizes.dtype, "[hidden, intermediate / tp]") {
  // Weights are scaled so that gate, up and the partial sums are of the size of x, and so is what arrives.
  fill(x_, inputs.distribution, inputs.seed);
  fill(w_up_, inputs.distribution, inputs.seed, 1.0 / std::sqrt(static_cast<double>(sizes.hidden)));
  fill(w_down_, inputs.distribution, inputs.seed, 1.0 / std::sqrt(static_cast<double>(sizes.columns())));
  if (sizes.tp == 1) return;
  ring_in_ = Tensor("ring_in", {sizes.tp - 1, sizes.shard_tokens(), sizes.hidden}, sizes.dtype,
                    "[ring step - 1, tokens / tp, hidden]");
  fill(ring_in_, inputs.distribution, inputs.seed);
}

Work TpBlockProblem::work() const { return tp_block_work(sizes_); }

std::vector<const Tensor*> TpBlockProblem::inputs() const {
  if (sizes_.tp == 1) return {&x_, &w_up_, &w_down_};
  return {&x_, &w_up_, &w_down_, &ring_in_};
}

std::vector<double> TpBlockProblem::reference(std::span<const std::int64_t> rows) const {
  const auto count = static_cast<std::int64_t>(rows.size());
  const std::int64_t hidden = sizes_.hidden, columns = sizes_.columns(), up_rows = sizes_.up_rows();
  std::vector<double> x(static_cast<std::size_t>(count * hidden));
  for (std::int64_t i = 0; i < count; ++i)
    widen(x_, rows[static_cast<std::size_t>(i)] * hidden, hidden, x.data() + i * hidden);
  const std::vector<double> up = times_transposed(x, count, w_up_);
  std::vector<double> h(static_cast<std::size_t>(count * columns));
  for (std::int64_t i = 0; i < count; ++i)
    for (std::int64_t j = 0; j < columns; ++j) {
      const double* row = up.data() + i * up_rows;
      h[static_cast<std::size_t>(i * columns + j)] =
          sizes_.gated ? silu(row[j]) * row[columns + j] : silu(row[j]);
    }
  std::vector<double> output = times_transposed(h, count, w_down_);
  std::vector<double> arrived(static_cast<std::size_t>(hidden));
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t row = rows[static_cast<std::size_t>(i)], shard = sizes_.shard_tokens();
    const std::optional<std::int64_t> arrival = sizes_.arrival_of_chunk(row / shard);
    if (!arrival) continue;
    widen(ring_in_, (*arrival * shard + row % shard) * hidden, hidden, arrived.data());
    for (std::int64_t n = 0; n < hidden; ++n)
      output[static_cast<std::size_t>(i * hidden + n)] += arrived[static_cast<std::size_t>(n)];
  }
  return output;
}

// f32: rounding errors of two chained products add up like a random walk, a few unit roundoffs (2^-24) times
// the square root of the length. bf16: a kernel may round gate, up, h and the partial sum to bf16 (2^-8 at
// most, each); relative to the output these average out to less than 2^-8, and 8 of them cover the largest
// among many.
double TpBlockProblem::tolerance() const {
  if (sizes_.dtype == Dtype::bf16) return 8.0 * 0x1p-8;
  return 0x1p-24 * (16.0 + 8.0 * std::sqrt(static_cast<double>(sizes_.hidden + sizes_.columns())));
}

}  // namespace chokepoint
