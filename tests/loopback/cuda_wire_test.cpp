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

void send(const WireTask& task, const WireMoments& moments, WireSlot& slot, unsigned blocks = kBlocks) {
  const emulator::Config config = {
      .grid = dim3(blocks), .block = dim3(kThreads), .shared_bytes = sizeof(WireBlock), .cooperative = true};
  emulator::launch(config, wire_kernel, task, moments, &slot);
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

constexpr double kSmRate = 38.7e9;

// Both directions at `rate`, a multiprocessor at `sm_rate`.
struct Link {
  DeviceClock sender, receiver;

  explicit Link(double rate, double sm_rate = INFINITY) {
    sender.ps_per_unit = receiver.ps_per_unit = 1e12 / rate;
    sender.ps_per_unit_of_sm = receiver.ps_per_unit_of_sm = 1e12 / sm_rate;
  }

  // Bytes per second of one message, by a clock that is finer than the timer. Begins `phase_ns` after a tick.
  double delivered(std::size_t bytes, unsigned blocks, std::uint64_t tick_ns = 1, std::uint64_t phase_ns = 0) {
    const std::vector<unsigned char> from(bytes, 1);
    std::vector<unsigned char> to(bytes);
    WireSlot slot;
    const std::uint64_t begin_ns = 1'000'000 + phase_ns;
    emulator::virtual_time() = {.now_ns = begin_ns, .per_turn_ns = 0, .per_read_ns = 1, .tick_ns = tick_ns};
    send(wire_piece(from.data(), to.data(), static_cast<std::int64_t>(bytes), Wire::link),
         {{&sender, &receiver}, nullptr}, slot, blocks);
    EXPECT_EQ(from, to);
    const double took_ns = static_cast<double>(emulator::virtual_time().now_ns - begin_ns);
    emulator::virtual_time() = {};
    return static_cast<double>(bytes) / took_ns * 1e9;
  }
};

TEST(cuda_wire, as_many_multiprocessors_as_a_wire_has_do_not_hold_up_its_link) {
  constexpr std::size_t kBytes = 4 << 20;
  for (unsigned blocks : {20U, 24U})
    for (double rate : {100e9, 143e9, 160e9, 200e9, 300e9, 450e9}) {
      const double freely = Link(rate).delivered(kBytes, blocks);
      EXPECT_NEAR(Link(rate, kSmRate).delivered(kBytes, blocks) / freely, 1.0, 0.002) << blocks << " " << rate;
      EXPECT_NEAR(freely / rate, 1.0, 0.01) << blocks << " " << rate;
    }
}

TEST(cuda_wire, too_few_multiprocessors_carry_what_they_can_and_no_more) {
  for (unsigned blocks : {1U, 2U, 4U}) {
    const double most = std::min(160e9, blocks * kSmRate);
    EXPECT_NEAR(Link(160e9, kSmRate).delivered(4 << 20, blocks) / most, 1.0, 0.01) << blocks;
    EXPECT_NEAR(Link(160e9).delivered(4 << 20, blocks) / 160e9, 1.0, 0.01) << blocks;
  }
}

// 24 rows are one for each block, 4.1 us here: not two for each of those whose warps they would fill.
TEST(cuda_wire, a_short_message_is_carried_by_all_multiprocessors) {
  EXPECT_NEAR(Link(100e9, 1e9).delivered(24 * 4096, 24) / 24e9, 1.0, 0.1);
}

TEST(cuda_wire, a_released_link_leaves_its_multiprocessors_alone) {
  Link released(160e9, kSmRate);
  for (DeviceClock* clock : {&released.sender, &released.receiver}) clock->ps_per_unit = clock->ps_per_unit_of_sm = 0.0;
  EXPECT_GT(released.delivered(1 << 20, 1), 200e9);
}

// Off by less than a tick of what it takes, early or late with where it begins: 4 MiB at 160 GB/s take 26.2 us.
TEST(cuda_wire, a_coarse_timer_moves_the_end_of_a_message_by_less_than_a_tick) {
  double least = INFINITY, most = 0.0;
  for (std::uint64_t phase_ns : {0U, 250U, 500U, 750U, 990U}) {
    const double took_us = (4 << 20) / Link(160e9, kSmRate).delivered(4 << 20, 24, 1000, phase_ns) * 1e6;
    least = std::min(least, took_us);
    most = std::max(most, took_us);
  }
  EXPECT_GT(least, 26.2 - 1.0);
  EXPECT_LT(most, 26.2 + 1.0);
  EXPECT_GT(most - least, 0.9);  // 3.5 %: no measurement
}

TEST(cuda_wire, a_coarse_timer_is_good_for_long_messages) {
  for (std::uint64_t phase_ns : {0U, 500U, 990U}) {
    EXPECT_NEAR(Link(160e9, kSmRate).delivered(8 << 20, 24, 1000, phase_ns) / 160e9, 1.0, 0.02) << phase_ns;   // 52 us
    EXPECT_NEAR(Link(160e9, kSmRate).delivered(16 << 20, 24, 1000, phase_ns) / 160e9, 1.0, 0.01) << phase_ns;  // 105 us
  }
}

}  // namespace
}  // namespace chokepoint
