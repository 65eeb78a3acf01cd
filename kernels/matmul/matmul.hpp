// What is one matmul problem? output[m, n] = a[m, k] x b, with b stored as weights [n, k] or as [k, n]. fp8 has scales.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/common/gemm.hpp"
#include "kernels/common/gemm_quantise.hpp"
#include "kernels/kernel.hpp"

namespace chokepoint {

using gemm::Scaling;

enum class BLayout { nk, kn };  // nk: row j of b holds the weights of output column j, contiguous along k

class MatmulProblem final : public Problem {
 public:
  MatmulProblem(std::int64_t m, std::int64_t n, std::int64_t k, BLayout b_layout, Dtype dtype,
                const InputSpec& inputs, Scaling scaling = Scaling::blocks);

  std::unique_ptr<Problem> clone() const override { return std::make_unique<MatmulProblem>(*this); }
  Work work() const override;
  std::vector<const Tensor*> inputs() const override;
  std::vector<std::int64_t> output_dims() const override { return {m_, n_}; }
  Dtype output_dtype() const override { return dtype_ == Dtype::f32 ? Dtype::f32 : Dtype::bf16; }
  std::vector<double> reference(std::span<const std::int64_t> rows) const override;
  double tolerance() const override;

  std::int64_t m() const { return m_; }
  std::int64_t n() const { return n_; }
  std::int64_t k() const { return k_; }
  BLayout b_layout() const { return b_layout_; }
  Dtype dtype() const { return dtype_; }
  Scaling scaling() const { return scaling_; }  // of fp8
  const Tensor& a() const { return a_; }              // [m, k]
  const Tensor& b() const { return b_; }              // [n, k] or [k, n]
  // fp8: a's and b's dims / those of their blocks, rounded up; else empty
  const Tensor& a_scale() const { return a_scale_; }
  const Tensor& b_scale() const { return b_scale_; }
  gemm::ScaleBlock a_block() const;
  gemm::ScaleBlock b_block() const;  // of b as it is stored
  Shape shape() const;               // as complete_shape makes it

  // The operands as the packed product sees them: A is [m, k], B is [k, n]. Valid while the problem lives.
  gemm::Matrix a_matrix() const;
  gemm::Matrix b_matrix() const;

 private:
  std::int64_t m_, n_, k_;
  BLayout b_layout_;
  Dtype dtype_;
  Scaling scaling_;
  Tensor a_, b_, a_scale_, b_scale_;
};

// Bytes: a, b, scales and output once each.
Work matmul_work(std::int64_t m, std::int64_t n, std::int64_t k, Dtype dtype, Scaling scaling = Scaling::blocks);

Scaling scaling_of(const Shape& shape);

// Why a dtype cannot have the shape's scaling; empty where it can.
std::optional<std::string> scaling_obstacle(const Shape& shape, Dtype dtype);
// The same, for kernels that know one scaling of fp8.
std::optional<std::string> not_scaled_by_blocks(const Shape& shape, Dtype dtype);

// A launch that owns the output of `problem` and calls `run` to fill it.
std::unique_ptr<Launch> matmul_launch(const MatmulProblem& problem, std::function<void(Tensor& output)> run);

}  // namespace chokepoint
