// moe_layer with the experts' products by cuBLAS's grouped batched gemm, in bf16 with sums in f32.
//
// Everything else is cuda_simple.cuh, with rows gathered before the first product. Paces the wires only. Sizes of the
// groups are the exchange plan's, given from the host. cuBLAS is told how many SMs there are for it; whether its kernels
// keep to that where a wire shares them is theirs.
#include <cuda_runtime.h>

#include <map>
#include <mutex>

#include "kernels/common/cuda/device_array.hpp"
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

// 0 is the library's word for all of them.
int all_or(int multiprocessors, const Device& device) {
  return multiprocessors < device.facts().workers ? multiprocessors : 0;
}

template <class Pointer>
DeviceArray uploaded_pointers(Device& device, const std::vector<Pointer>& pointers) {
  return {device, pointers.data(), static_cast<std::int64_t>(pointers.size() * sizeof(Pointer))};
}

class CublasProduct final : public GroupedProduct {
 public:
  CublasProduct(Device& device, CublasGroups groups, int multiprocessors, DeviceArray workspace)
      : groups_(std::move(groups)),
        multiprocessors_(multiprocessors),
        a_(uploaded_pointers(device, groups_.a)),
        b_(uploaded_pointers(device, groups_.b)),
        c_(uploaded_pointers(device, groups_.c)),
        workspace_(std::move(workspace)),
        handle_(handle()) {}

  void enqueue(void* stream, int) const override {
    check_cublas(cublas().set_stream(handle_, static_cast<cudaStream_t>(stream)), "choosing a stream");
    // A new stream takes the workspace away.
    check_cublas(cublas().set_workspace(handle_, workspace_.as<void>(), static_cast<std::size_t>(workspace_.bytes())),
                 "giving it a workspace");
    check_cublas(cublas().set_multiprocessors(handle_, multiprocessors_), "saying how many multiprocessors there are");
    const CublasGroups& g = groups_;
    check_cublas(cublas().multiply(handle_, g.a_operation.data(), g.b_operation.data(), g.m.data(), g.n.data(),
                                   g.k.data(), g.alpha.data(), a_.as<const void*>(), CUDA_R_16BF, g.a_stride.data(),
                                   b_.as<const void*>(), CUDA_R_16BF, g.b_stride.data(), g.beta.data(),
                                   c_.as<void*>(), CUDA_R_16BF, g.c_stride.data(), g.count(), g.size.data(),
                                   CUBLAS_COMPUTE_32F),
                 "enqueuing a grouped product");
  }

 private:
  CublasGroups groups_;
  int multiprocessors_;
  DeviceArray a_, b_, c_, workspace_;
  cublasHandle_t handle_;
};

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
      const DeviceArray workspace(device, kWorkspaceBytes);  // the products of a launch follow each other
      return layer_with_products(
          dynamic_cast<const MoeProblem&>(problem), device, pace,
          {.make = [&](Device& on, const GemmTask& task,
                       std::span<const std::int32_t> group_begin) -> std::unique_ptr<GroupedProduct> {
            return std::make_unique<CublasProduct>(on, cublas_groups(task, group_begin), all_or(task.multiprocessors, on),
                                                   workspace);
          }});
    },
}};

}  // namespace
}  // namespace chokepoint::moe
