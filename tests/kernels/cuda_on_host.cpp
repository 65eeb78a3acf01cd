// The matrix product and the wire of kernels/common/cuda, for launches that run on the emulator.
#include "tests/cuda_emulator/emulator.hpp"
// The emulator comes first.
#include "kernels/common/cuda/gemm_pick.cuh"
#include "kernels/common/cuda/launch.cuh"
#include "kernels/common/cuda/wire.cu"

namespace chokepoint {
namespace {

// Few multiprocessors, so that blocks take several tiles; the shared memory of an H100.
GemmMachine machine_for(const GemmTask& task) {
  return {.multiprocessors = task.multiprocessors == 1 ? 1 : 2, .shared_bytes = 232448};
}

}  // namespace

std::int64_t gemm_workspace_bytes(const GemmTask& task) {
  return gemm_plan(task, machine_for(task), GemmCuts::as_wanted).workspace_bytes;
}

void cuda_gemm(const GemmTask& task, void* stream) {
  const GemmPlan plan = gemm_plan(task, machine_for(task), GemmCuts::as_workspace_allows);
  if (plan.grid == 0) return;
  launch(gemm_entry(task.dtype, task.b_layout, plan), dim3(static_cast<unsigned>(plan.grid)),
         dim3(static_cast<unsigned>(plan.tile().threads())), static_cast<std::size_t>(plan.shared_bytes), stream,
         gemm_args(task, plan));
}

}  // namespace chokepoint
