// cuda_simple: attention on any GPU from sm_80 on, written with nothing that sm_80 lacks.
//
// bf16 on tensor cores (mma.sync): simple_rows.cuh for keys and values that lie apart, simple_latent.cuh for
// the cached rows of absorbed MLA; f32 on CUDA cores: simple_plain.cuh. Tiles, shared memory and splits of
// the keys: simple_plan.hpp. Registers (ptxas 13.0, sm_90a, no spills): 201 to 255 in tiles of many rows, 94
// to 214 in tiles of few, 234 and 222 for MLA, 108 in f32. Meets: compute in prefill, memory in decode. Not
// supported: see simple_limit.
#include <cuda_runtime.h>

#include <string>
#include <vector>

#include "harness/base/error.hpp"
#include "kernels/attention/cuda_simple.cuh"
#include "kernels/common/cuda/device_array.hpp"
#include "kernels/common/cuda/launch.cuh"

namespace chokepoint {
namespace {

int attribute(cudaDeviceAttr which) {
  int device = 0, value = 0;
  cudaError_t code = cudaGetDevice(&device);
  if (code == cudaSuccess) code = cudaDeviceGetAttribute(&value, which, device);
  if (code != cudaSuccess)
    throw Error(Fault::device,
                "asking for attribute " + std::to_string(which) + " of the GPU: " + cudaGetErrorString(code),
                "`chokepoint doctor` says what the driver can do");
  return value;
}

SimpleMachine machine() {
  return {.multiprocessors = attribute(cudaDevAttrMultiProcessorCount),
          .shared_bytes_per_block = attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin),
          .shared_bytes_per_multiprocessor = attribute(cudaDevAttrMaxSharedMemoryPerMultiprocessor)};
}

std::vector<std::int32_t> lengths_of(const AttentionSizes& sizes) {
  return {sizes.context_length.begin(), sizes.context_length.end()};
}

// T is the storage type.
template <class T>
class SimpleLaunch final : public DeviceLaunch {
 public:
  SimpleLaunch(const AttentionProblem& problem, Device& device, const Pace& pace)
      : DeviceLaunch(device, Tensor("output", problem.output_dims(), problem.dtype)),
        plan_(plan_simple(problem.sizes, problem.dtype, machine())),
        q_(device, problem.q),
        keys_(device, problem.keys()),
        partial_(device, plan_.partial_floats(problem.sizes) * static_cast<std::int64_t>(sizeof(float))) {
    const AttentionSizes& sizes = problem.sizes;
    const std::vector<std::int32_t> lengths = lengths_of(sizes);
    lengths_ =
        DeviceArray(device, lengths.data(), static_cast<std::int64_t>(lengths.size() * sizeof(std::int32_t)));
    a_ = simple_arguments<T>(sizes, plan_);
    a_.q = q_.as<T>();
    a_.keys = a_.values = keys_.as<T>();
    if (sizes.decode) {
      block_table_ = DeviceArray(device, problem.block_table);
      a_.block_table = block_table_.as<int>();
    } else {
      values_ = DeviceArray(device, problem.v);
      a_.values = values_.as<T>();
    }
    a_.context_lengths = lengths_.as<int>();
    a_.output = output_data<T>();
    rows_ = sizes.batch * sizes.seq_q * sizes.heads_q;
    if (plan_.splits > 1) {
      a_.partial = partial_.as<float>();
      a_.partial_log = a_.partial + rows_ * plan_.splits * sizes.v_dim;
    }
    a_.pace = device_pace(pace);
  }

  void run() override {
    with_simple_kernel<T>(plan_, [&](auto* kernel) {
      launch(kernel, dim3(static_cast<unsigned>(plan_.blocks)), dim3(static_cast<unsigned>(plan_.threads)),
             static_cast<std::size_t>(plan_.shared_bytes), stream(), a_);
    });
    if (plan_.splits > 1)
      launch(&merge_splits<T>, dim3(static_cast<unsigned>(rows_)), dim3(kMergeThreads), 0, stream(), a_);
  }

 private:
  SimplePlan plan_;
  DeviceArray q_, keys_, values_, block_table_, lengths_, partial_;
  SimpleArguments<T> a_;
  std::int64_t rows_ = 0;  // of the output
};

const Register<Kernel> kernel{{
    .name = "cuda_simple",
    .operation = "attention",
    .summary = "flash attention with mma.sync and cp.async: prefill, paged decode with splits, absorbed MLA",
    .device = "cuda",
    .dtypes = {Dtype::f32, Dtype::bf16},
    .paces = {Resource::compute, Resource::memory},
    .least_sm = 80,
    .unsupported = [](const Shape& shape,
                      Dtype dtype) { return simple_limit(attention_sizes(shape), dtype); },
    .prepare = [](const Problem& problem, Device& device, const Pace& pace) -> std::unique_ptr<Launch> {
      const AttentionProblem& typed = attention_problem(problem);
      if (typed.dtype == Dtype::bf16)
        return std::make_unique<SimpleLaunch<std::uint16_t>>(typed, device, pace);
      return std::make_unique<SimpleLaunch<float>>(typed, device, pace);
    },
}};

}  // namespace
}  // namespace chokepoint
