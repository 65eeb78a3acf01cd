// How does what is enqueued become one thing that can be launched again? Captured from a stream, and from those that its
// events lead to. Each kernel keeps the multiprocessors of its stream, whatever stream the graph is launched on.
#pragma once

#include <cuda_runtime.h>

#include <functional>
#include <utility>

#include "harness/device/cuda/check.hpp"

namespace chokepoint {

class CapturedGraph {
 public:
  // `enqueue` ends with everything joined to `stream`.
  CapturedGraph(cudaStream_t stream, const std::function<void()>& enqueue) : stream_(stream) {
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
    cudaGraph_t graph = nullptr;
    try {
      enqueue();
    } catch (...) {
      cudaStreamEndCapture(stream, &graph);
      if (graph != nullptr) cudaGraphDestroy(graph);
      throw;
    }
    check(cudaStreamEndCapture(stream, &graph));
    const cudaError_t made = cudaGraphInstantiate(&executable_, graph, 0);
    cudaGraphDestroy(graph);
    check(made);
  }
  ~CapturedGraph() {
    if (executable_ != nullptr) cudaGraphExecDestroy(executable_);
  }
  CapturedGraph(CapturedGraph&& other) noexcept
      : stream_(other.stream_), executable_(std::exchange(other.executable_, nullptr)) {}
  CapturedGraph& operator=(CapturedGraph&&) = delete;

  void upload() const { check(cudaGraphUpload(executable_, stream_)); }
  void launch() const { check(cudaGraphLaunch(executable_, stream_)); }

 private:
  cudaStream_t stream_;
  cudaGraphExec_t executable_ = nullptr;
};

}  // namespace chokepoint
