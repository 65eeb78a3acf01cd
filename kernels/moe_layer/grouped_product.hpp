// Who multiplies the rows of each local expert with that expert's weights? What the layer on a GPU asks of another.
//
// The layer of cuda_simple.cuh is run as it is, but for the two products of the routed experts: their rows are
// gathered into a dense array first, and the experts' results are bf16. A library paces neither its arithmetic nor its
// memory: the layer then charges the wires only, and gate and up are bf16.
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
  // Allocates nothing and does not wait. `stream` reaches that many multiprocessors, which may be fewer than the task
  // said: a cap may have been put on since.
  virtual void enqueue(void* stream, int multiprocessors) const = 0;
  // How it is computed, for the record; empty: nothing to say.
  virtual std::string remark() const { return ""; }
};

// `task` is in bf16, has rows in A without gather, and m > 0 of them; weights are [groups, n, k]. `group_begin` is the
// host's copy of task.group_begin. Workspace is not theirs; charges neither, unless there are gated products.
using MakeGroupedProduct = std::function<std::unique_ptr<GroupedProduct>(
    Device& device, const GemmTask& task, std::span<const std::int32_t> group_begin)>;

// Of a first product whose `c` is silu(g) * u, [rows, n / 2]: bf16, or with fp8 weights codes and their scales.
using MakeGatedProduct =
    std::function<std::unique_ptr<GroupedProduct>(Device& device, const GemmTask& task, float* c_scale)>;

struct LayerProducts {
  MakeGroupedProduct make = {};
  // Where there is one, products charge what their task says, so that all of the layer is charged, may be in fp8, and
  // those of shared experts are made too, as of one group.
  MakeGatedProduct make_gated = {};

  bool paced() const { return make == nullptr || make_gated != nullptr; }
};

// The layer with another's products; cuda_simple.cu has it.
std::unique_ptr<Launch> layer_with_products(const MoeProblem& problem, Device& device, const Pace& pace,
                                            const LayerProducts& products);

// Why the layer itself cannot be run, whoever multiplies.
std::optional<std::string> layer_out_of_reach(const Shape& shape, Dtype dtype);

// Those of the wire that runs beside the products, 0 where none does.
int layer_wire_multiprocessors(const Shape& shape);

}  // namespace chokepoint::moe
