// attention by cuDNN: its fused kernels, found at run time. bf16, prefill and paged decode; paces nothing, so
// it runs uncapped. Needs cuDNN 9.19 or later; which head sizes it takes depends on the GPU (Hopper: up to
// 256, and MLA). No engine of cuDNN 9.19 for it keeps to fewer SMs than the device has
// (CUDNN_ATTR_ENGINEHEUR_SM_COUNT_TARGET): under a compute cap its blocks are as many as ever, on fewer SMs.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "harness/base/error.hpp"
#include "harness/base/library.hpp"
#include "harness/base/registry.hpp"
#include "kernels/attention/attention.hpp"
#include "kernels/attention/cudnn_sdpa.hpp"
#include "kernels/common/cuda/device_array.hpp"

namespace chokepoint {
namespace {

// A graph's tensors outlive the graph in their numbers: the plan owns the graph.
struct PlannedSdpa {
  SdpaGraph tensors;  // its graph has moved into the plan
  std::shared_ptr<const cudnn::Plan> plan;
};

// Compiling takes about a second, and the harness prepares several launches of one problem: launches share
// plans.
std::shared_ptr<const PlannedSdpa> planned(const AttentionSizes& sizes) {
  static std::mutex mutex;
  static std::map<std::string, std::weak_ptr<const PlannedSdpa>> made;
  const std::lock_guard lock(mutex);
  const auto target = cudnn::Target::current_device();
  const bool ragged = std::any_of(sizes.context_length.begin(), sizes.context_length.end(),
                                  [&](std::int64_t length) { return length != sizes.context; });
  const std::string key = fmt::format(
      "{} {} {} {} {} {} {} {} {} {} {} {} {} {}", static_cast<const void*>(target.get()), sizes.decode,
      sizes.shared_value, sizes.causal, ragged, sizes.batch, sizes.heads_q, sizes.heads_kv, sizes.qk_dim,
      sizes.v_dim, sizes.seq_q, sizes.context, sizes.page_size, sizes.scale);
  if (auto found = made[key].lock()) return found;
  auto sdpa = std::make_shared<PlannedSdpa>();
  sdpa->tensors = sdpa_graph(sizes);
  sdpa->plan = std::make_shared<cudnn::Plan>(std::move(sdpa->tensors.graph), target);
  made[key] = sdpa;
  return sdpa;
}

Tensor query_lengths(const AttentionSizes& sizes) {
  Tensor lengths("query_lengths", {sizes.batch}, Dtype::i32, "[batch]: queries of each sequence");
  const auto each = lengths.as<std::int32_t>();
  std::fill(each.begin(), each.end(), static_cast<std::int32_t>(sizes.seq_q));
  return lengths;
}

class CudnnLaunch final : public DeviceLaunch {
 public:
  CudnnLaunch(const AttentionProblem& problem, Device& device)
      : DeviceLaunch(device, Tensor("output", problem.output_dims(), problem.dtype)),
        planned_(planned(problem.sizes)),
        q_(device, problem.q),
        keys_(device, problem.keys()) {
    const AttentionSizes& sizes = problem.sizes;
    if (!sizes.decode) values_ = DeviceArray(device, problem.v);
    if (planned_->tensors.page_table) page_table_ = DeviceArray(device, problem.block_table);
    if (planned_->tensors.lengths_kv) {
      lengths_kv_ = DeviceArray(device, problem.context_lengths);
      lengths_q_ = DeviceArray(device, query_lengths(sizes));
    }
    if (planned_->plan->workspace_bytes() > 0)
      workspace_ = DeviceArray(device, planned_->plan->workspace_bytes());
    execution_.emplace(planned_->plan, bindings(problem), workspace_.as<void>());
  }

  void run() override { execution_->enqueue(stream()); }

 private:
  std::vector<cudnn::Execution::Binding> bindings(const AttentionProblem& problem) const {
    const SdpaGraph& tensors = planned_->tensors;
    std::uint16_t* const values =
        problem.sizes.decode ? keys_.as<std::uint16_t>() + problem.value_at(0, 0, 0) - problem.key_at(0, 0, 0)
                             : values_.as<std::uint16_t>();
    std::vector<cudnn::Execution::Binding> bound = {{tensors.q, q_.as<void>()},
                                                    {tensors.k, keys_.as<void>()},
                                                    {tensors.v, values},
                                                    {tensors.output, output_data<void>()}};
    if (tensors.page_table) bound.push_back({*tensors.page_table, page_table_.as<void>()});
    if (tensors.lengths_q) bound.push_back({*tensors.lengths_q, lengths_q_.as<void>()});
    if (tensors.lengths_kv) bound.push_back({*tensors.lengths_kv, lengths_kv_.as<void>()});
    return bound;
  }

  std::shared_ptr<const PlannedSdpa> planned_;
  DeviceArray q_, keys_, values_, page_table_, lengths_q_, lengths_kv_, workspace_;
  std::optional<cudnn::Execution> execution_;
};

// The rest is for cuDNN to say, when a plan is made.
std::optional<std::string> unsupported(const Shape& shape, Dtype dtype) {
  if (dtype != Dtype::bf16) return "cuDNN's fused attention is used with bf16 only";
  const std::int64_t qk_dim = shape["qk_dim"], v_dim = shape["v_dim"];
  if (qk_dim % 8 != 0 || v_dim % 8 != 0)
    return fmt::format("qk_dim is {} and v_dim {}; cuDNN reads rows of multiples of 8", qk_dim, v_dim);
  const bool mla_decode = shape.word("mode") == "decode" && shape.word("variant") == "mla";
  if (mla_decode && (qk_dim != 576 || v_dim != 512))
    return fmt::format("qk_dim is {} and v_dim {}; cuDNN's absorbed MLA is 576 and 512", qk_dim, v_dim);
  if (!mla_decode && std::max(qk_dim, v_dim) > 256)
    return fmt::format("qk_dim is {} and v_dim {}; cuDNN's limit is 256", qk_dim, v_dim);
  return cudnn::missing();
}

const Register<OptionalLibrary> library{{.name = "cudnn", .describe = cudnn::description}};

const Register<Kernel> kernel{{
    .name = "cudnn",
    .operation = "attention",
    .summary = "fused attention of cuDNN, found at run time",
    .device = "cuda",
    .dtypes = {Dtype::bf16},
    .least_sm = 80,
    .unsupported = unsupported,
    .prepare = [](const Problem& problem, Device& device, const Pace&) -> std::unique_ptr<Launch> {
      return std::make_unique<CudnnLaunch>(attention_problem(problem), device);
    },
}};

}  // namespace
}  // namespace chokepoint
