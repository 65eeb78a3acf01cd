// Where does a library keep what it needs while a product is under way? In memory that all products of a stream share,
// since they follow each other.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "kernels/common/cuda/device_array.hpp"

namespace chokepoint {

// Given back with the last array that holds it. Throws Error{device} when there is not enough memory.
inline DeviceArray shared_workspace(Device& device, void* stream, std::int64_t bytes) {
  static std::mutex mutex;
  static std::map<std::pair<void*, std::int64_t>, std::weak_ptr<void>> known;
  const std::scoped_lock lock(mutex);
  std::weak_ptr<void>& kept = known[{stream, bytes}];
  std::shared_ptr<void> workspace = kept.lock();
  if (workspace == nullptr) {
    workspace = device.allocate(static_cast<std::size_t>(bytes));
    kept = workspace;
  }
  return {std::move(workspace), bytes};
}

}  // namespace chokepoint
