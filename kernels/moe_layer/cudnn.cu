// moe_layer with the experts' products by cuDNN's grouped matmul for mixtures of experts (9.19 or later), in bf16.
//
// Everything else is cuda_simple.cuh, with rows gathered before the first product. Paces the wires only. No engine of
// cuDNN 9.19 for it keeps to fewer SMs than the device has (CUDNN_ATTR_ENGINEHEUR_SM_COUNT_TARGET): with overlap its
// blocks are as many as ever, on the SMs that the wire leaves. Where a wire shares those, messages may start late.
#include "harness/base/error.hpp"
#include "kernels/common/cuda/cudnn_moe.hpp"
#include "kernels/moe_layer/grouped_product.hpp"

namespace chokepoint::moe {
namespace {

// Rows of bf16 are read 16 bytes at a time.
constexpr std::int64_t kRowMultiple = 8;

std::optional<std::string> out_of_reach(const Shape& shape, Dtype dtype) {
  if (auto reason = cudnn::missing()) return reason;
  for (const char* field : {"hidden", "intermediate"})
    if (shape[field] % kRowMultiple != 0)
      return std::string(field) + " is " + std::to_string(shape[field]) + ": cuDNN's grouped product wants a multiple of " +
             std::to_string(kRowMultiple);
  return layer_out_of_reach(shape, dtype);
}

class CudnnProduct final : public GroupedProduct {
 public:
  CudnnProduct(Device& device, const GemmTask& task)
      : product_(device, {.tokens = task.m, .experts = task.groups, .k = task.k, .n = task.n},
                 {.token = task.a, .weight = task.b, .first_token = task.group_begin, .output = task.c}) {}
  void enqueue(void* stream, int) const override { product_.enqueue(stream); }

 private:
  CudnnMoeGroupedMatmul product_;
};

const Register<Kernel> kernel{{
    .name = "cudnn",
    .operation = "moe_layer",
    .summary = "the layer of cuda_simple with the experts' products by cuDNN's grouped matmul",
    .device = "cuda",
    .dtypes = {Dtype::bf16},
    .paces = {Resource::link, Resource::network},
    .probes = false,
    .least_sm = 90,
    .unsupported = out_of_reach,
    .wire_multiprocessors = layer_wire_multiprocessors,
    .prepare = [](const Problem& problem, Device& device, const Pace& pace) -> std::unique_ptr<Launch> {
      return layer_with_products(
          dynamic_cast<const MoeProblem&>(problem), device, pace,
          {.make = [](Device& on, const GemmTask& task,
                      std::span<const std::int32_t>) -> std::unique_ptr<GroupedProduct> {
            return std::make_unique<CudnnProduct>(on, task);
          }});
    },
}};

}  // namespace
}  // namespace chokepoint::moe
