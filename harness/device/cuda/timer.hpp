// How long does a launch take on a GPU? Events around captured graphs, with all of a block enqueued before any
// of it starts, so that the host is never waited for.
#pragma once

#include <cuda_runtime.h>

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "harness/device/copy_turns.hpp"
#include "harness/device/cuda/captured_graph.hpp"
#include "harness/device/device.hpp"
#include "harness/device/graph_plan.hpp"

namespace chokepoint {

// Launches captured into graphs, which several timers may take in turn.
struct TimedGraphs {
  TimedGraphs(const std::vector<std::function<void()>>& launches, cudaStream_t stream);

  cudaStream_t stream;  // where they were captured, and run
  int per_sample = 1;
  std::vector<CapturedGraph> graphs;
  CopyTurns turns;
};

class CudaGraphTimer final : public LaunchTimer {
 public:
  explicit CudaGraphTimer(std::shared_ptr<TimedGraphs> graphs) : graphs_(std::move(graphs)) { graphs_->turns.join(); }

  int launches_per_sample() const override { return graphs_->per_sample; }
  void start_over() override { graphs_->turns.start_over(); }
  std::unique_ptr<LaunchTimer> beside() override { return std::make_unique<CudaGraphTimer>(graphs_); }
  void enqueue() { graphs_->graphs[graphs_->turns.next()].launch(); }
  cudaStream_t stream() const { return graphs_->stream; }

 private:
  std::shared_ptr<TimedGraphs> graphs_;
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
