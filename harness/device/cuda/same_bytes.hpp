// Is what lies in one place of a GPU's memory the same as in another? Asked there, because fetching both takes a hundred
// times longer.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

namespace chokepoint {

class ByteComparer {
 public:
  explicit ByteComparer(cudaStream_t stream);
  ~ByteComparer();
  ByteComparer(const ByteComparer&) = delete;
  ByteComparer& operator=(const ByteComparer&) = delete;

  // Both begin at a multiple of 16 bytes. Blocks. Throws Error{device}.
  bool same(const void* a, const void* b, std::size_t bytes);

 private:
  cudaStream_t stream_;
  unsigned* differ_ = nullptr;  // in the GPU's memory
};

}  // namespace chokepoint
