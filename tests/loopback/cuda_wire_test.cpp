// The wire on a GPU: what arrives, when, and what is charged, on the emulator.
#include "tests/cuda_emulator/emulator.hpp"

#include "kernels/common/cuda/wire.cuh"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "tests/kernels/check.hpp"

namespace chokepoint {
namespace {

constexpr unsigned kBlocks = 3, kThreads = 64;

void send(const WireTask& task, const WireMoments& moments, WireSlot& slot) {
  emulator::launch({.grid = dim3(kBlocks), .block = dim3(kThreads), .cooperative = true}, wire_kernel, task, moments,
                   &slot);
}

std::vector<unsigned char> numbered(std::size_t bytes) {
  std::vector<unsigned char> data(bytes);
  for (std::size_t i = 0; i < bytes; ++i) data[i] = static_cast<unsigned char>(i * 37 + i / 251);
  return data;
}

// Has some multiprocessors for its wire alone, or none.
class DividedDevice final : public UnusedDevice {
 public:
  explicit DividedDevice(int of_the_wire) : of_the_wire_(of_the_wire) {}
  int multiprocessors(Lane) const override { return of_the_wire_ > 0 ? of_the_wire_ : 132; }
  bool lanes_are_apart() const override { return of_the_wire_ > 0; }

 private:
  int of_the_wire_;
};

int blocks_on(int of_the_wire) {
  DividedDevice device(of_the_wire);
  return WireCopier(device).blocks();
}

TEST(cuda_wire, has_a_block_for_each_of_its_own_multiprocessors) {
  EXPECT_EQ(blocks_on(20), 20);
  EXPECT_EQ(blocks_on(28), 24);
  EXPECT_EQ(blocks_on(0), 24);  // none of its own
}

TEST(cuda_wire, a_contiguous_piece_arrives_whole_whatever_its_size) {
  for (std::size_t bytes : {1UL, 15UL, 16UL, 4095UL, 4096UL, 4097UL, 70'001UL}) {
    const std::vector<unsigned char> from = numbered(bytes);
    std::vector<unsigned char> to(bytes + 8, 0xee);
    WireSlot slot;
    const std::int64_t rows = (static_cast<std::int64_t>(bytes) + 4095) / 4096;
    send({.from = from.data(), .to = to.data(), .rows = rows, .row_bytes = 4096,
          .short_bytes = rows * 4096 - static_cast<std::int64_t>(bytes)},
         {}, slot);
    EXPECT_TRUE(std::equal(from.begin(), from.end(), to.begin())) << bytes;
    EXPECT_EQ(std::count(to.begin() + static_cast<std::ptrdiff_t>(bytes), to.end(), 0xee), 8) << bytes;
  }
}

TEST(cuda_wire, rows_and_their_second_parts_go_where_their_indices_say) {
  constexpr std::int64_t kRows = 37, kBytes = 100, kBytes2 = 12;
  const std::vector<unsigned char> from = numbered(50 * kBytes), from_2 = numbered(50 * kBytes2);
  std::vector<unsigned char> to(60 * kBytes, 0), to_2(60 * kBytes2, 0);
  std::vector<std::int32_t> from_rows(kRows), to_rows(kRows);
  for (std::int32_t i = 0; i < kRows; ++i) from_rows[i] = (i * 7) % 50, to_rows[i] = 59 - i;
  WireSlot slot;
  send({.from = from.data(), .to = to.data(), .from_2 = from_2.data(), .to_2 = to_2.data(), .row_bytes_2 = kBytes2,
        .from_rows = from_rows.data(), .to_rows = to_rows.data(), .rows = kRows, .row_bytes = kBytes},
       {}, slot);
  for (std::int32_t i = 0; i < kRows; ++i) {
    EXPECT_TRUE(std::equal(from.begin() + from_rows[i] * kBytes, from.begin() + (from_rows[i] + 1) * kBytes,
                           to.begin() + to_rows[i] * kBytes));
    EXPECT_TRUE(std::equal(from_2.begin() + from_rows[i] * kBytes2, from_2.begin() + (from_rows[i] + 1) * kBytes2,
                           to_2.begin() + to_rows[i] * kBytes2));
  }
}

// 64 KiB at 1 GB/s take 65.536 us, alpha 5 us more; the slower direction (receive, half the rate) decides.
TEST(cuda_wire, a_message_takes_its_bytes_and_alpha_and_is_booked_on_both_directions) {
  DeviceClock send_clock, receive_clock, memory;
  send_clock.ps_per_unit = 1000.0;
  receive_clock.ps_per_unit = 2000.0;
  send_clock.latency_ps = receive_clock.latency_ps = 5'000'000;
  const std::vector<unsigned char> from = numbered(65'536);
  std::vector<unsigned char> to(65'536);
  WireSlot slot;
  emulator::virtual_time() = {.now_ns = 10'000, .per_turn_ns = 1, .per_read_ns = 1};
  send({.from = from.data(), .to = to.data(), .rows = 16, .row_bytes = 4096, .memory_bytes = 131'072.0},
       {{&send_clock, &receive_clock}, &memory}, slot);
  const double took_us = static_cast<double>(emulator::virtual_time().now_ns - 10'000) * 1e-3;
  EXPECT_GE(took_us, 131.0 + 5.0);
  EXPECT_LT(took_us, 131.1 + 5.0 + 4.0);
  EXPECT_EQ(send_clock.charged, 65'536U);
  EXPECT_EQ(receive_clock.charged, 65'536U);
  EXPECT_EQ(memory.charged, 131'072U);
  EXPECT_EQ(receive_clock.messages, 1U);
  EXPECT_NEAR(static_cast<double>(receive_clock.active_ps) * 1e-6, 131.072 + 5.0, 2.0);
  EXPECT_EQ(from, to);
  EXPECT_TRUE(slot.booked == 0 && slot.finished == 0 && slot.ready_ps[1] == 0) << "the next message finds it clean";
}

TEST(cuda_wire, rows_come_through_in_proportion_to_time_not_all_at_once) {
  DeviceClock clock;
  clock.ps_per_unit = 1000.0;
  WireStretch stretch = {{&clock, nullptr}, {1'000'000, 0}, {1'000'000'000, 0}};
  clock.origin_ns = 1;
  emulator::virtual_time() = {.now_ns = 1, .per_turn_ns = 1, .per_read_ns = 1};
  const auto keep_up = +[](const WireStretch* at, double share) { at->keep_up(share); };
  emulator::launch(keep_up, dim3(1), dim3(1), 0, static_cast<const WireStretch*>(&stretch), 0.25);
  EXPECT_GE(emulator::virtual_time().now_ns, 246'000U);  // 1 us + a quarter of 1 ms - 5 us of lead
  EXPECT_LT(emulator::virtual_time().now_ns, 248'000U);
}

}  // namespace
}  // namespace chokepoint
