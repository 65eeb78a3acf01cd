// Loopback: bytes arrive exactly, each wire is charged once per direction, and a message takes bytes / rate +
// alpha.
#include "kernels/common/loopback.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "harness/base/error.hpp"
#include "tests/kernels/clocks.hpp"

namespace chokepoint {
namespace {

using Bytes = std::vector<unsigned char>;

Bytes numbered(std::int64_t bytes) {
  Bytes values(static_cast<std::size_t>(bytes));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<unsigned char>(i * 131 + i / 251);
  return values;
}

class FailingClock : public CountingClock {
 public:
  explicit FailingClock(bool at_reservation) : at_reservation_(at_reservation) {}
  Moment reserve(double amount) override {
    if (at_reservation_) throw std::runtime_error("no reservation");
    return CountingClock::reserve(amount);
  }
  void wait(Moment) override { throw std::runtime_error("no wait"); }

 private:
  bool at_reservation_;
};

TEST(loopback, ragged_pieces_arrive_byte_for_byte_and_nothing_else_is_touched) {
  const std::vector<std::int64_t> sizes = {1,  0,   7,      kLoopbackChunkBytes - 1,     kLoopbackChunkBytes,
                                           13, 517, 999983, 3 * kLoopbackChunkBytes + 5, 0};
  const std::int64_t total = std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0});
  const Bytes from = numbered(total);
  for (bool background : {false, true}) {
    // Pieces arrive in reverse order with a gap of 3 bytes between them.
    Bytes to(static_cast<std::size_t>(total) + 3 * sizes.size(), 0xee), expected = to;
    std::vector<Piece> pieces;
    std::int64_t source = 0, target = static_cast<std::int64_t>(to.size());
    for (std::int64_t size : sizes) {
      target -= size + 3;
      pieces.push_back({from.data() + source, to.data() + target, size});
      std::copy_n(from.begin() + source, size, expected.begin() + target);
      source += size;
    }
    CountingPace clocks;
    if (background)
      loopback_async(pieces, Wire::link, clocks.pace()).get();
    else
      loopback(pieces, Wire::link, clocks.pace());
    EXPECT_EQ(to, expected);
    EXPECT_EQ(clocks.link_send.amount(), static_cast<double>(total));
  }
}

TEST(loopback, a_message_is_booked_once_per_direction_on_its_own_wire_and_waited_for) {
  const Bytes from = numbered(1000003);
  Bytes to(from.size());
  const std::vector<Piece> pieces = {{from.data(), to.data(), 1}, {from.data() + 1, to.data() + 1, 1000002}};
  for (Wire wire : {Wire::link, Wire::network}) {
    CountingPace clocks;
    loopback(pieces, wire, clocks.pace());
    loopback_async(pieces, wire, clocks.pace()).get();
    const bool link = wire == Wire::link;
    for (const CountingClock* clock : {link ? &clocks.link_send : &clocks.network_send,
                                       link ? &clocks.link_receive : &clocks.network_receive}) {
      EXPECT_EQ(clock->amount(), 2 * 1000003.0);
      EXPECT_EQ(clock->messages(), 2);
      EXPECT_EQ(clock->reservations(), 2);
      EXPECT_EQ(clock->waits(), 2);
    }
    for (const CountingClock* clock : {link ? &clocks.network_send : &clocks.link_send,
                                       link ? &clocks.network_receive : &clocks.link_receive, &clocks.memory})
      EXPECT_EQ(clock->reservations() + clock->waits(), 0);
  }
}

TEST(loopback, no_bytes_are_no_message) {
  CountingPace clocks;
  loopback({}, Wire::link, clocks.pace());
  loopback_async({}, Wire::network, clocks.pace()).get();
  const std::vector<Piece> empty(3);
  loopback(empty, Wire::link, clocks.pace());
  EXPECT_EQ(clocks.link_send.reservations() + clocks.network_receive.reservations(), 0);
  EXPECT_EQ(clocks.link_send.waits() + clocks.network_receive.waits(), 0);
}

TEST(loopback, a_message_takes_its_bytes_over_the_rate_plus_the_latency) {
  const Bytes from = numbered(4 << 20);
  Bytes to(from.size());
  const std::vector<Piece> pieces = {{from.data(), to.data(), 4 << 20}};
  // 4 MiB at 104.8576 MB/s are 40 ms; with 10 ms latency 50 ms. The slower direction decides.
  RateClock slow(104.8576e6, 10e-3), fast(1e9);
  for (const Pace& pace : {Pace{.link_send = &slow, .link_receive = &fast},
                           Pace{.link_send = &fast, .link_receive = &slow}, Pace{.link_receive = &slow}}) {
    to.assign(to.size(), 0);
    const double elapsed_s = least_seconds_of([&] { loopback(pieces, Wire::link, pace); }, 53e-3);
    EXPECT_GE(elapsed_s, 50e-3);
    EXPECT_LE(elapsed_s, 53e-3);
    EXPECT_EQ(to, from);
  }
}

