// Matrix product: shapes, inputs, the answer in double precision, and how far a correct kernel may be from
// it.
#include "kernels/matmul/matmul.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "harness/base/error.hpp"
#include "harness/base/parallel.hpp"
#include "harness/base/random.hpp"

namespace chokepoint {
namespace {

using gemm::kScaleBlock;
using gemm::ScaleBlock;

std::int64_t parts(std::int64_t length, std::int64_t part) { return (length + part - 1) / part; }

// In the order of Scaling.
const std::vector<std::string> kScalingWords = {"128x128", "1x128", "tensor"};

BLayout layout_of(const Shape& shape) { return shape.word("b_layout") == "nk" ? BLayout::nk : BLayout::kn; }

// Counts stay exact: elements of an array fit 2^40, and 2 m n k FLOP fit the 53 bits of a double.
void check_size(const Shape& shape) {
  const std::int64_t m = shape["m"], n = shape["n"], k = shape["k"];
  const auto reject = [](const std::string& what, double value, const char* limit) {
    throw Error(Fault::config, fmt::format("matmul: {} is {:.4g}, above the limit of {}", what, value, limit),
                "make m, n or k smaller");
  };
  for (const auto& [name, rows, cols] : {std::tuple{"m x k", m, k}, {"k x n", k, n}, {"m x n", m, n}})
    if (const double elements = static_cast<double>(rows) * static_cast<double>(cols); elements > 0x1p40)
      reject(name, elements, "2^40 elements");
  if (const double flop = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
      flop > 0x1p53)
    reject("2 x m x n x k", flop, "2^53 FLOP");
}

// A square output that packs well; its sums take the amount. From the 1e11 FLOP on that fill a GPU for a
// moment, a cube, so that there are tiles for all of it.
std::optional<Shape> probe(Resource resource, double amount) {
  if (resource != Resource::compute) return std::nullopt;
  std::int64_t side = 512;
  if (amount >= 1e11)
    while (side < 8192 && 16.0 * static_cast<double>(side * side * side) <= amount) side *= 2;
  const auto square = static_cast<double>(side * side);
  auto k = static_cast<std::int64_t>(std::clamp(amount / (2.0 * square), 1.0, 0x1p20));
  if (k >= 256) k = k / 128 * 128;  // rows that start aligned, as weights do
  return Shape{{"m", side}, {"n", side}, {"k", k}};
}

const Register<Operation> operation{{
    .name = "matmul",
    .summary = "matrix product: output[m, n] = a[m, k] x b, weights stored as [n, k] or [k, n]",
    .fields = {{.name = "m", .meaning = "rows of a and of the output (tokens)"},
               {.name = "n", .meaning = "columns of the output (output features)"},
               {.name = "k", .meaning = "length of the sums (input features)"},
               {.name = "b_layout",
                .meaning = "how b is stored: [n, k] or [k, n], row-major",
                .words = {"nk", "kn"}},
               {.name = "scaling",
                .meaning = "which values share a scale in fp8: blocks of b, with 1x128 of a along k; 1x128 of both; or "
                           "all of an operand",
                .words = kScalingWords,
                .unsaid_fallback = true}},
    .dtypes = {Dtype::f32, Dtype::bf16, Dtype::fp8_e4m3},
    .check = check_size,
    .make =
        [](const Shape& shape, Dtype dtype, const InputSpec& inputs) {
          if (const auto reason = scaling_obstacle(shape, dtype))
            throw Error(Fault::config, "matmul: " + *reason, "leave scaling out, or take fp8_e4m3");
          return std::make_unique<MatmulProblem>(shape["m"], shape["n"], shape["k"], layout_of(shape), dtype,
                                                 inputs, scaling_of(shape));
        },
    .work =
        [](const Shape& shape, Dtype dtype) {
          return matmul_work(shape["m"], shape["n"], shape["k"], dtype, scaling_of(shape));
        },
    .probe = probe,
}};

// Fills `stored`; for fp8, draws in f32 and quantises, and `scales` becomes what it was divided by.
void draw(Tensor& stored, Tensor& scales, const char* scale_role, const ScaleBlock& block, const InputSpec& inputs) {
  if (stored.dtype() != Dtype::fp8_e4m3) return fill(stored, inputs.distribution, inputs.seed);
  const std::int64_t rows = stored.dims()[0], cols = stored.dims()[1];
  scales = Tensor(scale_role, {parts(rows, block.rows), parts(cols, block.cols)}, Dtype::f32,
                  fmt::format("[rows / {}, columns / {}] of {}, rounded up: a stored value v at [i, j] means "
                              "v * {}[i / {}, j / {}]",
                              block.rows, block.cols, stored.role(), scale_role, block.rows, block.cols));
  Tensor drawn(stored.role(), stored.dims(), Dtype::f32);
  fill(drawn, inputs.distribution, inputs.seed);
  gemm::quantise_fp8(drawn, block.rows, block.cols, stored, scales);
}

class MatmulLaunch final : public Launch {
 public:
  MatmulLaunch(const MatmulProblem& problem, std::function<void(Tensor&)> run)
      : run_(std::move(run)),
        output_("output", problem.output_dims(), problem.output_dtype(), "[m, n] row-major") {}

