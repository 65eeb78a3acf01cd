// Instructions of sm_90a as the emulator has them, and the formulas of hopper/layout.hpp against it: what TMA writes is
// what wgmma reads, what stmatrix writes is what a TMA store takes.
// clang-format off: the emulator comes first
#include "tests/cuda_emulator/emulator.hpp"
// clang-format on

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "kernels/common/cuda/hopper/epilogue.cuh"
#include "kernels/common/cuda/hopper/wgmma.cuh"
#include "tests/cuda_emulator/tensor_map.hpp"

namespace chokepoint::hopper {
namespace {

using emulator::emulated_tensor_map;

constexpr std::size_t kSharedBytes = 160 * 1024;
constexpr int kBarriersAt = 128 * 1024, kScratchAt = 64 * 1024;

void run(unsigned threads, const std::function<void()>& body, unsigned blocks = 1, unsigned cluster = 1,
         bool reversed = false) {
  emulator::run({.grid = dim3(blocks), .block = dim3(threads), .shared_bytes = kSharedBytes, .cluster = cluster,
                 .reversed = reversed},
                body);
}

// Row-major values that differ, small enough for exact sums.
std::vector<std::uint16_t> bf16_matrix(int rows, int columns, int seed) {
  std::vector<std::uint16_t> values;
  for (int i = 0; i < rows * columns; ++i)
    values.push_back(bf16_from_float_rounded(static_cast<float>((i * 7 + i / columns * 3 + seed) % 17 - 8)));
  return values;
}
float at(const std::vector<std::uint16_t>& matrix, int columns, int row, int column) {
  return bf16_to_float(matrix[static_cast<std::size_t>(row * columns + column)]);
}

Mbarrier* barrier_number(int i) { return reinterpret_cast<Mbarrier*>(dynamic_shared() + kBarriersAt) + i; }

// Loads boxes into `to` and waits for them: called by all threads of the block.
struct Box {
  const TensorMap* map;
  unsigned char* to;
  int x, y;
  unsigned bytes;
};
void load(std::initializer_list<Box> boxes) {
  if (threadIdx.x == 0) {
    mbarrier_init(barrier_number(0), 1);
    fence_barrier_init();
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    unsigned bytes = 0;
    for (const Box& box : boxes) bytes += box.bytes;
    mbarrier_arrive_expect_tx(barrier_number(0), bytes);
    for (const Box& box : boxes) tma_load_2d(box.to, box.map, barrier_number(0), box.x, box.y);
  }
  mbarrier_wait(barrier_number(0), 0);
}

TEST(hopper_layout, a_swizzle_permutes_within_its_span_and_undoes_itself) {
  for (const Swizzle swizzle : {Swizzle::none, Swizzle::bytes_32, Swizzle::bytes_64, Swizzle::bytes_128}) {
    std::set<std::uint32_t> seen;
    for (std::uint32_t a = 0; a < 2048; ++a) {
      const std::uint32_t b = swizzled(a, swizzle);
      EXPECT_EQ(a / static_cast<unsigned>(span_bytes(swizzle)), b / static_cast<unsigned>(span_bytes(swizzle)));
      EXPECT_EQ(swizzled(b, swizzle), a);
      seen.insert(b);
    }
    EXPECT_EQ(seen.size(), 2048U);
  }
  EXPECT_EQ(swizzled(3 * 128 + 5 * 16 + 2), 3U * 128 + 6 * 16 + 2);  // chunk 5 of row 3: 5 ^ 3 = 6
}

TEST(hopper_layout, eight_rows_of_a_column_of_chunks_fall_into_all_banks) {
  for (int j = 0; j < 4; ++j)
    for (int warp = 0; warp < 4; ++warp)
      for (int eight = 0; eight < 4; ++eight) {
        std::set<std::uint32_t> chunks;
        for (int lane = 0; lane < 8; ++lane)
          chunks.insert(stmatrix_offset(warp * 32 + eight * 8 + lane, j) / 16 % 8);
        EXPECT_EQ(chunks.size(), 8U) << "a bank conflict";
      }
}

TEST(hopper_layout, accumulators_cover_the_tile_once) {
  std::set<std::pair<int, int>> seen;
  for (int t = 0; t < 128; ++t)
    for (int i = 0; i < 128; ++i) seen.insert({accumulator_row(t, i), accumulator_column(t, i)});
  EXPECT_EQ(seen.size(), 64U * 256);
  EXPECT_EQ(seen.begin()->first, 0);
  EXPECT_EQ(*seen.rbegin(), std::pair(63, 255));
}

// The sums of S feed P V without a shuffle: registers 8j + 2r, 8j + 2r + 1 are fragment r of step j.
TEST(hopper_layout, accumulators_are_the_a_fragments_of_the_next_product) {
  for (int t = 0; t < 128; ++t)
    for (int j = 0; j < 4; ++j)
      for (int r = 0; r < 4; ++r)
        for (int e = 0; e < 2; ++e) {
          EXPECT_EQ(accumulator_row(t, 8 * j + 2 * r + e), a_fragment_row(t, r));
          EXPECT_EQ(accumulator_column(t, 8 * j + 2 * r + e), 16 * j + a_fragment_k_bf16(t, r, e));
        }
}

TEST(hopper_tma, a_box_lies_swizzled_and_what_is_outside_is_zero) {
  const auto matrix = bf16_matrix(10, 72, 1);
  const TensorMap map = emulated_tensor_map(
      matrix_boxes(matrix.data(), TensorElement::bf16, {.rows = 10, .columns = 72}, {.rows = 16, .columns = 64}));
  run(32, [&] {
    load({{&map, dynamic_shared(), 64, -3, 16 * 128}});
    if (threadIdx.x != 0) return;
    const std::uint32_t tile = shared_address(dynamic_shared());
    for (int row = 0; row < 16; ++row)
      for (int column = 0; column < 64; ++column) {
        const std::uint32_t where = swizzled(tile + static_cast<std::uint32_t>(row * 128 + column * 2)) - tile;
        std::uint16_t bits;
        std::memcpy(&bits, dynamic_shared() + where, 2);
        const bool inside = row >= 3 && row < 13 && column < 8;
        ASSERT_EQ(bf16_to_float(bits), inside ? at(matrix, 72, row - 3, 64 + column) : 0.0F) << row << ' ' << column;
      }
  });
}

TEST(hopper_tma, three_dimensions_fill_several_tiles_at_once) {
  const auto matrix = bf16_matrix(8, 128, 2);
  const TensorMap map = emulated_tensor_map({.address = matrix.data(), .rank = 3, .dims = {64, 8, 2, 1, 1},
                                             .pitch_bytes = {256, 128}, .box = {64, 8, 2, 1, 1}});
  run(32, [&] {
    if (threadIdx.x == 0) mbarrier_init(barrier_number(0), 1);
    __syncwarp();
    if (threadIdx.x == 0) {
      mbarrier_arrive_expect_tx(barrier_number(0), 2048);
      tma_load_3d(dynamic_shared(), &map, barrier_number(0), 0, 0, 0);
    }
    mbarrier_wait(barrier_number(0), 0);
    std::uint16_t bits;  // row 2, column 64 + 8: chunk 1 of row 2 of the second tile lies at chunk 1 ^ 2 = 3
    std::memcpy(&bits, dynamic_shared() + 1024 + 2 * 128 + 3 * 16, 2);
    ASSERT_EQ(bf16_to_float(bits), at(matrix, 128, 2, 72));
  });
}

// d = a b for one step of k or more, against sums in double. `mn` is b's order.
template <int kN, Major kB>
void check_product(bool a_in_registers) {
  constexpr int kK = 64;
  const auto a = bf16_matrix(64, kK, 3);
  const int b_rows = kB == Major::k ? kN : kK, b_columns = kB == Major::k ? kK : kN;
  // MN-major boxes are 64 wide; narrow matrices are padded as TMA would, with zeros.
  const int pitch = (b_columns + 7) / 8 * 8;
  const auto b = bf16_matrix(b_rows, pitch, 4);
  const TensorMap a_map = emulated_tensor_map(
      matrix_boxes(a.data(), TensorElement::bf16, {.rows = 64, .columns = kK}, {.rows = 64, .columns = 64}));
  const TensorMap b_map = emulated_tensor_map(matrix_boxes(b.data(), TensorElement::bf16,
                                                           {.rows = b_rows, .columns = b_columns},
                                                           {.rows = b_rows, .columns = 64}, pitch));
  std::vector<float> c(64 * kN, -1.0F);
  run(128, [&] {
    unsigned char* b_tile = dynamic_shared() + kScratchAt;
    if (kB == Major::k) {
      load({{&a_map, dynamic_shared(), 0, 0, 8192}, {&b_map, b_tile, 0, 0, kN * 128}});
    } else {
      load({{&a_map, dynamic_shared(), 0, 0, 8192},
            {&b_map, b_tile, 0, 0, 8192},
            {&b_map, b_tile + 8192, 64, 0, 8192},
            {&b_map, b_tile + 16384, 128, 0, 8192},
            {&b_map, b_tile + 24576, 192, 0, 8192}});
    }
    const int t = static_cast<int>(threadIdx.x);
    float d[kN / 2];
    for (float& sum : d) sum = 1000.0F;  // the first product does not keep it
    std::uint32_t registers[kK / 16][4];
    for (int step = 0; step < kK / 16; ++step)
      for (int r = 0; r < 4; ++r) {
        const int row = a_fragment_row(t, r), k = 16 * step + a_fragment_k_bf16(t, r, 0);
        registers[step][r] = pack_bf16(at(a, kK, row, k), at(a, kK, row, k + 1));
      }
    const std::uint64_t da = k_major_descriptor(shared_address(dynamic_shared()));
    const std::uint64_t db = kB == Major::k ? k_major_descriptor(shared_address(b_tile))
                                            : mn_major_descriptor(shared_address(b_tile), kK);
    sums_fence(d);
    warpgroup_arrive();
    for (int step = 0; step < kK / 16; ++step) {
      const std::uint64_t b_step = advanced(db, step * (kB == Major::k ? kStepBytes : kMnMajorStepBytes));
      if (a_in_registers)
        multiply_bf16<kN, kB>(d, registers[step], b_step, step > 0);
      else
        multiply_bf16<kN, kB>(d, advanced(da, step * kStepBytes), b_step, step > 0);
    }
    warpgroup_commit();
    EXPECT_TRUE(std::isnan(d[0])) << "in flight";
    warpgroup_wait<0>();
    for (int i = 0; i < kN / 2; ++i)
      c[static_cast<std::size_t>(accumulator_row(t, i) * kN + accumulator_column(t, i))] = d[i];
  });
  for (int row = 0; row < 64; ++row)
    for (int column = 0; column < kN; ++column) {
      double sum = 0.0;
      for (int k = 0; k < kK; ++k)
        sum += at(a, kK, row, k) * (kB == Major::k ? at(b, pitch, column, k) : at(b, pitch, k, column));
      ASSERT_EQ(c[static_cast<std::size_t>(row * kN + column)], sum) << "n " << kN << " at " << row << ' ' << column;
    }
}

TEST(hopper_wgmma, multiplies_bf16_of_either_order_from_shared_memory_and_registers) {
  for (const bool registers : {false, true}) {
    check_product<8, Major::k>(registers);
    check_product<64, Major::k>(registers);
    check_product<176, Major::k>(registers);
    check_product<256, Major::k>(registers);
    check_product<64, Major::mn>(registers);
    check_product<128, Major::mn>(registers);
    check_product<256, Major::mn>(registers);
    if (HasFatalFailure()) return;
  }
}

TEST(hopper_wgmma, multiplies_fp8_along_128_bytes_of_k) {
  constexpr int kN = 32, kK = 128;
  std::vector<std::uint8_t> a(64 * kK), b(kN * kK);
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = e4m3_from_float(static_cast<float>(i * 5 % 13) - 6.0F);
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = e4m3_from_float(static_cast<float>(i * 3 % 11) - 5.0F);
  const TensorMap a_map = emulated_tensor_map(
      matrix_boxes(a.data(), TensorElement::byte, {.rows = 64, .columns = kK}, {.rows = 64, .columns = kK}));
  const TensorMap b_map = emulated_tensor_map(
      matrix_boxes(b.data(), TensorElement::byte, {.rows = kN, .columns = kK}, {.rows = kN, .columns = kK}));
  for (const bool in_registers : {false, true}) {
    std::vector<float> c(64 * kN);
    run(128, [&] {
      load({{&a_map, dynamic_shared(), 0, 0, 8192}, {&b_map, dynamic_shared() + kScratchAt, 0, 0, 4096}});
      const int t = static_cast<int>(threadIdx.x);
      float d[kN / 2];
      const std::uint64_t da = k_major_descriptor(shared_address(dynamic_shared()));
      const std::uint64_t db = k_major_descriptor(shared_address(dynamic_shared() + kScratchAt));
      warpgroup_arrive();
      for (int step = 0; step < kK / 32; ++step) {
        std::uint32_t registers[4] = {};
        for (int r = 0; r < 4; ++r)
          for (int e = 0; e < 4; ++e)
            registers[r] |= std::uint32_t{a[static_cast<std::size_t>(a_fragment_row(t, r) * kK + 32 * step +
                                                                     a_fragment_k_fp8(t, r, e))]}
                            << 8 * e;
        if (in_registers)
          multiply_fp8<kN>(d, registers, advanced(db, step * kStepBytes), step > 0);
        else
          multiply_fp8<kN>(d, advanced(da, step * kStepBytes), advanced(db, step * kStepBytes), step > 0);
      }
      warpgroup_commit();
      warpgroup_wait<0>();
      for (int i = 0; i < kN / 2; ++i)
        c[static_cast<std::size_t>(accumulator_row(t, i) * kN + accumulator_column(t, i))] = d[i];
    });
    for (int row = 0; row < 64; ++row)
      for (int column = 0; column < kN; ++column) {
        float sum = 0.0F;
        for (int k = 0; k < kK; ++k)
          sum += e4m3_to_float(a[static_cast<std::size_t>(row * kK + k)]) *
                 e4m3_to_float(b[static_cast<std::size_t>(column * kK + k)]);
        ASSERT_EQ(c[static_cast<std::size_t>(row * kN + column)], sum) << row << ' ' << column;
      }
  }
}

// 8192 + 1 are 14 bits and 16384 + 1 are 15.
TEST(hopper_wgmma, fp8_sums_keep_14_bits) {
  constexpr int kN = 8, kK = 128;
  std::vector<std::uint8_t> a(64 * kK, 0), b(kN * kK, 0);
  for (std::size_t row = 0; row < 64; ++row) {
    a[row * kK] = e4m3_from_float(row < 32 ? 64.0F : 128.0F);
    a[row * kK + 32] = e4m3_from_float(1.0F);
  }
  for (std::size_t column = 0; column < kN; ++column) {
    b[column * kK] = e4m3_from_float(128.0F);
    b[column * kK + 32] = e4m3_from_float(1.0F);
  }
  const TensorMap a_map = emulated_tensor_map(
      matrix_boxes(a.data(), TensorElement::byte, {.rows = 64, .columns = kK}, {.rows = 64, .columns = kK}));
  const TensorMap b_map = emulated_tensor_map(
      matrix_boxes(b.data(), TensorElement::byte, {.rows = kN, .columns = kK}, {.rows = kN, .columns = kK}));
  run(128, [&] {
    load({{&a_map, dynamic_shared(), 0, 0, 8192}, {&b_map, dynamic_shared() + kScratchAt, 0, 0, 1024}});
    float d[kN / 2];
    const std::uint64_t da = k_major_descriptor(shared_address(dynamic_shared()));
    const std::uint64_t db = k_major_descriptor(shared_address(dynamic_shared() + kScratchAt));
    warpgroup_arrive();
    for (int step = 0; step < kK / 32; ++step)
      multiply_fp8<kN>(d, advanced(da, step * kStepBytes), advanced(db, step * kStepBytes), step > 0);
    warpgroup_commit();
    warpgroup_wait<0>();
    for (int i = 0; i < kN / 2; ++i)
      EXPECT_EQ(d[i], accumulator_row(static_cast<int>(threadIdx.x), i) < 32 ? 8193.0F : 16384.0F);
  });
}

TEST(hopper_epilogue, slices_reach_global_memory_and_are_clipped_at_its_edges) {
  constexpr int kN = 160, kRows = 50, kColumns = 136;
  std::vector<std::uint16_t> out(static_cast<std::size_t>(kRows * kColumns), 0x4444);
  const TensorMap map = emulated_tensor_map(matrix_boxes(out.data(), TensorElement::bf16,
                                                         {.rows = kRows, .columns = kColumns},
                                                         {.rows = 64, .columns = kSliceColumns}));
  for (const bool reversed : {false, true}) {
    std::fill(out.begin(), out.end(), std::uint16_t{0x4444});
    run(128,
        [&] {
          const int t = static_cast<int>(threadIdx.x);
          float d[kN / 2];
          for (int i = 0; i < kN / 2; ++i)
            d[i] = static_cast<float>(accumulator_row(t, i) * 4 - accumulator_column(t, i) % 32);
          SliceStore store(dynamic_shared(), 1);
          store.tile<kN>(&map, d, 0, 0, kColumns);
          store.finish();
        },
        1, 1, reversed);
    for (int row = 0; row < kRows; ++row)
      for (int column = 0; column < kColumns; ++column)
        ASSERT_EQ(at(out, kColumns, row, column), static_cast<float>(row * 4 - column % 32)) << row << ' ' << column;
  }
}

TEST(hopper_epilogue, sums_are_added_by_tma_where_asked) {
  std::vector<float> out(4 * 32, 1.5F);
  const TensorMap map = emulated_tensor_map(
      matrix_boxes(out.data(), TensorElement::f32, {.rows = 4, .columns = 32}, {.rows = 4, .columns = 32}));
  run(32, [&] {
    if (threadIdx.x != 0) return;
    for (int i = 0; i < 128; ++i) {
      const auto offset = static_cast<std::uint32_t>(i * 4);
      const float value = static_cast<float>(i);
      std::memcpy(dynamic_shared() + swizzled(offset), &value, 4);
    }
    fence_proxy_async();
    tma_add_2d(&map, dynamic_shared(), 0, 0);
    tma_store_commit();
    tma_store_wait<0>();
  });
  for (int i = 0; i < 128; ++i) EXPECT_EQ(out[static_cast<std::size_t>(i)], 1.5F + static_cast<float>(i));
}

// A ring of kStages, a loading warp and two warpgroups that add up what they see.
template <int kStages>
std::vector<float> sums_through_a_ring(int steps, bool reversed) {
  const auto matrix = bf16_matrix(8 * std::max(1, steps), 64, 5);
  const TensorMap map = emulated_tensor_map(matrix_boxes(matrix.data(), TensorElement::bf16,
                                                         {.rows = 8 * std::max(1, steps), .columns = 64},
                                                         {.rows = 8, .columns = 64}));
  std::vector<float> seen(256, 0.0F), expected(1, 0.0F);
  run(384,
      [&] {
        const Ring<kStages> ring(dynamic_shared() + kBarriersAt);
        if (threadIdx.x == 0) {
          ring.init(1, 2);
          fence_barrier_init();
        }
        __syncthreads();
        Cursor at;
        if (threadIdx.x < 128) {
          give_registers<40>();
          for (int step = 0; threadIdx.x == 0 && step < steps; ++step, ring.next(at)) {
            ring.wait_empty(at);
            mbarrier_arrive_expect_tx(ring.full(at), 1024);
            tma_load_2d(dynamic_shared() + 1024 * at.stage, &map, ring.full(at), 0, 8 * step);
          }
          return;
        }
        take_registers<232>();
        float sum = 0.0F;
        for (int step = 0; step < steps; ++step, ring.next(at)) {
          ring.wait_full(at);
          for (int i = 0; i < 512; ++i) {
            std::uint16_t bits;
            std::memcpy(&bits, dynamic_shared() + 1024 * at.stage + 2 * i, 2);
            sum += bf16_to_float(bits) * static_cast<float>(step + 1);
          }
          barrier_sync(1 + threadIdx.x / 128, 128);
          if (threadIdx.x % 128 == 0) mbarrier_arrive(ring.empty(at));
        }
        seen[threadIdx.x - 128] = sum;
      },
      1, 1, reversed);
  for (int i = 0; i < steps * 512; ++i) expected[0] += at(matrix, 64, i / 64, i % 64) * static_cast<float>(i / 512 + 1);
  for (const float sum : seen) EXPECT_EQ(sum, expected[0]) << steps << " steps, " << kStages << " stages";
  return seen;
}

TEST(hopper_ring, brings_every_stage_once_however_long_the_work_is) {
  for (const bool reversed : {false, true})
    for (const int steps : {0, 1, 2, 3, 4, 5, 11}) {
      sums_through_a_ring<1>(steps, reversed);
      sums_through_a_ring<3>(steps, reversed);
      sums_through_a_ring<4>(steps, reversed);
    }
}

TEST(hopper_cluster, a_multicast_fills_both_blocks_and_both_give_the_stage_back) {
  const auto matrix = bf16_matrix(64, 64, 6);
  const TensorMap map = emulated_tensor_map(
      matrix_boxes(matrix.data(), TensorElement::bf16, {.rows = 64, .columns = 64}, {.rows = 8, .columns = 64}));
  std::vector<float> seen(4, 0.0F);
  run(64,
      [&] {
        const Ring<2> ring(dynamic_shared() + kBarriersAt);
        if (threadIdx.x == 0) {
          ring.init(1, 2);  // one consumer in each block
          fence_barrier_init();
        }
        cluster_sync();
        Cursor at;
        const unsigned rank = cluster_rank();
        for (int step = 0; threadIdx.x == 0 && step < 4; ++step, ring.next(at)) {
          ring.wait_empty(at);
          mbarrier_arrive_expect_tx(ring.full(at), 2048);  // a half from each block
          tma_load_2d_multicast(dynamic_shared() + 2048 * at.stage + 1024 * rank, &map, ring.full(at), 0,
                                16 * step + 8 * static_cast<int>(rank), 3);
        }
        at = {};
        for (int step = 0; threadIdx.x == 32 && step < 4; ++step, ring.next(at)) {
          ring.wait_full(at);
          for (int i = 0; i < 1024; ++i) {
            std::uint16_t bits;
            std::memcpy(&bits, dynamic_shared() + 2048 * at.stage + 2 * i, 2);
            seen[blockIdx.x] += bf16_to_float(bits) * static_cast<float>(step + 1);
          }
          for (unsigned peer = 0; peer < 2; ++peer) mbarrier_arrive_in(ring.empty(at), peer);
        }
        cluster_sync();
      },
      4, 2);
  float expected = 0.0F;
  for (int i = 0; i < 64 * 64; ++i) expected += at(matrix, 64, i / 64, i % 64) * static_cast<float>(i / 1024 + 1);
  for (const float sum : seen) EXPECT_EQ(sum, expected);
}

TEST(hopper_barriers, warps_may_count_at_a_barrier_without_waiting) {
  std::vector<int> order;
  run(64, [&] {
    if (threadIdx.x < 32) {
      order.push_back(1);
      barrier_arrive(3, 64);
      return;
    }
    barrier_sync(3, 64);
    order.push_back(2);
  });
  EXPECT_EQ(order.size(), 64U);
  EXPECT_EQ(order.front(), 1);
  EXPECT_EQ(order.back(), 2);
}

}  // namespace
}  // namespace chokepoint::hopper
