// The emulator: do collectives, layouts, clocks and faults behave as CUDA's do?
#include "tests/cuda_emulator/emulator.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "harness/base/dtype.hpp"
#include "kernels/common/cuda/ptx.cuh"

namespace chokepoint {
namespace {

constexpr unsigned kAll = 0xffffffffU;  // lanes of a warp, or shared memory that nobody wrote

template <class... Params, class... Args>
std::string failure_of(void (*kernel)(Params...), dim3 grid, dim3 block, std::size_t shared_bytes, Args... args) {
  try {
    emulator::launch(kernel, grid, block, shared_bytes, args...);
  } catch (const std::runtime_error& e) {
    return e.what();
  }
  return "";
}

#define EXPECT_CONTAINS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

__global__ void __launch_bounds__(256) sum_of_block(const int* from, int* to) {
  __shared__ int part[256];
  const unsigned t = threadIdx.x;
  part[t] = from[blockIdx.x * blockDim.x + t];
  __syncthreads();
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    if (t < half) part[t] += part[t + half];
    __syncthreads();
  }
  if (t == 0) to[blockIdx.x] = part[0];
}

TEST(emulator, a_block_sums_through_shared_memory) {
  std::vector<int> from(3 * 256);
  std::iota(from.begin(), from.end(), 0);
  std::vector<int> to(3);
  emulator::launch(sum_of_block, dim3(3), dim3(256), 0, from.data(), to.data());
  // The sum of 256 numbers from 256 i on: 65536 i + 255 * 128.
  EXPECT_EQ(to, (std::vector<int>{32640, 98176, 163712}));
}

__global__ void shuffles(int* to) {
  const int t = static_cast<int>(threadIdx.x);
  to[t] = __shfl_sync(kAll, t, 5, 8);
  to[32 + t] = __shfl_xor_sync(kAll, t, 3);
  to[64 + t] = __shfl_up_sync(kAll, t, 2, 16);
  to[96 + t] = __shfl_down_sync(kAll, t, 2, 16);
  to[128 + t] = static_cast<int>(__shfl_xor_sync(kAll, 0.5F * static_cast<float>(t), 16) * 2.0F);
  to[160 + t] = static_cast<int>(__shfl_sync(kAll, (1ULL << 40) + static_cast<unsigned>(t), 7) - (1ULL << 40));
}

TEST(emulator, shuffles_stay_in_their_segment) {
  std::vector<int> to(192);
  emulator::launch(shuffles, dim3(1), dim3(32), 0, to.data());
  for (int t = 0; t < 32; ++t) {
    EXPECT_EQ(to[t], t / 8 * 8 + 5);
    EXPECT_EQ(to[32 + t], t ^ 3);
    EXPECT_EQ(to[64 + t], t % 16 < 2 ? t : t - 2);
    EXPECT_EQ(to[96 + t], t % 16 > 13 ? t : t + 2);
    EXPECT_EQ(to[128 + t], t ^ 16);
    EXPECT_EQ(to[160 + t], 7);
  }
}

__global__ void votes(unsigned* to) {
  const unsigned t = threadIdx.x;
  if (t < 16) {  // half of a warp, by itself
    to[t] = __ballot_sync(0xffffU, t % 3 == 0);
    to[16 + t] = __match_any_sync(0xffffU, t % 4);
  }
  __syncwarp();
  to[32 + t] = __any_sync(kAll, t == 9) + 2U * __all_sync(kAll, t != 9) + 4U * __all_sync(kAll, t < 32);
  to[64 + t] = __reduce_add_sync(kAll, t) + __reduce_max_sync(kAll, t);
  to[96 + t] = static_cast<unsigned>(__syncthreads_count(t < 5)) + 100U * __syncthreads_or(t == 40) +
               200U * __syncthreads_and(t < 32);
}

TEST(emulator, lanes_vote_within_their_mask) {
  std::vector<unsigned> to(128);
  emulator::launch(votes, dim3(1), dim3(32), 0, to.data());
  for (unsigned t = 0; t < 32; ++t) {
    if (t < 16) {
      EXPECT_EQ(to[t], 0x9249U);  // bits 0, 3, 6, 9, 12, 15
      EXPECT_EQ(to[16 + t], 0x1111U << t % 4);
    }
    EXPECT_EQ(to[32 + t], 1U + 4U);
    EXPECT_EQ(to[64 + t], 496U + 31U);
    EXPECT_EQ(to[96 + t], 205U);
  }
}

__global__ void counts(int* sum, unsigned* most, unsigned long long* changed, float* real) {
  const unsigned id = blockIdx.x * blockDim.x + threadIdx.x;
  atomicAdd(sum, 2);
  atomicMax(most, id);
  atomicCAS(changed, static_cast<unsigned long long>(id), static_cast<unsigned long long>(id + 1));
  red_add(real, 0.5F);
}

TEST(emulator, atomics_of_all_blocks_add_up) {
  int sum = 0;
  unsigned most = 0;
  unsigned long long changed = 0;
  float real = 0.0F;
  emulator::launch(counts, dim3(2, 2), dim3(8, 4), 0, &sum, &most, &changed, &real);
  EXPECT_EQ(sum, 256);
  EXPECT_EQ(most, 15U);
  EXPECT_EQ(changed, 16U);  // the first of each id finds it and leaves the next one
  EXPECT_EQ(real, 64.0F);
}

// d[16, 8] = a[16, 16] b[8, 16] transposed, rows of b along k: as a kernel loads it.
__global__ void one_tile(const std::uint16_t* a, const std::uint16_t* b, float* to) {
  auto* a_tile = reinterpret_cast<std::uint16_t*>(dynamic_shared());
  std::uint16_t* b_tile = a_tile + 16 * 16;
  const unsigned l = lane_id();
  cp_async_16(a_tile + 8 * l, a + 8 * l);
  if (l < 16) cp_async_16(b_tile + 8 * l, b + 8 * l);
  cp_async_commit();
  cp_async_wait<0>();
  __syncwarp();
  std::uint32_t a_part[4], b_part[2];
  ldmatrix_x4(a_part, a_tile + l % 16 * 16 + l / 16 * 8);
  ldmatrix_x2(b_part, b_tile + l % 8 * 16 + l / 8 % 2 * 8);
  float d[4] = {100.0F, 100.0F, 100.0F, 100.0F};
  mma_bf16_m16n8k16(d, a_part, b_part);
  for (unsigned i = 0; i < 4; ++i) to[(l / 4 + i / 2 * 8) * 8 + l % 4 * 2 + i % 2] = d[i];
}

TEST(emulator, a_tile_product_is_that_of_two_loops) {
  alignas(16) std::uint16_t a[16 * 16], b[8 * 16];
  float to[16 * 8];
  for (int i = 0; i < 256; ++i) a[i] = bf16_from_float(static_cast<float>((i * 7 + i / 16) % 19 - 9));
  for (int i = 0; i < 128; ++i) b[i] = bf16_from_float(static_cast<float>((i * 5 + i / 16) % 23 - 11));
  emulator::launch(one_tile, dim3(1), dim3(32), sizeof a + sizeof b, a, b, to);
  for (int row = 0; row < 16; ++row)
    for (int column = 0; column < 8; ++column) {
      double sum = 100.0;
      for (int k = 0; k < 16; ++k)
        sum += double{float_from_bf16(a[row * 16 + k])} * double{float_from_bf16(b[column * 16 + k])};
      EXPECT_EQ(to[row * 8 + column], sum) << row << ", " << column;
    }
}

// PTX ISA 9.0, figure of the A fragment of m16n8k16: one lane's values, by hand. Lane 13 has g = 3, t = 1.
__global__ void fragment_of_lane_13(float* to) {
  const unsigned l = lane_id();
  std::uint32_t a[4] = {}, b[2] = {};
  if (l == 13) a[1] = pack_bf16(0.0F, 2.0F);  // row 11, k 3
  if (l == 21) b[0] = pack_bf16(0.0F, 5.0F);  // k 3, column 5
  float d[4] = {};
  mma_bf16_m16n8k16(d, a, b);
  for (int i = 0; i < 4; ++i) to[4 * l + static_cast<unsigned>(i)] = d[i];
}

TEST(emulator, fragments_lie_where_the_manual_draws_them) {
  std::vector<float> to(128), expected(128);
  emulator::launch(fragment_of_lane_13, dim3(1), dim3(32), 0, to.data());
  expected[4 * 14 + 3] = 10.0F;  // row 11 = 3 + 8, column 5 = 2 * 2 + 1: lane 3 * 4 + 2, d3
  EXPECT_EQ(to, expected);
}

__global__ void load_matrices(const std::uint16_t* from, std::uint32_t* to) {
  auto* tile = reinterpret_cast<std::uint16_t*>(dynamic_shared());
  const unsigned l = lane_id();
  store_16(tile + 8 * l, load_16(from + 8 * l));
  __syncwarp();
  std::uint32_t plain[4], trans[4], two[2];
  ldmatrix_x4(plain, tile + 8 * l);
  ldmatrix_x4_trans(trans, tile + 8 * l);
  ldmatrix_x2_trans(two, tile + 8 * (l % 16));
  for (unsigned i = 0; i < 4; ++i) to[4 * l + i] = plain[i], to[128 + 4 * l + i] = trans[i];
  for (unsigned i = 0; i < 2; ++i) to[256 + 2 * l + i] = two[i];
}

TEST(emulator, ldmatrix_gives_rows_and_transposed_columns) {
  alignas(16) std::uint16_t from[4][8][8];
  for (unsigned i = 0; i < 256; ++i) from[i / 64][i / 8 % 8][i % 8] = static_cast<std::uint16_t>(i);
  std::vector<std::uint32_t> to(320);
  emulator::launch(load_matrices, dim3(1), dim3(32), sizeof from, &from[0][0][0], to.data());
  for (unsigned l = 0; l < 32; ++l)
    for (unsigned i = 0; i < 4; ++i) {
      const unsigned g = l / 4, t = l % 4 * 2;
      EXPECT_EQ(to[4 * l + i], from[i][g][t] | unsigned{from[i][g][t + 1]} << 16);
      EXPECT_EQ(to[128 + 4 * l + i], from[i][t][g] | unsigned{from[i][t + 1][g]} << 16);
      if (i < 2) {
        EXPECT_EQ(to[256 + 2 * l + i], to[128 + 4 * l + i]);
      }
    }
}

__global__ void copy_asynchronously(const std::uint32_t* from, std::uint32_t* to) {
  auto* shared = reinterpret_cast<std::uint32_t*>(dynamic_shared());
  for (int i = 0; i < 16; ++i) shared[i] = 7;
  for (int i = 0; i < 3; ++i) {
    cp_async_16(shared + 4 * i, from + 4 * i, i != 1);
    cp_async_commit();
  }
  to[0] = shared[0];  // before the wait
  cp_async_wait<1>();
  to[1] = shared[0];
  to[2] = shared[4];
  to[3] = shared[8];  // the group that may still be in flight
  cp_async_wait<0>();
  to[4] = shared[8];
  to[5] = shared[12];
}

TEST(emulator, asynchronous_copies_arrive_at_their_wait_and_not_before) {
  alignas(16) const std::uint32_t from[12] = {1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3};
  std::vector<std::uint32_t> to(6);
  emulator::launch(copy_asynchronously, dim3(1), dim3(1), 64, from, to.data());
  EXPECT_EQ(to, (std::vector<std::uint32_t>{kAll, 1, 0, kAll, 3, 7}));
}

__global__ void reads_unwritten(unsigned* to) {
  auto* shared = reinterpret_cast<unsigned*>(dynamic_shared());
  to[blockIdx.x] = shared[3];
  shared[3] = 1;
}

TEST(emulator, unwritten_shared_memory_shows_in_every_block) {
  std::vector<unsigned> to(2);
  emulator::launch(reads_unwritten, dim3(2), dim3(1), 16, to.data());
  EXPECT_EQ(to, (std::vector<unsigned>{kAll, kAll}));
}

__global__ void aligned_shared(std::uintptr_t* to) { *to = reinterpret_cast<std::uintptr_t>(dynamic_shared()); }

TEST(emulator, dynamic_shared_memory_is_aligned) {
  std::uintptr_t address = 1;
  emulator::launch(aligned_shared, dim3(1), dim3(1), 100, &address);
  EXPECT_EQ(address % 1024, 0U);
}

__global__ void writes_beyond() { dynamic_shared()[100] = 1; }

TEST(emulator, writing_beyond_shared_memory_is_found) {
  EXPECT_CONTAINS(failure_of(writes_beyond, dim3(1), dim3(1), 100), "block (0, 0, 0) wrote beyond its 100 bytes");
}

__global__ void half_syncs() {
  if (threadIdx.x < 40) __syncthreads();
  if (threadIdx.x >= 48) __shfl_sync(kAll, 1, 0);
}

TEST(emulator, a_deadlock_names_block_warp_lanes_and_what_they_wait_for) {
  const std::string what = failure_of(half_syncs, dim3(2), dim3(64), 0);
  EXPECT_CONTAINS(what, "deadlock");
  EXPECT_CONTAINS(what, "block (0, 0, 0), warp 0: lanes 0xffffffff wait at __syncthreads");
  EXPECT_CONTAINS(what, "warp 1: lanes 0x000000ff wait at __syncthreads");
  EXPECT_CONTAINS(what, "warp 1: lanes 0xffff0000 wait at __shfl_sync for lanes 0xffffffff");
  EXPECT_CONTAINS(what, "warp 1: lanes 0x0000ff00 have returned");
}

__global__ void shuffles_from_absent() {
  if (threadIdx.x < 16) __shfl_sync(0xffffU, 1, 20);
}
__global__ void outside_of_mask() { __ballot_sync(1U, 1); }
__global__ void misaligned() { cp_async_16(dynamic_shared() + 8, nullptr, false); }

TEST(emulator, misuse_is_named_with_its_thread) {
  EXPECT_CONTAINS(failure_of(shuffles_from_absent, dim3(1), dim3(32), 0), "reads from lane 20");
  EXPECT_CONTAINS(failure_of(outside_of_mask, dim3(1), dim3(32), 0), "thread (1, 0, 0): __ballot_sync");
  EXPECT_CONTAINS(failure_of(misaligned, dim3(1), dim3(1), 64), "not a multiple of 16");
}

TEST(emulator, launches_go_on_after_a_failed_one) {
  int sum = 0;
  EXPECT_NE(failure_of(half_syncs, dim3(1), dim3(64), 0), "");
  std::vector<int> from(256, 1);
  emulator::launch(sum_of_block, dim3(1), dim3(256), 0, from.data(), &sum);
  EXPECT_EQ(sum, 256);
}

// Each block waits for the one before it, the first for the last's first flag: only all at once can do it.
__global__ void relay(unsigned* flags, unsigned* order, unsigned* next) {
  auto* shared = reinterpret_cast<unsigned*>(dynamic_shared());
  const unsigned block = blockIdx.x, last = gridDim.x - 1;
  if (threadIdx.x == 0) {
    if (block == last) store_release(flags + block, 1U);
    const unsigned from = block == 0 ? last : block - 1;
    while (load_acquire(flags + from) == 0) nanosleep(100);
    shared[0] = block;
    order[atomicAdd(next, 1U)] = block;
    red_add_release(flags + block, 1U);
  }
  __syncthreads();
  if (shared[0] != block) atomicAdd(next, 1000U);  // shared with another block
}

TEST(emulator, cooperative_blocks_hand_flags_to_one_another) {
  std::vector<unsigned> flags(4), order(4);
  unsigned next = 0;
  emulator::launch({.grid = dim3(4), .block = dim3(64), .shared_bytes = 16, .cooperative = true}, relay,
                   flags.data(), order.data(), &next);
  EXPECT_EQ(next, 4U);
  EXPECT_EQ(order, (std::vector<unsigned>{0, 1, 2, 3}));
}

__global__ void waits_for_nobody(const unsigned* flag) {
  while (load_acquire(flag) == 0) nanosleep(100);
}

TEST(emulator, waiting_that_nobody_ends_is_found) {
  const unsigned flag = 0;
  EXPECT_CONTAINS(failure_of(waits_for_nobody, dim3(1), dim3(2), 0, &flag), "threads only wait in loops");
}

__global__ void sleeps(std::uint64_t* woke) {
  nanosleep(threadIdx.x == 0 ? 5'000'000 : 1'000'000);
  woke[threadIdx.x] = globaltimer_ns();
}

TEST(emulator, time_is_virtual_and_jumps_while_all_sleep) {
  emulator::virtual_time() = {.now_ns = 1000, .per_turn_ns = 10, .per_read_ns = 0};
  std::vector<std::uint64_t> woke(2);
  emulator::launch(sleeps, dim3(1), dim3(2), 0, woke.data());
  emulator::virtual_time() = {};
  // Thread 0 has its turn at 1010, thread 1 at 1020; each turn after a jump adds 10.
  EXPECT_EQ(woke, (std::vector<std::uint64_t>{5'001'020, 1'001'030}));
}

__global__ void write_order(unsigned* order, unsigned* next) { order[atomicAdd(next, 1U)] = threadIdx.x; }

TEST(emulator, threads_can_begin_in_descending_order) {
  std::vector<unsigned> order(3);
  unsigned next = 0;
  emulator::launch({.grid = dim3(1), .block = dim3(3), .reversed = true}, write_order, order.data(), &next);
  EXPECT_EQ(order, (std::vector<unsigned>{2, 1, 0}));
}

__global__ void two_barriers(int* to) {
  const unsigned half = threadIdx.x / 64;
  __shared__ int value[2];
  if (threadIdx.x % 64 == 63) value[half] = static_cast<int>(half) + 5;
  barrier_sync(1 + half, 64);
  if (half == 0) barrier_sync(1, 64);  // twice for one half only
  to[threadIdx.x] = value[half];
}

TEST(emulator, named_barriers_hold_only_their_threads) {
  std::vector<int> to(128), expected(128, 5);
  std::fill_n(expected.begin() + 64, 64, 6);
  emulator::launch(two_barriers, dim3(1), dim3(128), 0, to.data());
  EXPECT_EQ(to, expected);
}

TEST(values, e4m3_agrees_with_the_harness) {
  for (int code = 0; code < 256; ++code) {
    const float ours = e4m3_to_float(static_cast<std::uint8_t>(code));
    const float theirs = float_from_fp8_e4m3(static_cast<std::uint8_t>(code));
    EXPECT_TRUE(std::isnan(theirs) ? std::isnan(ours) : ours == theirs && std::signbit(ours) == std::signbit(theirs))
        << code;
  }
  for (std::uint64_t bits = 0; bits < 1ULL << 32; bits += 65'521) {  // a prime: all low bits occur
    const float value = __uint_as_float(static_cast<unsigned>(bits));
    if (std::isnan(value)) continue;
    ASSERT_EQ(e4m3_from_float(value), fp8_e4m3_from_float(value)) << value;
  }
  for (int code = 0; code < 126; ++code) {  // halfway between neighbours: to even
    const float middle = (float_from_fp8_e4m3(static_cast<std::uint8_t>(code)) +
                          float_from_fp8_e4m3(static_cast<std::uint8_t>(code + 1))) / 2.0F;
    EXPECT_EQ(e4m3_from_float(middle), fp8_e4m3_from_float(middle)) << middle;
    EXPECT_EQ(e4m3_from_float(middle) % 2, 0) << middle;
  }
  EXPECT_EQ(e4m3_from_float(std::nanf("")), 0x7f);
}

TEST(values, bf16_agrees_with_the_harness) {
  for (std::uint64_t bits = 0; bits < 1ULL << 32; bits += 65'521) {
    const float value = __uint_as_float(static_cast<unsigned>(bits));
    if (std::isnan(value)) continue;
    const std::uint32_t pair = pack_bf16(value, -value);
    ASSERT_EQ(pair & 0xffffU, bf16_from_float(value)) << value;
    ASSERT_EQ(pair >> 16, bf16_from_float(-value)) << value;
    ASSERT_EQ(high_bf16_to_float(pair), -low_bf16_to_float(pair));
  }
}

TEST(values, bit_intrinsics_count_as_cuda_does) {
  EXPECT_EQ(__clz(0), 32);
  EXPECT_EQ(__clz(1), 31);
  EXPECT_EQ(__ffs(0), 0);
  EXPECT_EQ(__ffs(8), 4);
  EXPECT_EQ(__popc(0xf0f0U), 8);
  EXPECT_EQ(__brev(1U), 0x80000000U);
  EXPECT_EQ(__byte_perm(0x33221100U, 0x77665544U, 0x7410U), 0x77441100U);
  EXPECT_EQ(__funnelshift_l(0x80000000U, 1U, 1), 3U);
}

}  // namespace
}  // namespace chokepoint
