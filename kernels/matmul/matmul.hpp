// What is one matmul problem? output[m, n] = a[m, k] x b, with b stored as weights [n, k] or as [k, n].
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "kernels/common/gemm.hpp"
#include "kernels/kernel.hpp"

namespace chokepoint {

enum class BLayout { nk, kn };  // nk: row j of b holds the weights of output column j, contiguous along k

class MatmulProblem final : public Problem {
 public:
  MatmulProblem(std::int64_t m, std::int64_t n, std::int64_t k, BLayout b_layout, Dtype dtype,
                const InputSpec& inputs);

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
  const Tensor& a() const { return a_; }              // [m, k]
  const Tensor& b() const { return b_; }              // [n, k] or [k, n]
  const Tensor& a_scale() const { return a_scale_; }  // fp8: [m, ceil(k / 128)]; else empty
  const Tensor& b_scale() const { return b_scale_; }  // fp8: b's dims / 128, rounded up; else empty

  // The operands as the packed product sees them: A is [m, k], B is [k, n]. Valid while the problem lives.
  gemm::Matrix a_matrix() const;
  gemm::Matrix b_matrix() const;

 private:
  std::int64_t m_, n_, k_;
  BLayout b_layout_;
  Dtype dtype_;
  Tensor a_, b_, a_scale_, b_scale_;
};

// Bytes: a, b, scales and output once each.
Work matmul_work(std::int64_t m, std::int64_t n, std::int64_t k, Dtype dtype);

// A launch that owns the output of `problem` and calls `run` to fill it.
std::unique_ptr<Launch> matmul_launch(const MatmulProblem& problem, std::function<void(Tensor& output)> run);

}  // namespace chokepoint