  void run() override { run_(output_); }
  Tensor& output() override { return output_; }

 private:
  std::function<void(Tensor&)> run_;
  Tensor output_;
};

}  // namespace

Scaling scaling_of(const Shape& shape) {
  if (!shape.has("scaling")) return Scaling::blocks;
  const auto word = std::find(kScalingWords.begin(), kScalingWords.end(), shape.word("scaling"));
  return static_cast<Scaling>(word - kScalingWords.begin());
}

std::optional<std::string> scaling_obstacle(const Shape& shape, Dtype dtype) {
  if (dtype == Dtype::fp8_e4m3 || scaling_of(shape) == Scaling::blocks) return std::nullopt;
  return fmt::format("scaling is {}, and {} has no scales", shape.word("scaling"), to_string(dtype));
}

std::optional<std::string> not_scaled_by_blocks(const Shape& shape, Dtype dtype) {
  if (dtype != Dtype::fp8_e4m3) return scaling_obstacle(shape, dtype);
  if (scaling_of(shape) == Scaling::blocks) return std::nullopt;
  return fmt::format("scaling is {}: this kernel knows scales of 1x128 of a and 128x128 of b alone",
                     shape.word("scaling"));
}

Work matmul_work(std::int64_t m, std::int64_t n, std::int64_t k, Dtype dtype, Scaling scaling) {
  const auto rows = static_cast<double>(m), cols = static_cast<double>(n), length = static_cast<double>(k);
  const auto stored = static_cast<double>(bytes_of(dtype));
  Work work{.flop = 2.0 * rows * cols * length,
            .memory_bytes =
                stored * (rows * length + cols * length) + (dtype == Dtype::f32 ? 4.0 : 2.0) * rows * cols};
  if (dtype != Dtype::fp8_e4m3) return work;
  const std::int64_t steps = parts(k, kScaleBlock);
  const std::int64_t scales = scaling == Scaling::tensor    ? 2
                              : scaling == Scaling::vectors ? (m + n) * steps
                                                            : (m + parts(n, kScaleBlock)) * steps;
  work.memory_bytes += 4.0 * static_cast<double>(scales);
  return work;
}

MatmulProblem::MatmulProblem(std::int64_t m, std::int64_t n, std::int64_t k, BLayout b_layout, Dtype dtype,
                             const InputSpec& inputs, Scaling scaling)
    : m_(m),
      n_(n),
      k_(k),
      b_layout_(b_layout),
      dtype_(dtype),
      scaling_(scaling),
      a_("a", {m, k}, dtype, "[m, k] row-major") {
  b_ = b_layout == BLayout::nk
           ? Tensor("b", {n, k}, dtype, "[n, k] row-major: row j holds the weights of output column j")
           : Tensor("b", {k, n}, dtype, "[k, n] row-major");
  draw(a_, a_scale_, "a_scale", a_block(), inputs);
  draw(b_, b_scale_, "b_scale", b_block(), inputs);
}

ScaleBlock MatmulProblem::a_block() const {
  return scaling_ == Scaling::tensor ? ScaleBlock{m_, k_} : ScaleBlock{1, kScaleBlock};
}

ScaleBlock MatmulProblem::b_block() const {
  const bool nk = b_layout_ == BLayout::nk;
  if (scaling_ == Scaling::blocks) return {kScaleBlock, kScaleBlock};
  if (scaling_ == Scaling::vectors) return nk ? ScaleBlock{1, kScaleBlock} : ScaleBlock{kScaleBlock, 1};
  return nk ? ScaleBlock{n_, k_} : ScaleBlock{k_, n_};
}

Shape MatmulProblem::shape() const {
  return complete_shape(find_operation("matmul"), {{"m", m_},
                                                   {"n", n_},
                                                   {"k", k_},
                                                   {"b_layout", b_layout_ == BLayout::nk ? "nk" : "kn"},
                                                   {"scaling", kScalingWords[static_cast<std::size_t>(scaling_)]}});
}

Work MatmulProblem::work() const { return matmul_work(m_, n_, k_, dtype_, scaling_); }

std::vector<const Tensor*> MatmulProblem::inputs() const {
  if (dtype_ == Dtype::fp8_e4m3) return {&a_, &b_, &a_scale_, &b_scale_};
  return {&a_, &b_};
}

gemm::Matrix MatmulProblem::a_matrix() const {
  gemm::Matrix a{.data = a_.data(), .dtype = dtype_, .rows = m_, .cols = k_, .row_stride = k_};
  if (dtype_ == Dtype::fp8_e4m3) {
    a.scale = a_scale_.as<float>().data();
    a.scale_rows = a_block().rows;
    a.scale_cols = a_block().cols;
    a.scale_row_stride = a_scale_.dims()[1];
  }
  return a;
}

gemm::Matrix MatmulProblem::b_matrix() const {
  const bool nk = b_layout_ == BLayout::nk;
  gemm::Matrix b{.data = b_.data(), .dtype = dtype_, .rows = k_, .cols = n_};
  b.row_stride = nk ? 1 : n_;
  b.col_stride = nk ? k_ : 1;
  if (dtype_ == Dtype::fp8_e4m3) {
    b.scale = b_scale_.as<float>().data();
    b.scale_rows = nk ? b_block().cols : b_block().rows;
    b.scale_cols = nk ? b_block().rows : b_block().cols;
    b.scale_row_stride = nk ? 1 : b_scale_.dims()[1];
    b.scale_col_stride = nk ? b_scale_.dims()[1] : 1;
  }
  return b;
}

// Sums in k's order, 16 output columns side by side so that the compiler can vectorise; 64 rows share the
// columns.
std::vector<double> MatmulProblem::reference(std::span<const std::int64_t> rows) const {
  constexpr std::int64_t kSideBySide = 16, kRowsAtATime = 64;
  const bool fp8 = dtype_ == Dtype::fp8_e4m3, nk = b_layout_ == BLayout::nk;
  const ScaleBlock of_a = a_block(), of_b = b_block();
  const auto a_value = [&](std::int64_t i, std::int64_t p) {
    return a_.at(i * k_ + p) * (fp8 ? a_scale_.at(i / of_a.rows * a_scale_.dims()[1] + p / of_a.cols) : 1.0);
  };
  const auto b_value = [&](std::int64_t p, std::int64_t j) {
    const std::int64_t row = nk ? j : p, col = nk ? p : j, cols = nk ? k_ : n_;
    return b_.at(row * cols + col) *
           (fp8 ? b_scale_.at(row / of_b.rows * b_scale_.dims()[1] + col / of_b.cols) : 1.0);
  };
  const auto count = static_cast<std::int64_t>(rows.size());
  std::vector<double> result(static_cast<std::size_t>(count * n_));
  std::vector<double> a_rows;  // [kRowsAtATime, k]
  for (std::int64_t first = 0; first < count; first += kRowsAtATime) {
    const std::int64_t last = std::min(count, first + kRowsAtATime);
    a_rows.resize(static_cast<std::size_t>((last - first) * k_));
    for (std::int64_t i = first; i < last; ++i)
      for (std::int64_t p = 0; p < k_; ++p)
        a_rows[static_cast<std::size_t>((i - first) * k_ + p)] =
            a_value(rows[static_cast<std::size_t>(i)], p);
    parallel_for((n_ + kSideBySide - 1) / kSideBySide, 1, [&](std::int64_t begin, std::int64_t end, int) {
      std::vector<double> b_cols(static_cast<std::size_t>(k_ * kSideBySide), 0.0);  // [k, kSideBySide]
      for (std::int64_t j0 = begin * kSideBySide; j0 < std::min(n_, end * kSideBySide); j0 += kSideBySide) {
        const std::int64_t wide = std::min(kSideBySide, n_ - j0);
        for (std::int64_t j = 0; j < wide; ++j)
          for (std::int64_t p = 0; p < k_; ++p)
            b_cols[static_cast<std::size_t>(p * kSideBySide + j)] = b_value(p, j0 + j);
        for (std::int64_t i = first; i < last; ++i) {
          double sums[kSideBySide] = {};
          const double* a_row = a_rows.data() + (i - first) * k_;
          for (std::int64_t p = 0; p < k_; ++p)
            for (std::int64_t j = 0; j < kSideBySide; ++j)
              sums[j] += a_row[p] * b_cols[static_cast<std::size_t>(p * kSideBySide + j)];
          std::copy(sums, sums + wide, result.begin() + i * n_ + j0);
        }
      }
    });
  }
  return result;
}

// Rounding errors of an f32 sum of k terms of deviation d: adding term p rounds a partial sum of about
// sqrt(p) d by at most u = 2^-24 of it, so in all about u k d / sqrt(6), where the result has deviation
// sqrt(k) d: 0.41 u sqrt(k) relative to rms. The worst of 10^9 elements is 6 deviations off: 2.5 u sqrt(k),
// rounded up to 4. Two more u round the products of a short sum. bf16 output (8 significant bits) rounds by
// at most 2^-8 of |ref|, less than 2^-8 of the metric's denominator. fp8 allows what Hopper's tensor cores do
// besides: sums of 128 kept to 14 bits (kernels that truncate so are correct kernels of this dtype): 2^-10 of
// rms per deviation, 4 deviations. Where scales change every 128 of k, sums cannot go on longer. One scale for all
// of an operand lets them: "periodically promoted" is all that is said of cuBLASLt's (CUBLASLT_MATMUL_DESC_FAST_ACCUM),
// so a sum may stay in 14 bits to its end. Each step of 32 then rounds a partial sum of about sqrt(p) d by 2^-13 of it:
// 2^-13 sqrt(k) / 8 of rms per deviation, more than 2^-10 beyond k = 4096.
double MatmulProblem::tolerance() const {
  const double root = std::sqrt(static_cast<double>(k_)), sums = 0x1p-24 * (4.0 * root + 2.0);
  if (dtype_ == Dtype::f32) return sums;
  if (dtype_ == Dtype::bf16) return sums + 0x1p-8;
  const double deviation = scaling_ == Scaling::tensor ? std::max(0x1p-10, 0x1p-16 * root) : 0x1p-10;
  return sums + 0x1p-8 + 4.0 * deviation;
}

std::unique_ptr<Launch> matmul_launch(const MatmulProblem& problem, std::function<void(Tensor&)> run) {
  return std::make_unique<MatmulLaunch>(problem, std::move(run));
}

}  // namespace chokepoint
