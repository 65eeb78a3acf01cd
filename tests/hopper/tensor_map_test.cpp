// What does TMA take, and is the reason given where it does not?
#include <gtest/gtest.h>

#include "kernels/common/cuda/hopper/tensor_map.hpp"

namespace chokepoint::hopper {
namespace {

alignas(16) unsigned char memory[32];

std::string obstacle(const TensorBoxes& boxes) { return tensor_map_obstacle(boxes).value_or(""); }

TensorBoxes boxes(std::int64_t rows, std::int64_t columns, std::int64_t box_rows, std::int64_t box_columns) {
  return matrix_boxes(memory, TensorElement::bf16, {.rows = rows, .columns = columns},
                      {.rows = box_rows, .columns = box_columns});
}

TEST(hopper_tensor_map, a_matrix_with_aligned_rows_is_taken) {
  EXPECT_EQ(obstacle(boxes(5, 8, 128, 64)), "");  // boxes may be larger than the tensor
  EXPECT_EQ(obstacle(boxes(1, 4096, 256, 64)), "");
  const TensorBoxes fp8 =
      matrix_boxes(memory, TensorElement::byte, {.rows = 3, .columns = 16}, {.rows = 8, .columns = 128});
  EXPECT_EQ(obstacle(fp8), "");
}

TEST(hopper_tensor_map, each_limit_is_named) {
  const auto has = [](const std::string& text, const char* part) { return text.find(part) != std::string::npos; };
  EXPECT_TRUE(has(obstacle(boxes(5, 9, 128, 64)), "pitch of 18 bytes"));
  EXPECT_TRUE(has(obstacle(boxes(5, 8, 257, 64)), "257 elements along dimension 1"));
  EXPECT_TRUE(has(obstacle(boxes(5, 8, 128, 32)), "64 bytes wide"));
  EXPECT_TRUE(has(obstacle(boxes(0, 8, 128, 64)), "dimension 1 has 0"));
  TensorBoxes shifted = boxes(5, 8, 128, 64);
  shifted.address = memory + 2;
  EXPECT_TRUE(has(obstacle(shifted), "multiple of 16"));
  TensorBoxes many = boxes(5, 8, 128, 64);
  many.rank = 6;
  EXPECT_TRUE(has(obstacle(many), "6 dimensions"));
}

}  // namespace
}  // namespace chokepoint::hopper
