// matmul by oneDNN: dnnl_sgemm, found at run time. f32 only; paces nothing, so it runs uncapped.
#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <string>

#include "harness/base/error.hpp"
#include "harness/base/library.hpp"
#include "harness/base/parallel.hpp"
#include "kernels/matmul/matmul.hpp"

namespace chokepoint {
namespace {

// dnnl.h, "BLAS functions": row-major, 'N' or 'T'; returns 0 on success.
using Sgemm = int(char transpose_a, char transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
                  float alpha, const float* a, std::int64_t lda, const float* b, std::int64_t ldb, float beta,
                  float* c, std::int64_t ldc);
using SetThreads = void(int threads);  // omp_set_num_threads: distributions build oneDNN with OpenMP

struct OneDnn {
  Sgemm* sgemm = nullptr;
  SetThreads* set_threads = nullptr;  // null when oneDNN brings no OpenMP: it then uses the threads it likes
};

const OneDnn& onednn() {
  static const OneDnn found = [] {
    const std::array<std::string, 2> names = {"libdnnl.so.3", "libdnnl.so.2"};
    const auto library = Library::open(names);
    // A handle of the library finds the symbols of what it depends on, too.
    return library
               ? OneDnn{library->find<Sgemm>("dnnl_sgemm"), library->find<SetThreads>("omp_set_num_threads")}
               : OneDnn{};
  }();
  return found;
}

std::optional<std::string> unsupported(const Shape& shape, Dtype dtype) {
  if (dtype != Dtype::f32) return "dnnl_sgemm multiplies f32 only";
  if (const auto reason = scaling_obstacle(shape, dtype)) return reason;
  if (onednn().sgemm == nullptr)
    return "libdnnl.so.3 or .so.2 is not installed (Debian, Ubuntu: apt-get install libdnnl3 or libdnnl2)";
  return std::nullopt;
}

void multiply(const MatmulProblem& problem, Tensor& output) {
  const std::int64_t m = problem.m(), n = problem.n(), k = problem.k();
  const bool nk = problem.b_layout() == BLayout::nk;
  if (onednn().set_threads != nullptr) onednn().set_threads(parallel_workers());
  const int status =
      onednn().sgemm('N', nk ? 'T' : 'N', m, n, k, 1.0F, problem.a().as<float>().data(), k,
                     problem.b().as<float>().data(), nk ? k : n, 0.0F, output.as<float>().data(), n);
  if (status != 0)
    throw Error(Fault::device,
                fmt::format("dnnl_sgemm returned status {} for m={} n={} k={}", status, m, n, k),
                "choose another kernel for this shape");
}

const Register<Kernel> kernel{{
    .name = "onednn",
    .operation = "matmul",
    .summary = "dnnl_sgemm of oneDNN, found at run time",
    .dtypes = {Dtype::f32},
    .unsupported = unsupported,
    .prepare = [](const Problem& any, Device&, const Pace&) -> std::unique_ptr<Launch> {
      const auto& problem = dynamic_cast<const MatmulProblem&>(any);
      if (const auto reason = unsupported({}, problem.dtype()))
        throw Error(Fault::unsupported, "matmul/onednn: " + *reason, "choose another kernel or dtype");
      return matmul_launch(problem, [&problem](Tensor& output) { multiply(problem, output); });
    },
}};

}  // namespace
}  // namespace chokepoint
