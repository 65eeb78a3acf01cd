// What is one rms_norm problem? Rows divided by their root mean square, as before every block of a
// transformer.
//
// Zhang and Sennrich 2019, equation 4, with an epsilon under the root:
//   h = x + r, or x without a residual
//   y = h / sqrt(mean(h^2) + epsilon) * gamma      the mean over a row, gamma per column
// With a residual the stream goes on as h, so both are written: the output is [2, tokens, hidden], y first,
// then h.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/kernel.hpp"

namespace chokepoint {

struct RmsNormSizes {
  std::int64_t tokens = 0, hidden = 0;
  bool residual = false;
  double epsilon = 1e-6;
  Dtype dtype = Dtype::f32;

  std::int64_t row_bytes() const { return hidden * bytes_of(dtype); }
  std::int64_t rows_moved() const {
    return residual ? 4 : 2;
  }  // per token: x, y, and with a residual r and h
};

class RmsNormProblem final : public Problem {
 public:
  RmsNormProblem(const RmsNormSizes& sizes, const InputSpec& inputs);

  std::unique_ptr<Problem> clone() const override { return std::make_unique<RmsNormProblem>(*this); }
  Work work() const override;
  std::vector<const Tensor*> inputs() const override;
  std::vector<std::int64_t> output_dims() const override;
  Dtype output_dtype() const override { return sizes_.dtype; }
  std::vector<double> reference(std::span<const std::int64_t> rows) const override;
  double tolerance() const override;

  const RmsNormSizes& sizes() const { return sizes_; }
  const Tensor& x() const { return x_; }                // [tokens, hidden]
  const Tensor& residual() const { return residual_; }  // [tokens, hidden]; empty without one
  const Tensor& gamma() const { return gamma_; }        // [hidden]

  // Where the row of a token begins, in bytes from the beginning of x, of the residual, or of y.
  std::int64_t row_at(std::int64_t token) const { return token * sizes_.row_bytes(); }
  // The same for h, from the beginning of the output.
  std::int64_t sum_row_at(std::int64_t token) const { return row_at(sizes_.tokens + token); }

 private:
  RmsNormSizes sizes_;
  Tensor x_, residual_, gamma_;
};

// What `tokens` rows cost without gamma.
Work rms_norm_rows_work(const RmsNormSizes& sizes, std::int64_t tokens);

}  // namespace chokepoint
