// moe_layer with the experts' products by cuBLAS's grouped batched gemm, in bf16 with sums in f32.
//
// Everything else is cuda_simple.cuh, with rows gathered before the first product. Paces the wires only. Sizes of the
// groups are the exchange plan's, given from the host. cuBLAS is told how many SMs each launch reaches, less those of a
// wire that shares them; whether its kernels keep to that is theirs.
#include <cuda_runtime.h>

#include <map>
#include <mutex>

#include "kernels/common/cuda/shared_workspace.hpp"
#include "kernels/moe_layer/cublas_groups.hpp"
#include "kernels/moe_layer/grouped_product.hpp"

namespace chokepoint::moe {
namespace {

constexpr std::int64_t kWorkspaceBytes = std::int64_t{64} << 20;  // cuBLAS documentation: 32 MiB for Hopper at least

std::optional<std::string> out_of_reach(const Shape& shape, Dtype dtype) {
  if (!cublas().missing.empty()) return cublas().missing;
  return layer_out_of_reach(shape, dtype);
}

// One handle per GPU, for as long as the process lives.
cublasHandle_t handle() {
  static std::mutex mutex;
  static std::map<int, cublasHandle_t> handles;
  const std::scoped_lock lock(mutex);
  int device = 0;
  if (const cudaError_t code = cudaGetDevice(&device); code != cudaSuccess)
    throw Error(Fault::device, std::string("moe_layer/cublas: asking for the current device: ") + cudaGetErrorString(code),
                "`chokepoint doctor` shows the state of the GPU");
  cublasHandle_t& made = handles[device];
  if (made == nullptr) check_cublas(cublas().create(&made), "opening the library");
  return made;
}

const Register<Kernel> kernel{{
    .name = "cublas",
    .operation = "moe_layer",
    .summary = "the layer of cuda_simple with the experts' products by cuBLAS's grouped batched gemm",
    .device = "cuda",
    .dtypes = {Dtype::bf16},
    .paces = {Resource::link, Resource::network},
    .probes = false,
    .least_sm = 80,
    .unsupported = out_of_reach,
    .wire_multiprocessors = layer_wire_multiprocessors,
    .prepare = [](const Problem& problem, Device& device, const Pace& pace) -> std::unique_ptr<Launch> {
      const DeviceArray workspace = shared_workspace(device, device.stream(Lane::compute), kWorkspaceBytes);
      return layer_with_products(
          dynamic_cast<const MoeProblem&>(problem), device, pace,
          {.make = [&](Device& on, const GemmTask& task,
                       std::span<const std::int32_t> group_begin) -> std::unique_ptr<GroupedProduct> {
            return std::make_unique<CublasProduct>(on, cublas(), handle(), cublas_groups(task, group_begin), workspace);
          }});
    },
}};

}  // namespace
}  // namespace chokepoint::moe
