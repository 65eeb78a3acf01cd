#include "kernels/common/cuda/cudnn_moe.hpp"

#include <map>
#include <mutex>
#include <tuple>

namespace chokepoint {

struct CudnnMoeGroupedMatmul::Planned {
  CudnnMoeGraph tensors;  // its graph has moved into the plan
  std::shared_ptr<const cudnn::Plan> plan;
};


// Compiling takes about a second, and the harness prepares several launches of one problem: launches share plans.
std::shared_ptr<const CudnnMoeGroupedMatmul::Planned> CudnnMoeGroupedMatmul::planned(const CudnnMoeSizes& sizes) {
  static std::mutex mutex;
  static std::map<std::tuple<const void*, std::int64_t, std::int64_t, std::int64_t, std::int64_t>,
                  std::weak_ptr<const Planned>>
      made;
  const std::lock_guard lock(mutex);
  const auto target = cudnn::Target::current_device();
  auto& known = made[{target.get(), sizes.tokens, sizes.experts, sizes.k, sizes.n}];
  if (auto found = known.lock()) return found;
  auto moe = std::make_shared<Planned>();
  moe->tensors = cudnn_moe_graph(sizes);
  moe->plan = std::make_shared<cudnn::Plan>(std::move(moe->tensors.graph), target);
  known = moe;
  return moe;
}

CudnnMoeGraph cudnn_moe_graph(const CudnnMoeSizes& sizes) {
  const std::int64_t tokens = sizes.tokens, experts = sizes.experts, k = sizes.k, n = sizes.n;
  CudnnMoeGraph moe;
  moe.token = moe.graph.array(CUDNN_DATA_BFLOAT16, {1, tokens, k}, {tokens * k, k, 1});
  moe.weight = moe.graph.array(CUDNN_DATA_BFLOAT16, {experts, k, n}, {k * n, 1, k});
  moe.first_token = moe.graph.array(CUDNN_DATA_INT32, {experts, 1, 1}, {1, 1, 1});
  moe.output = moe.graph.array(CUDNN_DATA_BFLOAT16, {1, tokens, n}, {tokens * n, n, 1});
  moe.graph.operation(
      CUDNN_BACKEND_OPERATION_MOE_GROUPED_MATMUL_DESCRIPTOR, "a grouped product",
      {{CUDNN_ATTR_OPERATION_MOE_GROUPED_MATMUL_TOKEN_DESC, moe.token},
       {CUDNN_ATTR_OPERATION_MOE_GROUPED_MATMUL_WEIGHT_DESC, moe.weight},
       {CUDNN_ATTR_OPERATION_MOE_GROUPED_MATMUL_FIRST_TOKEN_OFFSET_DESC, moe.first_token},
       {CUDNN_ATTR_OPERATION_MOE_GROUPED_MATMUL_OUTPUT_DESC, moe.output}},
      [](cudnn::Descriptor& operation) {
        operation.set(CUDNN_ATTR_OPERATION_MOE_GROUPED_MATMUL_MODE, CUDNN_MOE_GROUPED_MATMUL_MODE_NONE)
            .set(CUDNN_ATTR_OPERATION_MOE_GROUPED_MATMUL_MATH_PREC, CUDNN_DATA_FLOAT);
      });
  return moe;
}

CudnnMoeGroupedMatmul::CudnnMoeGroupedMatmul(Device& device, const CudnnMoeSizes& sizes,
                                             const Memory& memory) {
  planned_ = planned(sizes);
  const CudnnMoeGraph& moe = planned_->tensors;
  const std::shared_ptr<const cudnn::Plan>& plan = planned_->plan;
  if (plan->workspace_bytes() > 0) workspace_ = DeviceArray(device, plan->workspace_bytes());
  // The API takes no const pointers; inputs are only read.
  execution_ = std::make_unique<cudnn::Execution>(
      plan,
      std::vector<cudnn::Execution::Binding>{{moe.token, const_cast<void*>(memory.token)},
                                             {moe.weight, const_cast<void*>(memory.weight)},
                                             {moe.first_token, const_cast<std::int32_t*>(memory.first_token)},
                                             {moe.output, memory.output}},
      workspace_.as<void>());
}

}  // namespace chokepoint
