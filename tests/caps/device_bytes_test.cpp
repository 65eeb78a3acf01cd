// Device code around launches, on the emulator: short copies between them, and whether outputs hold the same bits.
#include "tests/cuda_emulator/emulator.hpp"

#include "harness/device/cuda/same_bytes.cuh"
#include "harness/device/cuda/short_copies.cuh"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace chokepoint {
namespace {

TEST(device_bytes, device_code_copies_each_of_a_launch_whole_and_nothing_else) {
  std::array<std::array<std::uint64_t, 100>, 4> from{}, to{};
  for (std::size_t i = 0; i < from.size(); ++i) from[i].fill(i + 1);
  ShortCopies copies;
  for (std::size_t i = 0; i < 3; ++i) copies.all[copies.count++] = {to[i].data(), from[i].data(), 8 * (7 + 40 * i)};
  emulator::launch(short_copies, dim3(1), dim3(kShortCopyThreads), 0, copies);
  for (std::size_t i = 0; i < 4; ++i)
    for (std::size_t word = 0; word < 100; ++word)
      EXPECT_EQ(to[i][word], i < 3 && word < 7 + 40 * i ? i + 1 : 0U) << i << " " << word;
}

bool differ(const std::vector<uint4>& a, const std::vector<uint4>& b, std::size_t bytes) {
  unsigned noted = 0;
  emulator::launch(note_difference, dim3(2), dim3(kSameBytesThreads), 0, reinterpret_cast<const unsigned char*>(a.data()),
                   reinterpret_cast<const unsigned char*>(b.data()), bytes, &noted);
  return noted != 0;
}

TEST(device_bytes, one_bit_anywhere_is_a_difference_and_what_lies_behind_is_none) {
  for (const std::size_t bytes : {1U, 15U, 16U, 17U, 4095U, 10007U, 20000U}) {
    std::vector<uint4> a(bytes / sizeof(uint4) + 2), b;
    auto* const first = reinterpret_cast<unsigned char*>(a.data());
    for (std::size_t i = 0; i < a.size() * sizeof(uint4); ++i) first[i] = static_cast<unsigned char>(i * 31);
    b = a;
    reinterpret_cast<unsigned char*>(b.data())[bytes] ^= 1;  // behind
    EXPECT_FALSE(differ(a, b, bytes)) << bytes;
    for (const std::size_t at : {std::size_t{0}, bytes / 2, bytes - 1}) {
      b = a;
      reinterpret_cast<unsigned char*>(b.data())[at] ^= 0x80;
      EXPECT_TRUE(differ(a, b, bytes)) << at << " of " << bytes;
    }
  }
}

}  // namespace
}  // namespace chokepoint
