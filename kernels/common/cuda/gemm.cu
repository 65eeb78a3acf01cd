// How does a product get onto the GPU? Plan, pick the kernel, enqueue.
#include <cuda_runtime.h>

#include <algorithm>
#include <mutex>
#include <string>
#include <vector>

#include "harness/base/error.hpp"
#include "kernels/common/cuda/gemm.hpp"
#include "kernels/common/cuda/gemm_pick.cuh"
#include "kernels/common/cuda/launch.cuh"

namespace chokepoint {
namespace {

void check(cudaError_t code, const char* step) {
  if (code != cudaSuccess)
    throw Error(Fault::device, std::string("cuda_gemm: ") + step + ": " + cudaGetErrorString(code),
                "`chokepoint doctor` shows the state of the GPU");
}

// Asked once per GPU: products are enqueued often.
GemmMachine current_machine() {
  static std::mutex mutex;
  static std::vector<GemmMachine> known;
  int device = 0;
  check(cudaGetDevice(&device), "asking for the current device");
  const std::scoped_lock lock(mutex);
  const auto index = static_cast<std::size_t>(device);
  if (known.size() <= index) known.resize(index + 1, GemmMachine{.multiprocessors = 0});
  GemmMachine& machine = known[index];
  if (machine.multiprocessors == 0) {
    int multiprocessors = 0, shared_bytes = 0;
    check(cudaDeviceGetAttribute(&shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device),
          "asking for its shared memory");
    check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device),
          "asking for its multiprocessors");
    machine = {.multiprocessors = multiprocessors, .shared_bytes = shared_bytes};
  }
  return machine;
}

GemmMachine machine_for(const GemmTask& task) {
  GemmMachine machine = current_machine();
  if (task.multiprocessors > 0) machine.multiprocessors = std::min(machine.multiprocessors, task.multiprocessors);
  return machine;
}

}  // namespace

std::int64_t gemm_workspace_bytes(const GemmTask& task) {
  return gemm_plan(task, machine_for(task), GemmCuts::as_wanted).workspace_bytes;
}

void cuda_gemm(const GemmTask& task, void* stream) {
  const GemmPlan plan = gemm_plan(task, machine_for(task), GemmCuts::as_workspace_allows);
  if (plan.grid == 0) return;
  launch(gemm_entry(task.dtype, task.b_layout, plan),
         {.grid = dim3(static_cast<unsigned>(plan.grid)),
          .block = dim3(static_cast<unsigned>(plan.tile().threads())),
          .shared_bytes = static_cast<std::size_t>(plan.shared_bytes)},
         stream, gemm_args(task, plan));
}

}  // namespace chokepoint
