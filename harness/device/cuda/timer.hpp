// How long does a launch take on a GPU? Events around captured graphs, with all of a block enqueued before any
// of it starts, so that the host is never waited for.
#pragma once

#include <cuda_runtime.h>

#include <functional>
#include <span>
#include <vector>

#include "harness/device/cuda/captured_graph.hpp"
#include "harness/device/device.hpp"

namespace chokepoint {

// Below this a launch is timed in batches: event readings are good to about 0.5 us (CUDA Runtime API, event
// management), 2 % of it.
inline constexpr double kShortLaunch_s = 25e-6;
inline constexpr int kMostLaunchesPerSample = 64;

// Launches per sample for launches that take about `launch_s`.
int launches_per_sample(double launch_s);

// Which launches each of the graphs holds, so that replaying them in turn goes through `launches` evenly:
// graph g holds launches (g * per_sample + i) mod `launches`. As few graphs as that takes, `most` at most.
std::vector<std::vector<std::size_t>> rotation(std::size_t launches, int per_sample, std::size_t most = 64);

class CudaGraphTimer final : public LaunchTimer {
 public:
  CudaGraphTimer(std::vector<std::function<void()>> launches, cudaStream_t stream);

  int launches_per_sample() const override { return per_sample_; }
  void start_over() override { next_ = 0; }
  void enqueue();  // the next graph
  cudaStream_t stream() const { return stream_; }  // where it was captured, and runs

 private:
  cudaStream_t stream_;
  int per_sample_ = 1;
  std::vector<CapturedGraph> graphs_;
  std::size_t next_ = 0;
};

// Holds a stream until the host opens it.
class Gate {
 public:
  explicit Gate(cudaStream_t stream);
  ~Gate();
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  void close();  // what is enqueued from here on waits; throws Error{device} when the driver refuses
  bool holds() const { return wait_value_ != nullptr; }
  void open() noexcept;

 private:
  cudaStream_t stream_;
  unsigned* flag_ = nullptr;  // pinned, seen by both
  unsigned round_ = 0;
  void* wait_value_ = nullptr;  // cuStreamWaitValue32; null: the driver has none, and nothing is held
};

}  // namespace chokepoint
