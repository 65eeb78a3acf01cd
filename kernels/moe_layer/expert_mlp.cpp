#include "kernels/moe_layer/expert_mlp.hpp"

#include "harness/base/parallel.hpp"
#include "kernels/common/gemm.hpp"
#include "kernels/moe_layer/row_math.hpp"

namespace chokepoint::moe {
namespace {

// Rows of activations as the left side of a product.
gemm::Matrix left(const RowStore& rows, Dtype dtype, std::int64_t count, std::int64_t cols) {
  gemm::Matrix matrix{.data = rows.data, .dtype = dtype, .rows = count, .cols = cols, .row_stride = cols};
  if (rows.scales_per_row == 0) return matrix;
  matrix.scale = rows.scales;
  matrix.scale_cols = kScaleBlock;
  matrix.scale_row_stride = rows.scales_per_row;
  return matrix;
}

// Matrix `index` of a stack of [n, k] as the right side, [k, n].
gemm::Matrix right(const Tensor& codes, const Tensor& scales, std::int64_t index, std::int64_t n,
                   std::int64_t k) {
  gemm::Matrix matrix{.data = codes.data() + index * n * k * bytes_of(codes.dtype()),
                      .dtype = codes.dtype(),
                      .rows = k,
                      .cols = n,
                      .row_stride = 1,
                      .col_stride = k};
  if (scales.empty()) return matrix;
  matrix.scale = scales.as<float>().data() + index * scale_blocks(n) * scale_blocks(k);
  matrix.scale_rows = matrix.scale_cols = kScaleBlock;
  matrix.scale_row_stride = 1;
  matrix.scale_col_stride = scale_blocks(k);
  return matrix;
}

}  // namespace

void ExpertMlp::run(const MoeSpec& spec, const MlpWeights& weights, std::int64_t width, const MlpRows& rows,
                    float* result, const Pace& pace) {
  const std::int64_t total = rows.begin.back();
  const Dtype x_dtype = spec.quantised() ? Dtype::fp8_e4m3 : spec.activation();
  const Dtype hidden_dtype = spec.quantised() ? Dtype::fp8_e4m3 : Dtype::f32;
  gate_up_.resize(static_cast<std::size_t>(total * 2 * width));
  hidden_.resize(total, width, hidden_dtype);
  std::vector<gemm::Group> up, down;
  for (std::size_t e = 0; e + 1 < rows.begin.size(); ++e) {
    const std::int64_t begin = rows.begin[e], count = rows.begin[e + 1] - begin;
    if (count == 0) continue;
    const auto index = static_cast<std::int64_t>(e);
    gemm::Group first{.a = left(rows.rows, x_dtype, count, spec.hidden),
                      .b = right(weights.up, weights.up_scale, index, 2 * width, spec.hidden),
                      .c = {gate_up_.data() + begin * 2 * width, Dtype::f32, 2 * width}};
    if (rows.ids != nullptr) first.a.row_ids = rows.ids + begin;
    up.push_back(first);
    RowStore hidden = hidden_.store();
    hidden.data = hidden_.row(begin);
    hidden.scales = hidden_.scales(begin);
    down.push_back({.a = left(hidden, hidden_dtype, count, width),
                    .b = right(weights.down, weights.down_scale, index, spec.hidden, width),
                    .c = {result + begin * spec.hidden, Dtype::f32, spec.hidden}});
  }
  const auto hit = std::ssize(up);
  gemm::grouped_gemm(up.data(), hit, pace, static_cast<double>(hit * spec.up_bytes(width)));
  activate(spec, total, width);
  gemm::grouped_gemm(down.data(), hit, pace, static_cast<double>(hit * spec.down_bytes(width)));
}

void ExpertMlp::activate(const MoeSpec& spec, std::int64_t count, std::int64_t width) {
  parallel_for(count, grain_of(8 * width), [&](std::int64_t begin, std::int64_t end, int) {
    std::vector<float> values(spec.quantised() ? static_cast<std::size_t>(width) : 0);
    for (std::int64_t row = begin; row < end; ++row) {
      const float* gate_up = gate_up_.data() + row * 2 * width;
      if (!spec.quantised()) {
        swiglu_row(gate_up, width, reinterpret_cast<float*>(hidden_.row(row)));
        continue;
      }
      swiglu_row(gate_up, width, values.data());
      quantise_row_simd(values.data(), width, reinterpret_cast<std::uint8_t*>(hidden_.row(row)),
                        hidden_.scales(row));
    }
  });
}

}  // namespace chokepoint::moe
