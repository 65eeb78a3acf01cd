// tp_block on one GPU: two products between two rings of messages, all on one stream.
//
// The steps follow each other without overlap, as in a layer whose collectives are not hidden. Gate, up and h are
// kept in the operation's dtype (bf16 rounds them, as the tolerance allows), and the down product writes its partial
// sums straight into the output, where what arrives is added. Weights are read as stored, [n, k]. The products may
// be a library's (product.hpp).
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/common/cuda/activate.cuh"
#include "kernels/common/cuda/charge_share.cuh"
#include "kernels/common/cuda/device_array.hpp"
#include "kernels/common/cuda/gemm.hpp"
#include "kernels/common/cuda/launch.cuh"
#include "kernels/common/cuda/row_values.cuh"
#include "kernels/common/cuda/wire.hpp"
#include "kernels/tp_block/product.hpp"
#include "kernels/tp_block/tp_block.hpp"

namespace chokepoint::tp_block {

inline constexpr int kSettleThreads = 256;

// sums += arrived; bound: memory.
struct Settle {
  const void* arrived = nullptr;
  void* sums = nullptr;
  std::int64_t count = 0;
  double memory_bytes = 0.0;
  DevicePace pace = {};
};

template <class T, int kCount>
__global__ void __launch_bounds__(kSettleThreads) settle(Settle task) {
  const bool charges = threadIdx.x == 0;
  const BlockCharge charge(charges ? task.pace.memory : nullptr, task.memory_bytes, blockIdx.x, gridDim.x);
  const std::int64_t at = (std::int64_t{blockIdx.x} * kSettleThreads + threadIdx.x) * kCount;
  if (at < task.count) {
    float sums[kCount], arrived[kCount];
    load_values<kCount>(static_cast<const T*>(task.sums) + at, sums);
    load_values<kCount>(static_cast<const T*>(task.arrived) + at, arrived);
#pragma unroll
    for (int v = 0; v < kCount; ++v) sums[v] += arrived[v];
    store_values<kCount>(static_cast<T*>(task.sums) + at, sums);
  }
  if (charges) charge.wait();
}

// `sums` and `arrived` are aligned to 16 bytes when count * sizeof(T) is a multiple of 16.
template <class T>
void launch_settle(const Settle& task, void* stream) {
  constexpr int kVector = kValuesPer16Bytes<T>;
  const bool aligned = rows_are_aligned<T>(task.count);
  const std::int64_t per_block = kSettleThreads * (aligned ? kVector : 1);
  launch(aligned ? settle<T, kVector> : settle<T, 1>,
         dim3(static_cast<unsigned>((task.count + per_block - 1) / per_block)), dim3(kSettleThreads), 0, stream, task);
}

// The product of kernels/common/cuda/gemm.hpp.
class OurProduct final : public Product {
 public:
  explicit OurProduct(const GemmTask& task) : task_(task) {}
  void enqueue(void* stream) const override { cuda_gemm(task_, stream); }

 private:
  GemmTask task_;
};

class CudaSimpleLaunch final : public DeviceLaunch {
 public:
  // With `make`, the products are a library's, and nothing but the wires is charged.
  CudaSimpleLaunch(const TpBlockProblem& problem, Device& device, const Pace& pace,
                   const MakeProduct& make = {})
      : DeviceLaunch(device, Tensor("output", problem.output_dims(), problem.output_dtype(), "[tokens, hidden]")),
        sizes_(problem.sizes()),
        pace_(make ? wires_only(device_pace(pace)) : device_pace(pace)),
        x_(device, problem.x()),
        w_up_(device, problem.w_up()),
        w_down_(device, problem.w_down()),
        ring_in_(device, problem.ring_in()),
        gathered_(device, problem.x().bytes()),
        up_(device, sizes_.tokens * sizes_.up_rows() * bytes_of(sizes_.dtype)),
        h_(device, sizes_.tokens * sizes_.columns() * bytes_of(sizes_.dtype)),
        received_(device, sizes_.shard_bytes()),
        wire_(device) {
    // The rank's own shard, the first, never leaves its memory.
    device.upload(gathered_.as<void>(), problem.x().data(), static_cast<std::size_t>(sizes_.shard_bytes()));
    if (!make) allocate_workspace();
    up_product_ = make ? make(device, up_task()) : std::make_unique<OurProduct>(up_task());
    down_product_ = make ? make(device, down_task()) : std::make_unique<OurProduct>(down_task());
  }

