#include "harness/device/cuda/background_copies.hpp"

#include <cuda_runtime.h>

#include <algorithm>
#include <deque>
#include <vector>

#include "harness/device/cuda/check.hpp"
#include "harness/device/cuda/noise.hpp"

namespace chokepoint {
namespace {

constexpr std::size_t kArrayBytes = std::size_t{256} << 20;  // several times the last-level cache, like all rotations
constexpr std::size_t kPieceBytes = std::size_t{4} << 20;    // of one copy: a few microseconds at full rate

class CopyStream final : public BackgroundCopies {
 public:
  explicit CopyStream(int index) : index_(index) {
    use_device();
    try {
      check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
      check(cudaMalloc(reinterpret_cast<void**>(&from_), kArrayBytes));
      check(cudaMalloc(reinterpret_cast<void**>(&to_), kArrayBytes));
      fill_with_noise(from_, kArrayBytes, stream_);
      check(cudaStreamSynchronize(stream_));
    } catch (...) {
      give_back();
      throw;
    }
  }
  ~CopyStream() override { give_back(); }
  CopyStream(const CopyStream&) = delete;
  CopyStream& operator=(const CopyStream&) = delete;

  void enqueue(std::size_t moved_bytes) override {
    use_device();
    const std::size_t bytes = moved_bytes / 2;
    std::vector<std::size_t> pieces;
    for (std::size_t done = 0; done < bytes; done += pieces.back())
      pieces.push_back(std::min({kPieceBytes, bytes - done, kArrayBytes}));
    copy(pieces);
    const cudaEvent_t event = free_event();
    in_flight_.push_back({event, 2 * bytes});
    check(cudaEventRecord(event, stream_));
  }

  std::size_t take_done_bytes() override {
    std::size_t done = 0;
    for (; !in_flight_.empty(); in_flight_.pop_front()) {
      const cudaError_t state = cudaEventQuery(in_flight_.front().event);
      if (state == cudaErrorNotReady) break;
      check(state);
      done += in_flight_.front().moved_bytes;
      free_.push_back(in_flight_.front().event);
    }
    return done;
  }

 private:
  struct Burst {
    cudaEvent_t event;
    std::size_t moved_bytes;
  };

  // The current device belongs to a thread, and the caller's may be another than the constructor's.
  void use_device() const { check(cudaSetDevice(index_)); }

  void copy(const std::vector<std::size_t>& pieces) {
    std::vector<void*> to;
    std::vector<const void*> from;
    for (std::size_t bytes : pieces) {
      if (offset_ + bytes > kArrayBytes) offset_ = 0;
      to.push_back(to_ + offset_);
      from.push_back(from_ + offset_);
      offset_ += bytes;
    }
#if CUDART_VERSION >= 13000
    if (batched_) {
      cudaMemcpyAttributes attributes{};
      attributes.srcAccessOrder = cudaMemcpySrcAccessOrderStream;
      attributes.flags = cudaMemcpyFlagPreferOverlapWithCompute;
      std::size_t first = 0;
      const cudaError_t code = cudaMemcpyBatchAsync(to.data(), from.data(), pieces.data(), pieces.size(), &attributes,
                                                    &first, 1, stream_);
      if (code == cudaSuccess) return;
      if (code != cudaErrorCallRequiresNewerDriver && code != cudaErrorNotSupported) check(code);
      cudaGetLastError();
      batched_ = false;
    }
#endif
    for (std::size_t i = 0; i < pieces.size(); ++i)
      check(cudaMemcpyAsync(to[i], from[i], pieces[i], cudaMemcpyDeviceToDevice, stream_));
  }

  cudaEvent_t free_event() {
    if (free_.empty()) check(cudaEventCreateWithFlags(&free_.emplace_back(), cudaEventDisableTiming));
    const cudaEvent_t event = free_.back();
    free_.pop_back();
    return event;
  }

  void give_back() noexcept {
    cudaSetDevice(index_);
    if (stream_ != nullptr) cudaStreamSynchronize(stream_);
    for (const Burst& burst : in_flight_) cudaEventDestroy(burst.event);
    for (cudaEvent_t event : free_) cudaEventDestroy(event);
    cudaFree(from_);
    cudaFree(to_);
    if (stream_ != nullptr) cudaStreamDestroy(stream_);
  }

  int index_;
  cudaStream_t stream_ = nullptr;
  std::byte* from_ = nullptr;
  std::byte* to_ = nullptr;
  std::size_t offset_ = 0;
  bool batched_ = true;
  std::deque<Burst> in_flight_;
  std::vector<cudaEvent_t> free_;
};

}  // namespace

std::unique_ptr<BackgroundCopies> background_copies_on(int index) { return std::make_unique<CopyStream>(index); }

}  // namespace chokepoint
