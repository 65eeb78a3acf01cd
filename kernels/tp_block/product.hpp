// Who multiplies with this rank's weights? What the block on a GPU asks of our products, and of a library's.
//
// The block of cuda_simple.cuh is the same with either. With a library's it charges the wires only, since a
// library paces neither its arithmetic nor its memory.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/common/cuda/gemm.hpp"
#include "kernels/tp_block/tp_block.hpp"

namespace chokepoint::tp_block {

// One product, bound to its memory.
class Product {
 public:
  virtual ~Product() = default;
  // Allocates nothing and does not wait.
  virtual void enqueue(void* stream) const = 0;
  // What the record should say about it; `which` ("up_", "down_") goes into the names.
  virtual std::vector<std::pair<std::string, std::string>> remarks(std::string_view) const { return {}; }
};

// A and B [n, k] are dense, of the dtype of C. Charges and workspace are not the library's.
using MakeProduct = std::function<std::unique_ptr<Product>(Device& device, const GemmTask& task)>;

// The block with another's products; cuda_simple.cu has it.
std::unique_ptr<Launch> block_with_products(const TpBlockProblem& problem, Device& device, const Pace& pace,
                                            const MakeProduct& make);

}  // namespace chokepoint::tp_block
