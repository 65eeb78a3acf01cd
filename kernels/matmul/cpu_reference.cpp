// matmul as three plain loops on one thread, sums in double: the kernel to compare with. Charges memory and
// compute column by column.
#include <cstddef>
#include <vector>

#include "kernels/matmul/matmul.hpp"

namespace chokepoint {
namespace {

// The stored value at [row, col], times the scale of its block.
double value_at(const Tensor& stored, const Tensor& scales, const gemm::ScaleBlock& block, std::int64_t row,
                std::int64_t col) {
  const double value = stored.at(row * stored.dims()[1] + col);
  return scales.empty() ? value : value * scales.at(row / block.rows * scales.dims()[1] + col / block.cols);
}

// What column j of the output costs: an even share of everything, in whole bytes that add up to the work's.
Charge charge_of(const MatmulProblem& problem, std::int64_t j) {
  const Work work = problem.work();
  const auto bytes = static_cast<std::int64_t>(work.memory_bytes);
  const std::int64_t share = bytes / problem.n() + (j < bytes % problem.n() ? 1 : 0);
  return {.memory_bytes = static_cast<double>(share), .flop = work.flop / static_cast<double>(problem.n())};
}

void multiply(const MatmulProblem& problem, const Pace& pace, Tensor& output) {
  const std::int64_t m = problem.m(), n = problem.n(), k = problem.k();
  const bool nk = problem.b_layout() == BLayout::nk;
  std::vector<double> a(static_cast<std::size_t>(m * k)), column(static_cast<std::size_t>(k));
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t p = 0; p < k; ++p)
      a[static_cast<std::size_t>(i * k + p)] = value_at(problem.a(), problem.a_scale(), problem.a_block(), i, p);
  PacedLoop loop(pace, 8);
  for (std::int64_t j = 0; j < n; ++j) {
    loop.begin(charge_of(problem, j));
    for (std::int64_t p = 0; p < k; ++p)
      column[static_cast<std::size_t>(p)] =
          value_at(problem.b(), problem.b_scale(), problem.b_block(), nk ? j : p, nk ? p : j);
    for (std::int64_t i = 0; i < m; ++i) {
      double sum = 0.0;
      for (std::int64_t p = 0; p < k; ++p)
        sum += a[static_cast<std::size_t>(i * k + p)] * column[static_cast<std::size_t>(p)];
      output.set(i * n + j, sum);
    }
  }
  loop.drain();
}

const Register<Kernel> kernel{{
    .name = "cpu_reference",
    .operation = "matmul",
    .summary = "three plain loops on one thread",
    .dtypes = {Dtype::f32, Dtype::bf16, Dtype::fp8_e4m3},
    .paces = {Resource::compute, Resource::memory},
    .unsupported = scaling_obstacle,
    .prepare = [](const Problem& any, Device&, const Pace& pace) -> std::unique_ptr<Launch> {
      const auto& problem = dynamic_cast<const MatmulProblem&>(any);
      return matmul_launch(problem, [&problem, pace](Tensor& output) { multiply(problem, pace, output); });
    },
}};

}  // namespace
}  // namespace chokepoint
