// Which multiprocessors does work on a stream reach? A kernel with more blocks than fit at once notes %smid of each.
#include "harness/device/cuda/check.hpp"
#include "harness/device/cuda/multiprocessors_used.hpp"
#include "harness/device/multiprocessors.hpp"

namespace chokepoint {
namespace {

constexpr int kMaskWords = 32;     // ids below 1024; %smid is not always below the number of multiprocessors
constexpr int kBlocksPerSm = 4;    // of the whole device; of 1024 threads, two are resident
constexpr unsigned kSpin_ns = 20'000;  // each stays until the blocks of a first wave have all begun

__global__ void __launch_bounds__(1024) note_multiprocessor(std::uint32_t* mask) {
  unsigned id = 0;
  asm volatile("mov.u32 %0, %%smid;" : "=r"(id));
  if (threadIdx.x == 0 && id < 32 * kMaskWords) atomicOr(&mask[id / 32], 1U << (id % 32));
  unsigned long long start = 0, now = 0;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(start));
  do {
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
  } while (now - start < kSpin_ns);
}

class Mask {
 public:
  Mask() { check(cudaMalloc(reinterpret_cast<void**>(&words_), kMaskWords * sizeof(std::uint32_t))); }
  ~Mask() { cudaFree(words_); }
  Mask(const Mask&) = delete;
  Mask& operator=(const Mask&) = delete;
  std::uint32_t* get() const { return words_; }

 private:
  std::uint32_t* words_ = nullptr;
};

}  // namespace

std::vector<int> multiprocessors_used(cudaStream_t stream, int total) {
  const Mask mask;
  std::vector<std::uint32_t> seen(kMaskWords);
  const std::size_t bytes = seen.size() * sizeof seen.front();
  check(cudaMemsetAsync(mask.get(), 0, bytes, stream));
  note_multiprocessor<<<kBlocksPerSm * total, 1024, 0, stream>>>(mask.get());
  check(cudaGetLastError());
  check(cudaMemcpyAsync(seen.data(), mask.get(), bytes, cudaMemcpyDeviceToHost, stream));
  check(cudaStreamSynchronize(stream));
  return ids_in(seen);
}

}  // namespace chokepoint
