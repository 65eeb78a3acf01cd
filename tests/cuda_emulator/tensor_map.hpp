// What is a tensor map on the emulator? The description itself, with a mark in front.
#pragma once

#include <cstring>
#include <stdexcept>

#include "kernels/common/cuda/hopper/tensor_map.hpp"

namespace chokepoint::emulator {

struct MarkedBoxes {
  std::uint64_t mark = 0x7061'6d20'726f'736eULL;
  hopper::TensorBoxes boxes;
};
static_assert(sizeof(MarkedBoxes) <= sizeof(hopper::TensorMap));

inline hopper::TensorMap emulated_tensor_map(const hopper::TensorBoxes& boxes) {
  if (const auto obstacle = hopper::tensor_map_obstacle(boxes)) throw std::runtime_error("tensor map: " + *obstacle);
  const MarkedBoxes marked{.boxes = boxes};
  hopper::TensorMap map{};
  std::memcpy(&map, &marked, sizeof marked);
  return map;
}

inline hopper::TensorBoxes boxes_of(const unsigned char* map) {
  MarkedBoxes marked;
  const std::uint64_t mark = marked.mark;
  std::memcpy(&marked, map, sizeof marked);
  if (marked.mark != mark) throw std::runtime_error("TMA: this is no tensor map");
  return marked.boxes;
}

}  // namespace chokepoint::emulator
