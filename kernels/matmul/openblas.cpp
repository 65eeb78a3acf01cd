// matmul by OpenBLAS: cblas_sgemm, found at run time. f32 only; paces nothing, so it runs uncapped.
#include <fmt/format.h>

#include <array>
#include <limits>
#include <string>

#include "harness/base/error.hpp"
#include "harness/base/library.hpp"
#include "harness/base/parallel.hpp"
#include "kernels/matmul/matmul.hpp"

namespace chokepoint {
namespace {

// cblas.h of the reference BLAS: row-major is 101, no transpose 111, transpose 112. Sizes are int.
using Sgemm = void(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                   const float* a, int lda, const float* b, int ldb, float beta, float* c, int ldc);
using SetThreads = void(int threads);

struct OpenBlas {
  Sgemm* sgemm = nullptr;
  SetThreads* set_threads = nullptr;
};

const OpenBlas& openblas() {
  static const OpenBlas found = [] {
    const std::array<std::string, 2> names = {"libopenblas.so.0", "libopenblas.so"};
    const auto library = Library::open(names);
    return library ? OpenBlas{library->find<Sgemm>("cblas_sgemm"),
                              library->find<SetThreads>("openblas_set_num_threads")}
                   : OpenBlas{};
  }();
  return found;
}

std::optional<std::string> unsupported(const Shape& shape, Dtype dtype) {
  if (dtype != Dtype::f32) return "cblas_sgemm multiplies f32 only";
  if (const auto reason = scaling_obstacle(shape, dtype)) return reason;
  if (openblas().sgemm == nullptr || openblas().set_threads == nullptr)
    return "libopenblas.so.0 is not installed (Debian, Ubuntu: apt-get install libopenblas0)";
  for (const char* field : {"m", "n", "k"})
    if (shape[field] > std::numeric_limits<int>::max())
      return fmt::format("{} is {}, above the int of cblas_sgemm", field, shape[field]);
  return std::nullopt;
}

void multiply(const MatmulProblem& problem, Tensor& output) {
  const auto m = static_cast<int>(problem.m()), n = static_cast<int>(problem.n()),
             k = static_cast<int>(problem.k());
  const bool nk = problem.b_layout() == BLayout::nk;
  openblas().set_threads(parallel_workers());
  openblas().sgemm(101, 111, nk ? 112 : 111, m, n, k, 1.0F, problem.a().as<float>().data(), k,
                   problem.b().as<float>().data(), nk ? k : n, 0.0F, output.as<float>().data(), n);
}

const Register<Kernel> kernel{{
    .name = "openblas",
    .operation = "matmul",
    .summary = "cblas_sgemm of OpenBLAS, found at run time",
    .dtypes = {Dtype::f32},
    .unsupported = unsupported,
    .prepare = [](const Problem& any, Device&, const Pace&) -> std::unique_ptr<Launch> {
      const auto& problem = dynamic_cast<const MatmulProblem&>(any);
      if (const auto reason =
              unsupported({{"m", problem.m()}, {"n", problem.n()}, {"k", problem.k()}}, problem.dtype()))
        throw Error(Fault::unsupported, "matmul/openblas: " + *reason, "choose another kernel or dtype");
      return matmul_launch(problem, [&problem](Tensor& output) { multiply(problem, output); });
    },
}};

}  // namespace
}  // namespace chokepoint
