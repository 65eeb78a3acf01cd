// A kernel that stays, on a stream of a green context: the host tells it to stop through a word of its own memory, and
// learns there that it runs.
#include "harness/device/cuda/background_traffic.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <thread>

#include "harness/base/error.hpp"
#include "harness/device/cuda/background_traffic.cuh"
#include "harness/device/cuda/check.hpp"
#include "harness/device/cuda/green_part.hpp"
#include "harness/device/cuda/noise.hpp"

namespace chokepoint {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kArrayBytes = std::size_t{256} << 20;  // several times the last-level cache, like all rotations
constexpr auto kTiles = static_cast<std::int64_t>(kArrayBytes / 16) / kTrafficTileVectors;
// A turn of a contender takes milliseconds. Long enough for the slowest, short enough to wait for when a host forgot.
constexpr std::uint64_t kLifetime_ns = 10'000'000'000;
constexpr std::chrono::seconds kPatience{5};
// By then what was written fills the last-level cache. How much of it reaches the memory is not known: on an H100 68 SMs
// moved twice what its memory can (results/2026-11-26_h100_checks).
constexpr std::chrono::microseconds kSettling{300};

class KernelThatStays final : public BackgroundTraffic {
 public:
  explicit KernelThatStays(int wanted) : part_(last_multiprocessors(wanted)) {
    try {
      check(cudaMalloc(reinterpret_cast<void**>(&from_), kArrayBytes));
      check(cudaMalloc(reinterpret_cast<void**>(&to_), kArrayBytes));
      check(cudaMalloc(reinterpret_cast<void**>(&tally_), sizeof(TrafficTally)));
      check(cudaHostAlloc(reinterpret_cast<void**>(&signals_), sizeof(TrafficSignals), cudaHostAllocMapped));
      fill_with_noise(from_, kArrayBytes, part_->stream());
      check(cudaMemsetAsync(tally_, 0, sizeof(TrafficTally), part_->stream()));
      *signals_ = TrafficSignals{};
      check(cudaStreamSynchronize(part_->stream()));
    } catch (...) {
      give_back();
      throw;
    }
  }
  ~KernelThatStays() override {
    stop();
    give_back();
  }
  KernelThatStays(const KernelThatStays&) = delete;
  KernelThatStays& operator=(const KernelThatStays&) = delete;

  int multiprocessors() const override { return part_->multiprocessors(); }

  void start(double bytes_per_s) override {
    stop();
    rethrow();
    TrafficRun run = run_of(bytes_per_s);
    run.number = ++number_;
    background_traffic<<<run.blocks, kTrafficThreads, 0, part_->stream()>>>(run);
    flows_ = true;
    check(cudaGetLastError());
    wait_until_it_runs();
    std::this_thread::sleep_for(kSettling);
  }

  void stop() noexcept override {
    if (!flows_) return;
    flows_ = false;
    std::atomic_ref<unsigned>(signals_->stop).store(number_, std::memory_order_release);
    try {
      check(cudaStreamSynchronize(part_->stream()));
      if (std::atomic_ref<unsigned>(signals_->expired).load(std::memory_order_acquire) == number_)
        throw Error(Fault::cap_not_held, "background traffic ended by itself before it was stopped",
                    "make launches shorter: a turn of one target has to end within 10 s");
    } catch (...) {
      if (!trouble_) trouble_ = std::current_exception();
    }
  }

  double moved_bytes() override {
    stop();
    rethrow();
    TrafficTally tally;
    check(cudaMemcpyAsync(&tally, tally_, sizeof tally, cudaMemcpyDeviceToHost, part_->stream()));
    check(cudaStreamSynchronize(part_->stream()));
    return kTrafficTileBytes * static_cast<double>(tally.tiles);
  }

 private:
  TrafficRun run_of(double bytes_per_s) const {
    TrafficRun run{};
    run.from = from_;
    run.to = to_;
    run.tiles = kTiles;
    run.blocks = static_cast<unsigned>(kTrafficBlocksPerSm * part_->multiprocessors());
    run.tile_ps = static_cast<std::uint64_t>(1e12 * kTrafficTileBytes * run.blocks / std::max(bytes_per_s, 1.0));
    run.lifetime_ns = kLifetime_ns;
    void* seen = nullptr;
    check(cudaHostGetDevicePointer(&seen, signals_, 0));
    run.signals = static_cast<TrafficSignals*>(seen);
    run.tally = tally_;
    return run;
  }

  void wait_until_it_runs() {
    const Clock::time_point begin = Clock::now();
    while (std::atomic_ref<unsigned>(signals_->running).load(std::memory_order_acquire) != number_) {
      if (cudaStreamQuery(part_->stream()) == cudaErrorNotReady && Clock::now() - begin < kPatience) continue;
      if (std::atomic_ref<unsigned>(signals_->running).load(std::memory_order_acquire) == number_) return;
      stop();
      rethrow();
      throw Error(Fault::device, "background traffic did not begin: its multiprocessors are taken",
                  "see whether another process uses the GPU");
    }
  }

  void rethrow() const {
    if (trouble_) std::rethrow_exception(trouble_);
  }

  void give_back() noexcept {
    cudaFree(from_);
    cudaFree(to_);
    cudaFree(tally_);
    if (signals_ != nullptr) cudaFreeHost(signals_);
  }

  std::unique_ptr<StreamOnPart> part_;
  uint4* from_ = nullptr;
  uint4* to_ = nullptr;
  TrafficTally* tally_ = nullptr;
  TrafficSignals* signals_ = nullptr;
  unsigned number_ = 0;
  bool flows_ = false;
  std::exception_ptr trouble_;
};

}  // namespace

std::unique_ptr<BackgroundTraffic> background_traffic_on(int multiprocessors) {
  return std::make_unique<KernelThatStays>(multiprocessors);
}

}  // namespace chokepoint
