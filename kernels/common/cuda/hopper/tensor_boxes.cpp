// What does TMA refuse? The limits of cuTensorMapEncodeTiled (CUDA driver API 13.0) and of the swizzles.
#include <fmt/format.h>

#include "kernels/common/cuda/hopper/tensor_map.hpp"

namespace chokepoint::hopper {
namespace {

constexpr std::int64_t kMostElements = std::int64_t{1} << 32, kMostPitchBytes = std::int64_t{1} << 40;
constexpr int kMostBox = 256;

std::optional<std::string> dimension_obstacle(const TensorBoxes& boxes, int d) {
  const auto i = static_cast<std::size_t>(d);
  if (boxes.dims[i] < 1 || boxes.dims[i] > kMostElements)
    return fmt::format("dimension {} has {} elements, TMA takes 1 to 2^32", d, boxes.dims[i]);
  if (boxes.box[i] < 1 || boxes.box[i] > kMostBox)
    return fmt::format("a box has {} elements along dimension {}, TMA takes 1 to {}", boxes.box[i], d, kMostBox);
  if (d == 0) return std::nullopt;
  const std::int64_t pitch = boxes.pitch_bytes[i - 1];
  if (!tma_can_reach(pitch) || pitch < 0 || pitch >= kMostPitchBytes)
    return fmt::format("dimension {} has a pitch of {} bytes, TMA takes multiples of {} below 2^40", d, pitch,
                       kTmaAlignment);
  return std::nullopt;
}

}  // namespace

std::optional<std::string> tensor_map_obstacle(const TensorBoxes& boxes) {
  if (boxes.rank < 1 || boxes.rank > 5) return fmt::format("{} dimensions, TMA takes 1 to 5", boxes.rank);
  if (reinterpret_cast<std::uintptr_t>(boxes.address) % kTmaAlignment != 0)
    return fmt::format("the address is no multiple of {}", kTmaAlignment);
  for (int d = 0; d < boxes.rank; ++d)
    if (auto obstacle = dimension_obstacle(boxes, d)) return obstacle;
  const int inner = boxes.box[0] * bytes_of(boxes.element);
  if (boxes.swizzle == Swizzle::none ? inner % kTmaAlignment != 0 : inner != span_bytes(boxes.swizzle))
    return fmt::format("a box is {} bytes wide, where this swizzle wants {}", inner,
                       boxes.swizzle == Swizzle::none ? "a multiple of 16"
                                                      : fmt::format("{}", span_bytes(boxes.swizzle)));
  return std::nullopt;
}

}  // namespace chokepoint::hopper
