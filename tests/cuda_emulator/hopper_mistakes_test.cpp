// Mistakes in device code for Hopper that would hang a GPU or give wrong numbers now and then: the emulator names them.
// clang-format off: the emulator comes first
#include "tests/cuda_emulator/emulator.hpp"
// clang-format on

#include <gtest/gtest.h>

#include "kernels/common/cuda/hopper/epilogue.cuh"
#include "kernels/common/cuda/hopper/wgmma.cuh"
#include "tests/cuda_emulator/tensor_map.hpp"

namespace chokepoint::hopper {
namespace {

using emulator::emulated_tensor_map;

constexpr int kBarriersAt = 128 * 1024;

Mbarrier* barrier_number(int i) { return reinterpret_cast<Mbarrier*>(dynamic_shared() + kBarriersAt) + i; }

// What a launch of `body` by one warpgroup complains about.
std::string complaint(unsigned threads, const std::function<void()>& body, unsigned blocks = 1, unsigned cluster = 1) {
  try {
    emulator::run({.grid = dim3(blocks), .block = dim3(threads), .shared_bytes = 160 * 1024, .cluster = cluster}, body);
  } catch (const std::exception& e) {
    return e.what();
  }
  return "";
}

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST(hopper_mistakes, a_wait_for_the_wrong_parity_is_a_deadlock_that_names_the_barrier) {
  const std::string said = complaint(32, [] {
    if (threadIdx.x == 0) mbarrier_init(barrier_number(0), 2);
    __syncwarp();
    if (threadIdx.x == 0) mbarrier_arrive(barrier_number(0));
    mbarrier_wait(barrier_number(0), 0);
  });
  EXPECT_HAS(said, "deadlock");
  EXPECT_HAS(said, "mbarrier at offset 0x20000 for parity 0: phase 0 lacks 1 of 2 arrivals and 0 bytes");
}

TEST(hopper_mistakes, bytes_that_never_come_are_a_deadlock_that_counts_them) {
  const std::vector<std::uint16_t> matrix(8 * 64);
  const TensorMap map = emulated_tensor_map(
      matrix_boxes(matrix.data(), TensorElement::bf16, {.rows = 8, .columns = 64}, {.rows = 8, .columns = 64}));
  EXPECT_HAS(complaint(32,
                       [&] {
                         if (threadIdx.x == 0) {
                           mbarrier_init(barrier_number(0), 1);
                           fence_barrier_init();
                           mbarrier_arrive_expect_tx(barrier_number(0), 1040);
                           tma_load_2d(dynamic_shared(), &map, barrier_number(0), 0, 0);
                         }
                         __syncwarp();
                         mbarrier_wait(barrier_number(0), 0);
                       }),
             "0 of 1 arrivals and 16 bytes");
}

TEST(hopper_mistakes, too_many_arrivals_and_unknown_barriers_are_named) {
  EXPECT_HAS(complaint(32,
                       [] {
                         if (threadIdx.x == 0) {
                           mbarrier_init(barrier_number(0), 3);
                           mbarrier_arrive_expect_tx(barrier_number(0), 16);
                           for (int i = 0; i < 3; ++i) mbarrier_arrive(barrier_number(0));
                         }
                       }),
             "more than 3 arrivals");
  EXPECT_HAS(complaint(32, [] { mbarrier_arrive(barrier_number(1)); }), "was never initialised");
  EXPECT_HAS(complaint(32,
                       [] {
                         if (threadIdx.x != 0) return;
                         mbarrier_init(barrier_number(0), 1);
                         *barrier_number(0) = 0;
                         mbarrier_arrive(barrier_number(0));
                       }),
             "was overwritten");
}

TEST(hopper_mistakes, a_store_or_product_of_unfenced_memory_is_named) {
  const std::vector<std::uint16_t> matrix(8 * 64);
  const TensorMap map = emulated_tensor_map(
      matrix_boxes(matrix.data(), TensorElement::bf16, {.rows = 8, .columns = 64}, {.rows = 8, .columns = 64}));
  EXPECT_HAS(complaint(32,
                       [&] {
                         const std::uint32_t r[2] = {};
                         stmatrix_x2(dynamic_shared() + 16 * (threadIdx.x % 16), r);
                         __syncwarp();
                         if (threadIdx.x == 0) tma_store_2d(&map, dynamic_shared(), 0, 0);
                       }),
             "without a fence_proxy_async");
  const auto fill = [] { store_tile_16(dynamic_shared() + 16 * threadIdx.x, make_uint4(0, 0, 0, 0)); };
  const auto send_by = [&](unsigned thread) {
    if (threadIdx.x == thread) tma_store_2d(&map, dynamic_shared(), 0, 0);
  };
  EXPECT_HAS(complaint(32, [&] { fill(), __syncwarp(), send_by(0); }), "without a fence_proxy_async");
  EXPECT_HAS(complaint(32, [&] { fill(), fence_proxy_async(), send_by(31); }), "without a barrier");
  EXPECT_HAS(complaint(32,
                       [&] {
                         if (threadIdx.x != 0) return;
                         tma_store_2d(&map, dynamic_shared(), 0, 0);
                         tma_store_commit();
                       }),
             "returned with TMA stores in flight");
}

TEST(hopper_mistakes, products_without_arrival_or_commit_are_named) {
  const auto multiply = [](bool arrive, bool commit) {
    return complaint(128, [=] {
      float d[4] = {};
      if (arrive) warpgroup_arrive();
      multiply_bf16<8>(d, k_major_descriptor(shared_address(dynamic_shared())),
                       k_major_descriptor(shared_address(dynamic_shared())), false);
      if (commit) warpgroup_commit();
    });
  };
  EXPECT_HAS(multiply(false, true), "without a warpgroup_arrive");
  EXPECT_HAS(multiply(true, false), "returned with products in flight");
  EXPECT_HAS(multiply(true, true), "returned with products in flight");
}

TEST(hopper_mistakes, a_block_must_not_leave_while_its_peer_still_arrives) {
  EXPECT_HAS(complaint(
                 32,
                 [] {
                   if (threadIdx.x == 0) mbarrier_init(barrier_number(0), 1);
                   cluster_sync();
                   if (cluster_rank() == 0) return;
                   for (int i = 0; i < 100; ++i) emulator::yield();
                   if (threadIdx.x == 0) mbarrier_arrive_in(barrier_number(0), 0);
                 },
                 2, 2),
             "has returned");
}

TEST(hopper_mistakes, registers_that_do_not_exist_are_a_deadlock) {
  EXPECT_HAS(complaint(384,
                       [] {
                         if (threadIdx.x < 128)
                           give_registers<104>();
                         else
                           take_registers<240>();
                       }),
             "setmaxnreg");
  EXPECT_EQ(complaint(384,
                      [] {
                        if (threadIdx.x < 128)
                          give_registers<24>();
                        else
                          take_registers<240>();
                      }),
            "");
  EXPECT_HAS(complaint(128, [] { give_registers<20>(); }), "multiple of 8");
}

}  // namespace
}  // namespace chokepoint::hopper
