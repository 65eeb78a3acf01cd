// The operation `rms_norm`: shapes, inputs, work and the answer in double. See rms_norm.hpp for the
// definition.
#include "kernels/rms_norm/rms_norm.hpp"

#include <cmath>

#include "harness/base/random.hpp"

namespace chokepoint {
namespace {

RmsNormSizes sizes_of(const Shape& shape, Dtype dtype) {
  return {.tokens = shape["tokens"],
          .hidden = shape["hidden"],
          .residual = shape["residual"] == 1,
          .epsilon = 1e-9 * static_cast<double>(shape["epsilon_nano"]),
          .dtype = dtype};
}

Work rms_norm_work(const RmsNormSizes& sizes) {
  Work work = rms_norm_rows_work(sizes, sizes.tokens);
  work.memory_bytes += static_cast<double>(sizes.row_bytes());  // gamma
  return work;
}

const Register<Operation> operation{{
    .name = "rms_norm",
    .summary =
        "rows over their root mean square, times a weight; with a residual, of a sum that is written too",
    .fields = {{.name = "tokens", .meaning = "rows"},
               {.name = "hidden", .meaning = "width of the residual stream, the length of a row"},
               {.name = "residual",
                .meaning = "1: the norm of x + r, and the sum is written beside it, 0: of x",
                .fallback = 0,
                .least = 0,
                .most = 1},
               {.name = "epsilon_nano",
                .meaning = "what is added to the mean square, in 1e-9",
                .fallback = 1000}},
    .dtypes = {Dtype::f32, Dtype::bf16},
    .make =
        [](const Shape& shape, Dtype dtype, const InputSpec& inputs) {
          return std::make_unique<RmsNormProblem>(sizes_of(shape, dtype), inputs);
        },
    .work = [](const Shape& shape, Dtype dtype) { return rms_norm_work(sizes_of(shape, dtype)); },
}};

}  // namespace

// Per element: a square and its addition (2 FLOP), the two products (2), the residual's addition (1). The few
// per row are not counted.
Work rms_norm_rows_work(const RmsNormSizes& sizes, std::int64_t tokens) {
  const auto rows = static_cast<double>(tokens);
  return {
      .flop = (sizes.residual ? 5.0 : 4.0) * rows * static_cast<double>(sizes.hidden),
      .memory_bytes = static_cast<double>(sizes.rows_moved()) * rows * static_cast<double>(sizes.row_bytes()),
      .tokens = rows};
}

RmsNormProblem::RmsNormProblem(const RmsNormSizes& sizes, const InputSpec& inputs)
    : sizes_(sizes),
      x_("x", {sizes.tokens, sizes.hidden}, sizes.dtype, "[tokens, hidden]"),
      gamma_("gamma", {sizes.hidden}, sizes.dtype, "[hidden]") {
  fill(x_, inputs.distribution, inputs.seed);
  fill(gamma_, inputs.distribution, inputs.seed);
  if (!sizes.residual) return;
  residual_ = Tensor("residual", {sizes.tokens, sizes.hidden}, sizes.dtype, "[tokens, hidden]");
  fill(residual_, inputs.distribution, inputs.seed);
}

Work RmsNormProblem::work() const { return rms_norm_work(sizes_); }

std::vector<const Tensor*> RmsNormProblem::inputs() const {
  if (!sizes_.residual) return {&x_, &gamma_};
  return {&x_, &residual_, &gamma_};
}

std::vector<std::int64_t> RmsNormProblem::output_dims() const {
  if (!sizes_.residual) return {sizes_.tokens, sizes_.hidden};
  return {2, sizes_.tokens, sizes_.hidden};
}

std::vector<double> RmsNormProblem::reference(std::span<const std::int64_t> rows) const {
  const std::int64_t hidden = sizes_.hidden;
  std::vector<double> values;
  values.reserve(rows.size() * static_cast<std::size_t>(hidden));
  for (std::int64_t row : rows) {
    const std::int64_t first = row % sizes_.tokens * hidden;
    const std::size_t begin = values.size();
    double squares = 0.0;
    for (std::int64_t i = 0; i < hidden; ++i) {
      values.push_back(x_.at(first + i) + (sizes_.residual ? residual_.at(first + i) : 0.0));
      squares += values.back() * values.back();
    }
    if (row >= sizes_.tokens) continue;  // h itself
    const double root = std::sqrt(squares / static_cast<double>(hidden) + sizes_.epsilon);
    for (std::int64_t i = 0; i < hidden; ++i)
      values[begin + static_cast<std::size_t>(i)] *= gamma_.at(i) / root;
  }
  return values;
}

// All roundings are relative to the element itself, so that its own size bounds them.
// f32, in units of 2^-24: x + r, two products and epsilon 1 each, the mean 1, a root and its inverse 4 at
// most (rsqrtf: 2 ulp, CUDA C++ Programming Guide, "Mathematical Functions"). A sum of n squares, one after
// the other, rounds n times by 2^-24 of a partial sum at most, which adds up like a random walk, and the root
// halves it: below sqrt(n). bf16, in units of 2^-8: a kernel may round the sum, the row over its root, and
// the result; the rest is f32's.
double RmsNormProblem::tolerance() const {
  const double in_f32 = 0x1p-24 * (10.0 + std::sqrt(static_cast<double>(sizes_.hidden)));
  if (sizes_.dtype == Dtype::f32) return in_f32;
  return 0x1p-8 * (sizes_.residual ? 3.0 : 2.0) + in_f32;
}

}  // namespace chokepoint
