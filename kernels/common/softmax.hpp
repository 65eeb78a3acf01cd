// How is a softmax taken over keys that come tile by tile? A running maximum and sum per row; what was summed
// before a larger score came is scaled down (online softmax: Milakov and Gimelshein 2018; used so by
// FlashAttention, Dao 2022).
#pragma once

#include <cstdint>
#include <limits>

namespace chokepoint::softmax {

// What a row has seen so far: the largest raw score, and the sum of 2^((score - largest) * factor).
struct RowState {
  float largest = -std::numeric_limits<float>::infinity();
  float sum = 0.0F;
};

// Columns a row of scores has to have room for: `keys` in whole vectors of the widest CPU.
constexpr std::int64_t padded(std::int64_t keys) { return (keys + 15) / 16 * 16; }

// Turns one tile of raw scores [rows, keys] into weights 2^((score - largest) * factor), row by row, and
// folds it into `states`. `factor` is the softmax scale times log2(e). Row r sees its first visible[r] keys
// only; the others get weight 0. `carry[r]` becomes what earlier sums of the row have to be multiplied with.
// Rows are `ld` floats apart.
void fold_tile(float* scores, std::int64_t ld, std::int64_t rows, std::int64_t keys,
               const std::int64_t* visible, float factor, RowState* states, float* carry);

// values[r, 0 .. cols) *= carry[r].
void scale_rows(float* values, std::int64_t ld, std::int64_t rows, std::int64_t cols, const float* carry);

// 2^x for x <= 0, relative error below 2e-7; exactly 1 at 0, and 0 below -126. For tests.
float exp2_of(float x);

}  // namespace chokepoint::softmax
