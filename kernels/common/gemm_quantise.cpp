#include "kernels/common/gemm_quantise.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "harness/base/parallel.hpp"

namespace chokepoint::gemm {
namespace {

constexpr float kLeastMaximum = 1e-4F;

// One block of everything: rows are shared among workers.
void quantise_whole(const Tensor& values, Tensor& quantised, Tensor& scales) {
  constexpr std::int64_t kRowsAtATime = 64;
  const std::int64_t rows = values.dims()[0], cols = values.dims()[1];
  const float* from = values.as<float>().data();
  std::uint8_t* to = quantised.as<std::uint8_t>().data();
  std::vector<float> largest(static_cast<std::size_t>(parallel_workers()), kLeastMaximum);  // by worker
  parallel_for(rows, kRowsAtATime, [&](std::int64_t begin, std::int64_t end, int worker) {
    float& most = largest[static_cast<std::size_t>(worker)];
    for (std::int64_t at = begin * cols; at < end * cols; ++at) most = std::max(most, std::abs(from[at]));
  });
  const float scale = *std::max_element(largest.begin(), largest.end()) / kFp8E4m3Max;
  scales.as<float>()[0] = scale;
  parallel_for(rows, kRowsAtATime, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t at = begin * cols; at < end * cols; ++at) to[at] = fp8_e4m3_from_float(from[at] / scale);
  });
}

}  // namespace

void quantise_fp8(const Tensor& values, std::int64_t block_rows, std::int64_t block_cols, Tensor& quantised,
                  Tensor& scales) {
  const std::int64_t rows = values.dims()[0], cols = values.dims()[1];
  const std::int64_t row_blocks = scales.dims()[0], col_blocks = scales.dims()[1];
  if (row_blocks * col_blocks == 1) return quantise_whole(values, quantised, scales);
  const float* from = values.as<float>().data();
  std::uint8_t* to = quantised.as<std::uint8_t>().data();
  float* scale_of = scales.as<float>().data();
  parallel_for(row_blocks * col_blocks, 16, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t block = begin; block < end; ++block) {
      const std::int64_t row0 = block / col_blocks * block_rows, row1 = std::min(rows, row0 + block_rows);
      const std::int64_t col0 = block % col_blocks * block_cols, col1 = std::min(cols, col0 + block_cols);
      float largest = kLeastMaximum;
      for (std::int64_t row = row0; row < row1; ++row)
        for (std::int64_t col = col0; col < col1; ++col)
          largest = std::max(largest, std::abs(from[row * cols + col]));
      const float scale = largest / kFp8E4m3Max;
      scale_of[block] = scale;
      for (std::int64_t row = row0; row < row1; ++row)
        for (std::int64_t col = col0; col < col1; ++col)
          to[row * cols + col] = fp8_e4m3_from_float(from[row * cols + col] / scale);
    }
  });
}

}  // namespace chokepoint::gemm
