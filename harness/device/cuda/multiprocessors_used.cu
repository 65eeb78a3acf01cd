// A kernel with more blocks than fit at once notes %smid of each.
#include "harness/device/cuda/multiprocessors_used.hpp"

#include "harness/device/cuda/captured_graph.hpp"
#include "harness/device/cuda/check.hpp"
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
  explicit Mask(cudaStream_t stream) : stream_(stream) {
    check(cudaMalloc(reinterpret_cast<void**>(&words_), kBytes));
    if (const cudaError_t code = cudaMemsetAsync(words_, 0, kBytes, stream); code != cudaSuccess) {
      cudaFree(words_);
      check(code);
    }
  }
  ~Mask() { cudaFree(words_); }
  Mask(const Mask&) = delete;
  Mask& operator=(const Mask&) = delete;

  void note(int total) {
    note_multiprocessor<<<kBlocksPerSm * total, 1024, 0, stream_>>>(words_);
    check(cudaGetLastError());
  }
  std::vector<int> seen() const {
    std::vector<std::uint32_t> words(kMaskWords);
    check(cudaMemcpyAsync(words.data(), words_, kBytes, cudaMemcpyDeviceToHost, stream_));
    check(cudaStreamSynchronize(stream_));
    return ids_in(words);
  }

 private:
  static constexpr std::size_t kBytes = kMaskWords * sizeof(std::uint32_t);
  cudaStream_t stream_;
  std::uint32_t* words_ = nullptr;
};

class Event {
 public:
  Event() { check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming)); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void order(cudaStream_t before, cudaStream_t after) {
    check(cudaEventRecord(event_, before));
    check(cudaStreamWaitEvent(after, event_, 0));
  }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace

std::vector<int> multiprocessors_used(cudaStream_t stream, int total) {
  Mask mask(stream);
  mask.note(total);
  return mask.seen();
}

std::pair<std::vector<int>, std::vector<int>> multiprocessors_used_in_graph(cudaStream_t first, cudaStream_t second,
                                                                            int total) {
  Mask of_first(first), of_second(second);
  Event fork, join;
  check(cudaStreamSynchronize(second));  // of_second is cleared outside the graph
  {
    const CapturedGraph graph(first, [&] {
      fork.order(first, second);
      of_first.note(total);
      of_second.note(total);
      join.order(second, first);
    });
    graph.launch();
    check(cudaStreamSynchronize(first));
  }
  return {of_first.seen(), of_second.seen()};
}

}  // namespace chokepoint