TEST(loopback, late_wake_ups_do_not_add_up_over_many_messages) {
  const Bytes from = numbered(1 << 20);
  Bytes to(from.size());
  // A row per piece: 1024 rows of 1 KiB; 20 messages of 1 MiB at 209.7152 MB/s are 100 ms.
  std::vector<Piece> rows;
  for (std::int64_t row = 0; row < 1024; ++row)
    rows.push_back({from.data() + row * 1024, to.data() + row * 1024, 1024});
  RateClock clock(209.7152e6);
  const auto twenty_messages = [&] {
    std::vector<std::future<void>> messages;
    for (int message = 0; message < 20; ++message)
      messages.push_back(loopback_async(rows, Wire::link, {.link_send = &clock}));
    for (std::future<void>& message : messages) message.get();
  };
  const double elapsed_s = least_seconds_of(twenty_messages, 105e-3);
  EXPECT_GE(elapsed_s, 100e-3);
  EXPECT_LE(elapsed_s, 105e-3);
  EXPECT_EQ(to, from);
}

// Fresh memory that shows, page by page, whether it was ever written.
class Pages {
 public:
  explicit Pages(std::size_t bytes) : bytes_(bytes) {
    data_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data_ == MAP_FAILED) throw std::runtime_error("mmap failed");
    madvise(data_, bytes, MADV_NOHUGEPAGE);
  }
  ~Pages() { munmap(data_, bytes_); }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;

  void* data() const { return data_; }
  double written_share() const {
    std::vector<unsigned char> resident((bytes_ + 4095) / 4096);
    if (mincore(data_, bytes_, resident.data()) != 0) throw std::runtime_error("mincore failed");
    const auto written =
        std::count_if(resident.begin(), resident.end(), [](unsigned char page) { return page & 1; });
    return static_cast<double>(written) / static_cast<double>(resident.size());
  }

 private:
  std::size_t bytes_;
  void* data_;
};

TEST(loopback, memory_traffic_is_spread_over_the_message_instead_of_coming_at_once) {
  const Bytes from = numbered(4 << 20);
  const Pages to(from.size());
  const std::vector<Piece> pieces = {{from.data(), to.data(), 4 << 20}};
  RateClock clock((4 << 20) / 160e-3);  // 160 ms in all, 16 chunks of 10 ms
  std::future<void> message = loopback_async(pieces, Wire::network, {.network_send = &clock});
  std::this_thread::sleep_for(std::chrono::milliseconds(80));
  const double at_half = to.written_share();
  message.get();
  EXPECT_GT(at_half, 0.3);
  EXPECT_LT(at_half, 0.8);
  EXPECT_EQ(std::memcmp(to.data(), from.data(), from.size()), 0);
}

TEST(loopback, the_two_wires_do_not_wait_for_each_other) {
  const Bytes from = numbered(1 << 20);
  Bytes over_link(from.size()), over_network(from.size());
  const std::vector<Piece> link = {{from.data(), over_link.data(), 1 << 20}};
  const std::vector<Piece> network = {{from.data(), over_network.data(), 1 << 20}};
  RateClock link_clock(1048576 / 120e-3), network_clock(1048576 / 30e-3);  // 120 ms and 30 ms
  double shorter_s = 1e9;
  const auto both = [&] {
    const auto begin = std::chrono::steady_clock::now();
    std::future<void> longer = loopback_async(link, Wire::link, {.link_send = &link_clock});
    std::future<void> shorter = loopback_async(network, Wire::network, {.network_receive = &network_clock});
    shorter.get();
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
    shorter_s = std::min(shorter_s, elapsed.count());
    longer.get();
  };
  const double elapsed_s = least_seconds_of(both, 125e-3);
  EXPECT_GE(shorter_s, 30e-3);
  EXPECT_LE(shorter_s, 60e-3);
  EXPECT_GE(elapsed_s, 120e-3);
  EXPECT_LE(elapsed_s, 125e-3);
  EXPECT_EQ(over_link, from);
  EXPECT_EQ(over_network, from);
}

TEST(loopback, a_message_in_the_background_is_booked_when_it_is_handed_over) {
  const Bytes from = numbered(512);
  Bytes to(from.size());
  const std::vector<Piece> pieces = {{from.data(), to.data(), 512}};
  RateClock clock(512 / 30e-3);  // 30 ms
  const auto meanwhile = [&] {
    std::future<void> message = loopback_async(pieces, Wire::link, {.link_send = &clock});
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    message.get();
  };
  const double elapsed_s = least_seconds_of(meanwhile, 33e-3);
  EXPECT_GE(elapsed_s, 30e-3);
  EXPECT_LE(elapsed_s, 33e-3);
}

TEST(loopback, faults_surface_where_the_caller_looks) {
  Bytes from(64), to(64);
  const std::vector<Piece> pieces = {{from.data(), to.data(), 64}};
  FailingClock at_reservation(true), at_wait(false);
  for (FailingClock* clock : {&at_reservation, &at_wait}) {
    EXPECT_THROW(loopback(pieces, Wire::link, {.link_send = clock}), std::runtime_error);
    std::future<void> message = loopback_async(pieces, Wire::link, {.link_send = clock});
    EXPECT_THROW(message.get(), std::runtime_error);
  }
  for (const Piece& bad :
       {Piece{from.data(), to.data(), -1}, Piece{nullptr, to.data(), 4}, Piece{from.data(), nullptr, 4}})
    EXPECT_THROW(loopback(std::span(&bad, 1), Wire::link, {}), Error);
  // The carrier goes on after a fault.
  std::fill(from.begin(), from.end(), static_cast<unsigned char>(9));
  loopback_async(pieces, Wire::link, {}).get();
  EXPECT_EQ(to, from);
}

}  // namespace
}  // namespace chokepoint
