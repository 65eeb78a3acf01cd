// The online softmax and the products of few rows, apart from attention; and how cpu_native plans its tiles.
#include "kernels/common/softmax.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "harness/base/dtype.hpp"
#include "harness/base/random.hpp"
#include "kernels/attention/native_plan.hpp"
#include "kernels/attention/thin_rows.hpp"

namespace chokepoint {
namespace {

TEST(softmax, powers_of_two_are_right_to_2e_7_down_to_the_smallest_normal_number) {
  double worst = 0.0;
  for (int i = 0; i <= 126 * 4000; ++i) {
    const float x = -static_cast<float>(i) / 4000.0F;
    const double exact = std::exp2(static_cast<double>(x));
    worst = std::max(worst, std::abs(softmax::exp2_of(x) - exact) / exact);
  }
  EXPECT_LT(worst, 2e-7);
  EXPECT_EQ(softmax::exp2_of(-126.5F), 0.0F);
  EXPECT_EQ(softmax::exp2_of(-1e30F), 0.0F);
  EXPECT_EQ(softmax::exp2_of(-INFINITY), 0.0F);
}

// Folds a row of scores tile by tile and returns the weights relative to the final largest score.
std::vector<double> online(const std::vector<float>& scores, std::size_t tile, float factor) {
  softmax::RowState state;
  std::vector<double> weights;
  for (std::size_t at = 0; at < scores.size(); at += tile) {
    const auto keys = static_cast<std::int64_t>(std::min(tile, scores.size() - at));
    std::vector<float> row(static_cast<std::size_t>(softmax::padded(keys)),
                           1e30F);  // what lies behind a tile
    std::copy_n(scores.begin() + static_cast<std::ptrdiff_t>(at), keys, row.begin());
    float carry = 0.0F;
    softmax::fold_tile(row.data(), softmax::padded(keys), 1, keys, &keys, factor, &state, &carry);
    for (double& weight : weights) weight *= carry;
    weights.insert(weights.end(), row.begin(), row.begin() + keys);
  }
  for (double& weight : weights) weight /= state.sum;
  return weights;
}

TEST(softmax, tiles_of_any_size_give_the_softmax_of_the_whole_row) {
  std::vector<float> scores(203);
  for (std::size_t i = 0; i < scores.size(); ++i)
    scores[i] = static_cast<float>(20.0 * random_unit(1, 2, i) - 10.0);
  const float largest = *std::max_element(scores.begin(), scores.end());
  double sum = 0.0;
  for (float score : scores) sum += std::exp2(0.7 * (score - largest));
  for (std::size_t tile : {1U, 3U, 16U, 64U, 202U, 203U, 500U}) {
    const std::vector<double> weights = online(scores, tile, 0.7F);
    for (std::size_t i = 0; i < scores.size(); ++i)
      EXPECT_NEAR(weights[i], std::exp2(0.7 * (scores[i] - largest)) / sum, 1e-6) << tile;
  }
}

TEST(softmax, keys_a_row_does_not_see_weigh_nothing_and_a_row_without_keys_stays_empty) {
  const std::vector<std::int64_t> visible = {-5, 0, 1, 20, 99};
  std::vector<float> scores(5 * 32, 4.0F);
  std::vector<softmax::RowState> states(5);
  std::vector<float> carry(5);
  softmax::fold_tile(scores.data(), 32, 5, 20, visible.data(), 1.0F, states.data(), carry.data());
  for (std::size_t row = 0; row < 5; ++row) {
    const std::int64_t seen = std::clamp<std::int64_t>(visible[row], 0, 20);
    EXPECT_EQ(states[row].sum, static_cast<float>(seen));
    for (std::size_t key = 0; key < 20; ++key)
      EXPECT_EQ(scores[row * 32 + key], static_cast<std::int64_t>(key) < seen ? 1.0F : 0.0F);
  }
  EXPECT_EQ(carry[0], 1.0F);
  EXPECT_EQ(carry[4], 0.0F);  // the first tile a row sees replaces whatever was summed before
}

TEST(softmax, a_larger_score_scales_down_what_came_before) {
  std::vector<float> values = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20};
  const std::vector<float> carry = {0.5F, 1.0F};
  softmax::scale_rows(values.data(), 10, 2, 9, carry.data());
  for (std::size_t i = 0; i < 20; ++i)
    EXPECT_EQ(values[i], static_cast<float>(i + 1) * (i < 9 ? 0.5F : 1.0F));
}

TEST(thin_rows, products_agree_with_plain_sums_for_ragged_sizes) {
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16})
    for (std::int64_t rows : {1, 2, 3, 4, 7, 9})
      for (std::int64_t dim : {1, 15, 16, 40, 67, 200})
        for (std::int64_t count : {1, 2, 3, 5, 8}) {
          Tensor data("data", {count * (dim + 3)}, dtype), q("q", {rows, dim}, Dtype::f32);
          fill(data, "normal", 1);
          fill(q, "normal", 2);
          std::vector<std::int64_t> at;
          for (std::int64_t t = 0; t < count; ++t) at.push_back((count - 1 - t) * (dim + 3));
          const thin::Vectors vectors{data.data(), dtype, at.data(), count, dim};
          std::vector<float> scores(static_cast<std::size_t>(rows * 16)),
              sums(static_cast<std::size_t>(rows * dim), 1.0F);
          thin::dot_products(q.as<float>().data(), dim, rows, vectors, scores.data(), 16);
          thin::weighted_sums(scores.data(), 16, rows, vectors, sums.data(), dim, true);
          for (std::int64_t row = 0; row < rows; ++row) {
            std::vector<double> sum(static_cast<std::size_t>(dim), 1.0);
            for (std::int64_t t = 0; t < count; ++t) {
              double dot = 0.0;
              for (std::int64_t d = 0; d < dim; ++d)
                dot += q.at(row * dim + d) * data.at(at[static_cast<std::size_t>(t)] + d);
              const float score = scores[static_cast<std::size_t>(row * 16 + t)];
              ASSERT_NEAR(score, dot, 1e-4) << rows << " " << dim << " " << count;
              for (std::int64_t d = 0; d < dim; ++d)
                sum[static_cast<std::size_t>(d)] += score * data.at(at[static_cast<std::size_t>(t)] + d);
            }
            for (std::int64_t d = 0; d < dim; ++d)
              ASSERT_NEAR(sums[static_cast<std::size_t>(row * dim + d)], sum[static_cast<std::size_t>(d)],
                          2e-3);
          }
        }
}

