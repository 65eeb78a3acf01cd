#include "harness/device/cuda/same_bytes.cuh"

#include <algorithm>

#include "harness/device/cuda/check.hpp"
#include "harness/device/cuda/same_bytes.hpp"

namespace chokepoint {
namespace {

constexpr std::size_t kMostBlocks = 1024;  // several per multiprocessor of the largest GPU

}  // namespace

ByteComparer::ByteComparer(cudaStream_t stream) : stream_(stream) {
  check(cudaMalloc(reinterpret_cast<void**>(&differ_), sizeof *differ_));
}

ByteComparer::~ByteComparer() { cudaFree(differ_); }

bool ByteComparer::same(const void* a, const void* b, std::size_t bytes) {
  const std::size_t in_one_pass = kSameBytesThreads * sizeof(uint4);
  const auto blocks = static_cast<unsigned>(std::clamp<std::size_t>(bytes / in_one_pass + 1, 1, kMostBlocks));
  check(cudaMemsetAsync(differ_, 0, sizeof *differ_, stream_));
  note_difference<<<blocks, kSameBytesThreads, 0, stream_>>>(static_cast<const unsigned char*>(a),
                                                             static_cast<const unsigned char*>(b), bytes, differ_);
  check(cudaGetLastError());
  unsigned differ = 1;
  check(cudaMemcpyAsync(&differ, differ_, sizeof differ, cudaMemcpyDeviceToHost, stream_));
  check(cudaStreamSynchronize(stream_));
  return differ == 0;
}

}  // namespace chokepoint
