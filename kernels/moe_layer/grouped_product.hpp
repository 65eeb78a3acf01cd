// Who multiplies the rows of each local expert with that expert's weights? What the layer on a GPU asks of a library.
//
// The layer of cuda_simple.cuh is run as it is, but for the two products of the routed experts: their rows are
// gathered into a dense array first, and gate, up and the experts' results are bf16. It then charges the wires
// only, since a library paces neither its arithmetic nor its memory.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "kernels/common/cuda/gemm.hpp"
#include "kernels/moe_layer/moe_layer.hpp"

namespace chokepoint::moe {

// One grouped product, bound to its memory.
class GroupedProduct {
 public:
  virtual ~GroupedProduct() = default;
  // Allocates nothing and does not wait.
  virtual void enqueue(void* stream) const = 0;
};

// `task` is in bf16, has rows in A without gather, and m > 0 of them; weights are [groups, n, k]. `group_begin` is the
// host's copy of task.group_begin. Charges and workspace are not the library's.
using MakeGroupedProduct = std::function<std::unique_ptr<GroupedProduct>(
    Device& device, const GemmTask& task, std::span<const std::int32_t> group_begin)>;

// The layer with another's products; cuda_simple.cu has it. bf16 only.
std::unique_ptr<Launch> layer_with_products(const MoeProblem& problem, Device& device, const Pace& pace,
                                            const MakeGroupedProduct& make);

// Why the layer itself cannot be run, whoever multiplies.
std::optional<std::string> layer_out_of_reach(const Shape& shape, Dtype dtype);

// Those of the wire that runs beside the products, 0 where none does.
int layer_wire_multiprocessors(const Shape& shape);

}  // namespace chokepoint::moe