AttentionSizes sizes_of(std::int64_t batch, std::int64_t heads_q, std::int64_t heads_kv, std::int64_t dim,
                        std::int64_t seq_q, std::int64_t context) {
  AttentionSizes sizes;
  sizes.batch = batch;
  sizes.heads_q = heads_q;
  sizes.heads_kv = heads_kv;
  sizes.qk_dim = sizes.v_dim = dim;
  sizes.seq_q = seq_q;
  sizes.context = context;
  sizes.context_length.assign(static_cast<std::size_t>(batch), context);
  return sizes;
}

constexpr NativeMachine kLaptop{
    .workers = 2, .rows_per_panel = 6, .cols_per_panel = 16, .l2_bytes = 512 * 1024};

TEST(native_plan, few_rows_are_read_in_place_some_pack_their_own_and_many_share) {
  EXPECT_EQ(plan_attention(sizes_of(8, 8, 1, 128, 1, 4096), kLaptop).access, KeyAccess::in_place);
  const NativePlan mla = plan_attention(sizes_of(8, 128, 1, 576, 1, 4096), kLaptop);
  EXPECT_EQ(mla.access, KeyAccess::own_panels);
  EXPECT_EQ(mla.row_block, 128);
  const NativePlan prefill = plan_attention(sizes_of(1, 8, 8, 128, 4096, 4096), kLaptop);
  EXPECT_EQ(prefill.access, KeyAccess::shared_panels);
  EXPECT_EQ(prefill.row_block % 6, 0);
  EXPECT_EQ(prefill.row_blocks, (4096 + prefill.row_block - 1) / prefill.row_block);
}

TEST(native_plan, the_context_is_cut_only_when_blocks_are_fewer_than_the_workers_want) {
  EXPECT_EQ(plan_attention(sizes_of(8, 8, 8, 128, 1, 4096), kLaptop).parts, 1);
  EXPECT_EQ(plan_attention(sizes_of(1, 8, 1, 128, 1, 4096), kLaptop).parts, 8);  // 4 items per worker
  EXPECT_EQ(plan_attention(sizes_of(1, 8, 1, 128, 1, 100), kLaptop).parts, 1);   // a single tile of keys
}

TEST(native_plan, a_tile_of_keys_fits_half_of_l2_and_panels_stay_within_their_room) {
  for (std::int64_t dim : {1, 64, 128, 192, 576, 20000})
    for (std::int64_t context : {1, 100, 4096, 131072}) {
      const NativePlan plan = plan_attention(sizes_of(3, 16, 4, dim, 500, context), kLaptop);
      EXPECT_EQ(plan.key_tile % 16, 0);
      EXPECT_TRUE(plan.key_tile == 16 || plan.key_tile * dim * 4 <= 256 * 1024);
      EXPECT_LT(plan.key_tile, context + 16);
      EXPECT_TRUE(plan.heads_at_once == 1 || plan.heads_at_once * context * 2 * dim * 4 <= 64 << 20);
      EXPECT_LE(plan.heads_at_once, 12);
    }
}

}  // namespace
}  // namespace chokepoint
