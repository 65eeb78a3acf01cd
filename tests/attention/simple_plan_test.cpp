// How cuda_simple cuts attention: tiles by rows and columns, splits by blocks and multiprocessors, and what
// fits.
#include "kernels/attention/simple_plan.hpp"

#include <gtest/gtest.h>

#include "tests/kernels/check.hpp"

namespace chokepoint {
namespace {

AttentionSizes sizes_of(const Shape& shape) {
  return attention_sizes(complete_shape(find_operation("attention"), shape));
}

Shape llama(const char* mode, std::int64_t batch, std::int64_t seq_q, std::int64_t context) {
  return {{"mode", mode},  {"batch", batch}, {"heads_q", 64},  {"heads_kv", 8},
          {"qk_dim", 128}, {"v_dim", 128},   {"seq_q", seq_q}, {"context", context}};
}

Shape deepseek(std::int64_t batch, std::int64_t heads, std::int64_t context) {
  return {{"mode", "decode"}, {"variant", "mla"}, {"batch", batch}, {"heads_q", heads},
          {"heads_kv", 1},    {"qk_dim", 576},    {"v_dim", 512},   {"context", context}};
}

constexpr SimpleMachine kH100{};
constexpr SimpleMachine kA100{
    .multiprocessors = 108, .shared_bytes_per_block = 166912, .shared_bytes_per_multiprocessor = 167936};
constexpr SimpleMachine kConsumer{
    .multiprocessors = 84, .shared_bytes_per_block = 101376, .shared_bytes_per_multiprocessor = 102400};

TEST(simple_plan, prefill_takes_tiles_of_many_rows_and_no_splits) {
  const SimplePlan plan = plan_simple(sizes_of(llama("prefill", 1, 16384, 16384)), Dtype::bf16, kH100);
  EXPECT_EQ(plan.method, SimpleMethod::rows);
  EXPECT_EQ(plan.rows, 128);
  EXPECT_EQ(plan.row_tiles, 16384 * 8 / 128);
  EXPECT_EQ(plan.splits, 1);
  EXPECT_EQ(plan.blocks, 8 * 1024);
  // Queries of 128 rows, two tiles of 64 keys and two of values, 256 bytes per row, and the state.
  EXPECT_EQ(plan.shared_bytes, (128 + 4 * 64) * 256 + 512);
}

TEST(simple_plan, decode_takes_a_tile_of_16_rows_per_kv_head) {
  const SimplePlan plan = plan_simple(sizes_of(llama("decode", 64, 1, 4096)), Dtype::bf16, kH100);
  EXPECT_EQ(plan.rows, 16);
  EXPECT_EQ(plan.row_tiles, 1);
  // 512 blocks in two waves on 264 places: 2 * (64 + 2) tiles. Two splits take 4 * (32 + 4).
  EXPECT_EQ(plan.splits, 1);
  EXPECT_EQ(plan.blocks, 512);
}

TEST(simple_plan, splits_fill_the_multiprocessors_when_blocks_do_not) {
  // 8 blocks of 64 tiles; 33 splits fill 264 places, and 32 give two tiles to each: 2 + 4 against 2 + 4.
  const SimplePlan one = plan_simple(sizes_of(llama("decode", 1, 1, 4096)), Dtype::bf16, kH100);
  EXPECT_EQ(one.splits, 32);
  EXPECT_EQ(one.partial_floats(sizes_of(llama("decode", 1, 1, 4096))), 64 * 32 * 129);
  // Ten tokens are one tile.
  EXPECT_EQ(plan_simple(sizes_of(llama("decode", 1, 1, 10)), Dtype::bf16, kH100).splits, 1);
}

TEST(simple_plan, latent_tiles_follow_the_heads_and_the_shared_memory) {
  const SimplePlan many = plan_simple(sizes_of(deepseek(128, 128, 4096)), Dtype::bf16, kH100);
  EXPECT_EQ(many.method, SimpleMethod::latent);
  EXPECT_EQ(many.rows, 64);
  EXPECT_EQ(many.blocks, 256 * many.splits);
  EXPECT_EQ(plan_simple(sizes_of(deepseek(128, 16, 4096)), Dtype::bf16, kH100).rows, 32);
  EXPECT_EQ(plan_simple(sizes_of(deepseek(128, 128, 4096)), Dtype::bf16, kA100).rows, 32);
}

TEST(simple_plan, refuses_a_machine_whose_shared_memory_is_too_small) {
  const std::string text =
      error_text([] { plan_simple(sizes_of(deepseek(1, 128, 64)), Dtype::bf16, kConsumer); });
  EXPECT_NE(text.find("101376 bytes"), std::string::npos) << text;
}

TEST(simple_plan, every_tile_stays_within_what_an_h100_has) {
  for (const RowsTile& tile : kRowsTiles) {
    EXPECT_LE(tile.shared_bytes(), kH100.shared_bytes_per_block);
    EXPECT_LE(tile.threads() * tile.residents * 255 / 8 * 8, 65536 * tile.residents);
  }
  for (const LatentTile& tile : kLatentTiles) EXPECT_LE(tile.shared_bytes(), kH100.shared_bytes_per_block);
}

TEST(simple_plan, blocks_cover_all_rows_and_no_split_is_without_keys) {
  for (std::int64_t context : {1, 31, 64, 65, 1000, 100000})
    for (std::int64_t batch : {1, 3, 200})
      for (Dtype dtype : {Dtype::bf16, Dtype::f32}) {
        const AttentionSizes sizes = sizes_of(llama("decode", batch, 1, context));
        const SimplePlan plan = plan_simple(sizes, dtype, kH100);
        EXPECT_GE(plan.row_tiles * plan.rows, sizes.rows_per_kv());
        EXPECT_EQ(plan.blocks, batch * 8 * plan.row_tiles * plan.splits);
        EXPECT_LE(plan.splits, (context + plan.keys - 1) / plan.keys);
        EXPECT_LE(plan.splits, 64);
      }
}

}  // namespace
}  // namespace chokepoint