  void run() override {
    all_gather();
    up_product_->enqueue(stream());
    launch_activate({.in = up_.as<void>(),
                     .out = h_.as<void>(),
                     .rows = sizes_.tokens,
                     .width = sizes_.columns(),
                     .gated = sizes_.gated},
                    sizes_.dtype, sizes_.dtype, stream());
    down_product_->enqueue(stream());
    reduce_scatter();
  }

  std::vector<std::pair<std::string, std::string>> remarks() const override {
    auto all = up_product_->remarks("up_");
    for (auto& remark : down_product_->remarks("down_")) all.push_back(std::move(remark));
    return all;
  }

 private:
  static DevicePace wires_only(DevicePace pace) {
    pace.compute = pace.memory = nullptr;
    return pace;
  }

  void allocate_workspace() {
    const std::int64_t bytes = std::max(gemm_workspace_bytes(up_task()), gemm_workspace_bytes(down_task()));
    workspace_ = {device(), bytes};
    if (bytes > 0) device().set_bytes(workspace_.as<void>(), 0, static_cast<std::size_t>(bytes));
  }

  // Shards of the peers, in the order in which they come round the ring. The up product charges them to memory.
  void all_gather() {
    for (std::int64_t step = 1; step < sizes_.tp; ++step) {
      const std::int64_t at = (sizes_.tp - step) * sizes_.shard_bytes();
      wire_.send(wire_piece(x_.as<std::byte>() + at, gathered_.as<std::byte>() + at, sizes_.shard_bytes(),
                            sizes_.wire()),
                 pace_, stream());
    }
  }

  // up [tokens, up_rows] = gathered [tokens, hidden] x w_up^T.
  GemmTask up_task() const {
    return {.dtype = sizes_.dtype,
            .m = sizes_.tokens,
            .n = sizes_.up_rows(),
            .k = sizes_.hidden,
            .a = gathered_.as<void>(),
            .b = w_up_.as<void>(),
            .c = up_.as<void>(),
            .c_dtype = sizes_.dtype,
            .workspace = workspace_.as<void>(),
            .workspace_bytes = workspace_.bytes(),
            .memory_bytes = static_cast<double>(gathered_.bytes() + w_up_.bytes()),
            .pace = pace_};
  }

  // Partial sums [tokens, hidden] = h [tokens, columns] x w_down^T. The chunk to which nothing is added is charged
  // here as output, the others when they settle.
  GemmTask down_task() const {
    return {.dtype = sizes_.dtype,
            .m = sizes_.tokens,
            .n = sizes_.hidden,
            .k = sizes_.columns(),
            .a = h_.as<void>(),
            .b = w_down_.as<void>(),
            .c = output_data<void>(),
            .c_dtype = sizes_.dtype,
            .workspace = workspace_.as<void>(),
            .workspace_bytes = workspace_.bytes(),
            .memory_bytes = static_cast<double>(w_down_.bytes() + sizes_.shard_bytes()),
            .pace = pace_};
  }

  void reduce_scatter() {
    const std::int64_t shard_bytes = sizes_.shard_bytes();
    for (std::int64_t step = 1; step < sizes_.tp; ++step) {
      WireTask message = wire_piece(ring_in_.as<std::byte>() + (step - 1) * shard_bytes, received_.as<void>(),
                                    shard_bytes, sizes_.wire());
      message.memory_bytes = static_cast<double>(shard_bytes);  // of ring_in
      wire_.send(message, pace_, stream());
      const Settle task{.arrived = received_.as<void>(),
                        .sums = output_data<std::byte>() + (sizes_.tp - 1 - step) * shard_bytes,
                        .count = sizes_.shard_tokens() * sizes_.hidden,
                        .memory_bytes = static_cast<double>(shard_bytes),
                        .pace = pace_};
      if (sizes_.dtype == Dtype::f32)
        launch_settle<float>(task, stream());
      else
        launch_settle<std::uint16_t>(task, stream());
    }
  }

  TpBlockSizes sizes_;
  DevicePace pace_;
  DeviceArray x_, w_up_, w_down_, ring_in_, gathered_, up_, h_, received_, workspace_;
  WireCopier wire_;
  std::unique_ptr<Product> up_product_, down_product_;
};

}  // namespace chokepoint::tp_block
