// The bring-up stages of tests/device/hopper_stages.cuh on the emulator: what they expect of a GPU is what the
// emulator does.
// clang-format off: the emulator comes first
#include "tests/cuda_emulator/emulator.hpp"
// clang-format on

#include <gtest/gtest.h>

#include <deque>

#include "tests/device/hopper_stages.cuh"

namespace chokepoint::hopper::stages {
namespace {

struct alignas(1024) Page {
  unsigned char bytes[1024];
};
std::deque<std::vector<Page>> memory;

}  // namespace

void* common_memory(std::size_t bytes) { return memory.emplace_back(bytes / sizeof(Page) + 1).data(); }
void bring_memory() {}
std::string finish() { return ""; }

namespace {

TEST(hopper_stages, all_pass_on_the_emulator) {
  for (const Stage& stage : kStages) {
    EXPECT_EQ(stage.run(), "") << stage.name;
    memory.clear();
  }
}

}  // namespace
}  // namespace chokepoint::hopper::stages
