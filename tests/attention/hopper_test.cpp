// Attention's kernels for Hopper as the emulator runs them: the launch as the harness prepares it, against
// the operation.
#include "tests/kernels/host_cuda.hpp"
// The emulator comes first.
#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "kernels/attention/hopper.cu"
#include "kernels/attention/hopper_decode.cu"
#include "kernels/attention/hopper_latent.cu"
#include "kernels/attention/hopper_prefill_128.cu"
#include "kernels/attention/hopper_prefill_192.cu"
#include "kernels/attention/hopper_prefill_256.cu"
#include "kernels/attention/hopper_prefill_64.cu"

namespace chokepoint {
namespace {

using hopper::PrefillOrder;
using hopper::PrefillPlace;
using hopper::PrefillPlan;
using hopper::SeenKeys;

Shape heads(std::int64_t heads_q, std::int64_t heads_kv, std::int64_t qk_dim, std::int64_t v_dim) {
  return {{"mode", "prefill"}, {"heads_q", heads_q}, {"heads_kv", heads_kv}, {"qk_dim", qk_dim}, {"v_dim", v_dim}};
}

Shape some(Shape shape, std::int64_t seq_q, std::int64_t context, std::int64_t causal, std::int64_t batch = 1) {
  shape.set("seq_q", seq_q);
  shape.set("context", context);
  shape.set("causal", causal);
  shape.set("batch", batch);
  return shape;
}

Shape complete(const Shape& shape) { return complete_shape(find_operation("attention"), shape); }

// Tokens and slots past the end of a sequence become NaN: reading one shows, whatever its weight.
void poison_unused(AttentionProblem& problem) {
  const AttentionSizes& s = problem.sizes;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  Tensor& keys = s.decode ? problem.kv_cache : problem.k;
  Tensor& values = s.decode ? problem.kv_cache : problem.v;
  const std::int64_t slots = s.decode ? s.pages_per_sequence() * s.page_size : s.context;
  for (std::int64_t b = 0; b < s.batch; ++b)
    for (std::int64_t t = s.context_length[static_cast<std::size_t>(b)]; t < slots; ++t)
      for (std::int64_t head = 0; head < s.heads_kv; ++head) {
        for (std::int64_t d = 0; d < s.qk_dim; ++d) keys.set(problem.key_at(b, head, t) + d, nan);
        for (std::int64_t d = 0; d < s.v_dim; ++d) values.set(problem.value_at(b, head, t) + d, nan);
      }
}

EmulatedRun run(const AttentionProblem& problem) {
  return run_emulated(problem, [&](Device& device, const Pace& pace) {
    return find_kernel("attention", "hopper").prepare(problem, device, pace);
  });
}

void expect_right(const Shape& shape) {
  AttentionProblem problem(complete(shape), Dtype::bf16, {});
  poison_unused(problem);
  const EmulatedRun ran = run(problem);
  EXPECT_LE(ran.errors.worst, problem.tolerance()) << shape.text();
  const Work work = problem.work();
  EXPECT_EQ(ran.charged.flop, work.flop) << shape.text();
  // Each charge, of a tile of queries or of 128 keys, is rounded to whole bytes.
  const auto charges = static_cast<double>(problem.output_rows() * (1 + problem.sizes.context / 128));
  EXPECT_NEAR(ran.charged.memory_bytes, work.memory_bytes, 0.5 * charges) << shape.text();
}

TEST(attention_hopper, is_right_at_every_head_size) {
  for (std::int64_t causal : {0, 1}) {
    expect_right(some(heads(2, 2, 64, 64), 131, 131, causal));
    expect_right(some(heads(2, 1, 128, 128), 97, 203, causal));
    expect_right(some(heads(1, 1, 192, 128), 130, 270, causal));
    expect_right(some(heads(1, 1, 256, 256), 67, 171, causal));
  }
}

TEST(attention_hopper, is_right_where_queries_and_keys_end_around_tiles) {
  for (std::int64_t length : {1, 2, 63, 64, 65, 127, 128, 129, 255, 256, 257})
    expect_right(some(heads(1, 1, 64, 64), length, length, 1));
  for (std::int64_t context : {127, 128, 129, 383, 385}) expect_right(some(heads(1, 1, 64, 64), 1, context, 1));
  expect_right(some(heads(2, 1, 64, 64), 200, 7, 0));  // more queries than keys
}

// More blocks of keys than the rings have stages, twice over.
TEST(attention_hopper, is_right_when_stages_are_used_again) {
  for (std::int64_t causal : {0, 1}) {
    expect_right(some(heads(1, 1, 64, 64), 130, 900, causal));
    expect_right(some(heads(1, 1, 128, 128), 100, 700, causal));
    expect_right(some(heads(1, 1, 256, 256), 65, 500, causal));
  }
}

TEST(attention_hopper, is_right_for_sequences_of_different_lengths) {
  for (std::int64_t causal : {0, 1}) {
    Shape shape = some(heads(4, 2, 64, 64), 30, 301, causal, 3);
    shape.set("ragged", std::int64_t{1});
    expect_right(shape);
  }
}

TEST(attention_hopper, prefill_has_no_more_blocks_than_the_multiprocessors_it_reaches) {
  const AttentionProblem problem(complete(some(heads(5, 5, 64, 64), 65, 65, 1)), Dtype::bf16, {});
  EXPECT_EQ(blocks_on_two_multiprocessors(problem,
                                          [&](Device& device, const Pace& pace) {
                                            return find_kernel("attention", "hopper").prepare(problem, device, pace);
                                          }),
            2U);
}

Shape mla(std::int64_t heads, std::int64_t seq_q, std::int64_t context, std::int64_t batch, std::int64_t causal = 1) {
  Shape shape{{"mode", "decode"}, {"variant", "mla"}, {"heads_q", heads}, {"heads_kv", 1},
              {"qk_dim", 576},    {"v_dim", 512},     {"scale_dim", 192}};
  return some(shape, seq_q, context, causal, batch);
}

TEST(attention_hopper, is_right_for_absorbed_mla) {
  expect_right(mla(128, 1, 150, 2));
  expect_right(mla(16, 3, 263, 1));
  expect_right(mla(16, 3, 263, 1, 0));
  expect_right(mla(70, 1, 500, 4));  // more tiles than multiprocessors: no splits
  Shape ragged = mla(24, 2, 400, 3);
  ragged.set("ragged", std::int64_t{1});
  ragged.set("page_size", std::int64_t{128});
  expect_right(ragged);
}

TEST(attention_hopper, is_right_where_keys_end_around_blocks_and_steps) {
  for (std::int64_t context : {1, 2, 63, 64, 65, 127, 128, 129, 191, 192, 193, 256, 257}) expect_right(mla(5, 1, context, 1));
  for (std::int64_t context : {1023, 1024, 1025, 1100}) expect_right(mla(3, 1, context, 1));  // split
}

Shape grouped(std::int64_t heads_q, std::int64_t heads_kv, std::int64_t dim, std::int64_t seq_q,
              std::int64_t context, std::int64_t batch = 1, std::int64_t causal = 1) {
  Shape shape = some(heads(heads_q, heads_kv, dim, dim), seq_q, context, causal, batch);
  shape.set("mode", std::string("decode"));
  return shape;
}

Shape with_pages(Shape shape, std::int64_t page_size, std::int64_t ragged = 0) {
  shape.set("page_size", page_size);
  shape.set("ragged", ragged);
  return shape;
}

TEST(attention_hopper, is_right_for_decode_with_every_head_size_and_number_of_heads_that_share_keys) {
  expect_right(grouped(8, 2, 64, 1, 333, 2));
  expect_right(grouped(8, 1, 128, 1, 333, 2));
  expect_right(grouped(4, 2, 256, 1, 333, 2));
  expect_right(grouped(3, 3, 128, 1, 131));   // multi-head
  expect_right(grouped(71, 1, 64, 1, 131));   // multi-query, more heads than a tile has rows
  expect_right(grouped(10, 2, 64, 15, 200));  // several queries: 75 rows, two tiles
  expect_right(grouped(10, 2, 64, 15, 200, 1, 0));
  expect_right(grouped(6, 6, 64, 1, 70, 3));  // more tiles than multiprocessors: no splits
}

TEST(attention_hopper, is_right_where_keys_of_decode_end_around_tiles_and_the_ring) {
  for (std::int64_t context : {1, 2, 63, 64, 65, 127, 129, 191, 192, 193, 257, 449}) {
    expect_right(grouped(4, 1, 128, 1, context, 8));  // whole, one block each
    expect_right(grouped(4, 1, 64, 1, context));      // split
  }
}

TEST(attention_hopper, is_right_for_pages_of_any_size_and_ragged_lengths) {
  for (std::int64_t page_size : {1, 3, 8, 16, 20, 48, 64, 96, 128, 256}) {
    expect_right(with_pages(grouped(4, 2, 64, 2, 301, 3), page_size, 1));
    expect_right(with_pages(grouped(4, 2, 128, 1, 150), page_size));
  }
}

TEST(attention_hopper, every_number_of_splits_is_right_and_the_plans_own_comes_first) {
  const KernelChoices& offered = *find_choices("attention", "hopper");
  for (const Shape& shape : {with_pages(grouped(4, 2, 64, 2, 500, 2), 16, 1), mla(4, 1, 500, 2)}) {
    const AttentionProblem problem(complete(shape), Dtype::bf16, {});
    EmulatedDevice device;
    const std::vector<std::string> names = offered.configurations(complete(shape), Dtype::bf16, device);
    const int multiprocessors = device.multiprocessors(Lane::compute);
    EXPECT_EQ(names.front(), fmt::format("splits={}", hopper::paged_plan(problem.sizes, multiprocessors).splits));
    EXPECT_GE(names.size(), 6U);  // 1, 2, 3, 4, 6 and 8 of the 8 tiles
    for (const std::string& name : names) {
      const EmulatedRun ran = run_emulated(
          problem, [&](Device& on, const Pace& pace) { return offered.prepare(problem, on, pace, name); });
      EXPECT_LE(ran.errors.worst, problem.tolerance()) << name;
      EXPECT_EQ(ran.charged.flop, problem.work().flop) << name;
    }
  }
  const Shape prefill = complete(some(heads(1, 1, 64, 64), 9, 9, 1));
  EXPECT_TRUE(offered.configurations(prefill, Dtype::bf16, EmulatedDevice()).empty());
}

TEST(attention_hopper, extreme_scores_of_decode_pick_the_best_key) {
  AttentionProblem problem(complete(grouped(4, 2, 128, 1, 300, 1, 0)), Dtype::bf16, {.seed = 2});
  for (std::int64_t i = 0; i < problem.q.count(); ++i) problem.q.set(i, 1e6 * problem.q.at(i));
  EXPECT_LE(run(problem).errors.worst, problem.tolerance());
}

TEST(attention_hopper, extreme_scores_of_mla_pick_the_best_key) {
  AttentionProblem problem(complete(mla(4, 1, 300, 1, 0)), Dtype::bf16, {.seed = 2});
  for (std::int64_t i = 0; i < problem.q.count(); ++i) problem.q.set(i, 1e6 * problem.q.at(i));
  EXPECT_LE(run(problem).errors.worst, problem.tolerance());
}

TEST(attention_hopper, extreme_scores_pick_the_best_key) {
  AttentionProblem problem(complete(some(heads(2, 1, 128, 128), 40, 300, 0)), Dtype::bf16, {.seed = 2});
  for (std::int64_t i = 0; i < problem.q.count(); ++i) problem.q.set(i, 1e6 * problem.q.at(i));
  EXPECT_LE(run(problem).errors.worst, problem.tolerance());
}

TEST(attention_hopper, refuses_what_is_out_of_reach_with_a_reason) {
  const Kernel& found = find_kernel("attention", "hopper");
  const auto limit = [&](Shape shape) { return found.unsupported(complete(some(shape, 1, 9, 1)), Dtype::bf16).value_or(""); };
  EXPECT_NE(limit(heads(1, 1, 72, 64)).find("no tile"), std::string::npos);
  Shape decode = heads(1, 1, 192, 128);
  decode.set("mode", std::string("decode"));
  EXPECT_NE(limit(decode).find("no tile for decode"), std::string::npos);
  EXPECT_NE(limit(with_pages(grouped(1 << 20, 1 << 20, 64, 1, 9), 1 << 16)).find("out of reach"),
            std::string::npos);
  EXPECT_EQ(limit(grouped(32, 8, 128, 1, 1)), "");
  EXPECT_EQ(limit(heads(4, 2, 192, 128)), "");
  Shape pages = mla(4, 1, 9, 1);
  pages.set("page_size", std::int64_t{48});
  EXPECT_NE(limit(pages).find("pages of 48"), std::string::npos);
  EXPECT_EQ(limit(mla(4, 1, 9, 1)), "");
  EXPECT_TRUE(found.exactly_that_sm);
}

TEST(prefill_plan, visits_every_tile_once) {
  for (const PrefillOrder order : {PrefillOrder{.row_tiles = 5, .heads_kv = 3, .heads_per_kv = 2, .batch = 2, .group = 4},
                                   PrefillOrder{.row_tiles = 1, .heads_kv = 1, .heads_per_kv = 1, .batch = 7, .group = 7},
                                   PrefillOrder{.row_tiles = 3, .heads_kv = 8, .heads_per_kv = 4, .batch = 1, .group = 1}}) {
    std::set<std::array<int, 3>> seen;
    for (int i = 0; i < order.count(); ++i) {
      const PrefillPlace place = order.place(i);
      EXPECT_TRUE(place.b >= 0 && place.b < order.batch && place.head >= 0 &&
                  place.head < order.heads_kv * order.heads_per_kv && place.row_tile >= 0 && place.row_tile < order.row_tiles);
      seen.insert({place.b, place.head, place.row_tile});
    }
    EXPECT_EQ(seen.size(), static_cast<std::size_t>(order.count()));
  }
}

TEST(prefill_plan, takes_the_last_queries_of_all_heads_of_a_group_first) {
  const PrefillOrder order{.row_tiles = 2, .heads_kv = 3, .heads_per_kv = 2, .batch = 1, .group = 2};
  const PrefillPlace first_group[] = {{0, 0, 1}, {0, 1, 1}, {0, 2, 1}, {0, 3, 1}, {0, 0, 0}, {0, 1, 0}, {0, 2, 0}, {0, 3, 0}};
  for (int i = 0; i < 8; ++i) EXPECT_EQ(order.place(i), first_group[i]) << i;
  EXPECT_EQ(order.place(8), (PrefillPlace{0, 4, 1}));  // the last group has one head left
  EXPECT_EQ(order.place(11), (PrefillPlace{0, 5, 0}));
}

TEST(prefill_plan, groups_heads_whose_keys_stay_in_l2_but_never_fewer_than_fill_the_gpu) {
  // Llama-3.1-8B, 16384 keys: 8 KV heads of 4 heads each; 16384 x 256 x 2 = 8.4 MB per KV head, so three fit 32 MB.
  const auto plan = [](std::int64_t context) {
    Shape shape = some(heads(32, 8, 128, 128), context, context, 1);
    return hopper::prefill_plan(attention_sizes(complete(shape)), {.multiprocessors = 132});
  };
  EXPECT_EQ(plan(16384).order.group, 3);
  EXPECT_EQ(plan(16384).order.row_tiles, 128);
  EXPECT_EQ(plan(16384).grid, 132);
  // 512 keys: all 8 heads fit; 4 tiles x 32 heads = 128 blocks.
  EXPECT_EQ(plan(512).order.group, 8);
  EXPECT_EQ(plan(512).grid, 128);
  // 262144 keys: not one head fits, and its 4 x 2048 tiles are enough for all.
  EXPECT_EQ(plan(262144).order.group, 1);
}

TEST(prefill_plan, tiles_fit_an_h100s_shared_memory) {
  for (const hopper::PrefillTile& tile : hopper::kPrefillTiles) {
    EXPECT_LE(tile.shared_bytes(), 232448);
    // Each of these begins at a multiple of 1024 bytes, as swizzled tiles must.
    EXPECT_EQ(tile.query_bytes() % 1024, 0);
    EXPECT_EQ(tile.key_bytes() % 1024, 0);
    EXPECT_EQ(tile.value_bytes() % 1024, 0);
    EXPECT_EQ(tile.keys % 16, 0);
  }
}

TEST(latent_plan, splits_keys_only_where_multiprocessors_would_idle) {
  EXPECT_EQ(hopper::latent_splits(256, 4096, 132), 1);  // 128 sequences of 128 heads
  EXPECT_EQ(hopper::latent_splits(106, 4096, 132), 1);  // 80 %
  EXPECT_EQ(hopper::latent_splits(66, 4096, 132), 2);   // 132 blocks: full
  EXPECT_EQ(hopper::latent_splits(2, 65536, 132), 57);  // 114 of 132 is 86 % of full
  EXPECT_EQ(hopper::latent_splits(2, 1024, 132), 4);    // two steps each at least
  EXPECT_EQ(hopper::latent_splits(1, 10, 132), 1);
}

TEST(decode_plan, splits_keys_until_waves_are_full_and_no_further) {
  EXPECT_EQ(hopper::decode_splits(512, 64, 264), 1);  // two waves of 64 + 2; halves: four of 32 + 4
  EXPECT_EQ(hopper::decode_splits(264, 64, 264), 1);
  // One wave of 64 + 2 against three thirds of a wave, of 22 + 4; two halves leave slots empty as whole ones
  // do.
  EXPECT_EQ(hopper::decode_splits(88, 64, 264), 3);
  EXPECT_EQ(hopper::decode_splits(8, 1024, 264), 32);     // 256 blocks of 32 tiles; 33 would be no shorter
  EXPECT_EQ(hopper::decode_splits(1, 100000, 264), 128);  // as many as are merged
  EXPECT_EQ(hopper::decode_splits(1, 2, 264), 1);         // merging would cost more
}

TEST(decode_plan, packs_the_heads_that_share_keys_and_never_splits_beyond_the_keys) {
  const auto sizes = [](std::int64_t heads_q, std::int64_t heads_kv, std::int64_t seq_q,
                        std::int64_t context) {
    return attention_sizes(complete(grouped(heads_q, heads_kv, 128, seq_q, context, 64)));
  };
  const hopper::PagedPlan llama = hopper::paged_plan(sizes(32, 8, 1, 4096), 132);  // Llama-3.1-8B
  EXPECT_EQ(llama.row_tiles, 1);
  EXPECT_EQ(llama.splits, 1);
  EXPECT_EQ(llama.blocks, 512);
  EXPECT_EQ(llama.tile, 1U);
  EXPECT_EQ(hopper::paged_plan(sizes(130, 2, 1, 4096), 132).row_tiles, 2);
  EXPECT_EQ(hopper::paged_plan(sizes(8, 2, 16, 4096), 132).row_tiles, 1);
  EXPECT_EQ(hopper::paged_plan_with(100, sizes(8, 2, 1, 130)).splits, 3);
  EXPECT_EQ(hopper::paged_plan_with(0, sizes(8, 2, 1, 130)).splits, 1);
}

TEST(decode_plan, boxes_lie_within_pages_and_fill_tiles) {
  const std::pair<int, int> expected[] = {{1, 1}, {3, 1}, {20, 4}, {48, 16}, {64, 64}, {96, 32}, {65536, 64}};
  for (const auto& [page_size, rows] : expected) EXPECT_EQ(hopper::decode_box_rows(page_size), rows);
}

TEST(decode_plan, as_many_blocks_as_planned_fit_a_multiprocessor) {
  for (const hopper::DecodeTile& tile : hopper::kDecodeTiles) {
    // 1 KiB of a multiprocessor's shared memory goes to the system for each block (CUDA C++ Programming
    // Guide 13.0, 16.8).
    EXPECT_LE(tile.residents * (tile.shared_bytes() + 1024), 233472);
    EXPECT_LE(tile.shared_bytes(), 232448);
    EXPECT_EQ(tile.query_bytes() % 1024 + tile.stage_bytes() % 2048, 0);
    EXPECT_GE(tile.residents * tile.stages * tile.stage_bytes(), 96 * 1024);  // in flight
  }
}

TEST(latent_plan, fits_an_h100s_shared_memory) { EXPECT_LE(hopper::LatentTile::kSharedBytes, 232448); }

TEST(prefill_plan, counts_pairs_of_queries_and_the_keys_they_see) {
  const SeenKeys causal{.first = 3, .step = 1}, full{.first = 5};
  EXPECT_EQ(causal.pairs(0, 4), 3 + 4 + 5 + 6);
  EXPECT_EQ(causal.pairs(2, 4), 5 + 6);
  EXPECT_EQ(causal.pairs(2, 2), 0);
  EXPECT_EQ(full.pairs(1, 4), 15);
}

}  // namespace
}  // namespace chokepoint
