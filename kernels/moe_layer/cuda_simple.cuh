// moe_layer on one GPU: what runs in what order, on which stream.
//
// Per micro-batch: gate (and fp8: quantised rows) | dispatch over network, then link | grouped product, SwiGLU,
// grouped product, sums per rank | combine over link, sums per node, combine over network | shared experts | sums
// per token. Each step has a file: cuda_route, cuda_exchange, cuda_experts, cuda_sums; what they work on is cuda_batch.
//
// With overlap, the exchange of one micro-batch runs on the stream for wires while the other computes:
//   wires    dispatch A | dispatch B | combine A | combine B
//   compute  gate A  gate B  shared A | experts A | shared B  experts B | finish A | finish B
// Both have SMs of their own where the device can divide them; else the products leave as many free as a wire has
// blocks, for all of the run.
#pragma once

#include <memory>
#include <vector>

#include "kernels/moe_layer/cuda_batch.cuh"
#include "kernels/moe_layer/cuda_exchange.cuh"
#include "kernels/moe_layer/cuda_experts.cuh"
#include "kernels/moe_layer/cuda_route.cuh"
#include "kernels/moe_layer/cuda_sums.cuh"

namespace chokepoint::moe {

inline DevicePace wires_only(DevicePace pace) {
  pace.compute = pace.memory = nullptr;
  return pace;
}

class CudaSimpleLaunch final : public DeviceLaunch {
 public:
  // Without `products`, they are those of gemm.hpp.
  CudaSimpleLaunch(const MoeProblem& problem, Device& device, const Pace& pace, const LayerProducts& products = {})
      : DeviceLaunch(device, Tensor("output", problem.output_dims(), problem.output_dtype())),
        layer_{.device = device,
               .spec = problem.spec(),
               .pace = products.paced() ? device_pace(pace) : wires_only(device_pace(pace)),
               .others_products = products.make != nullptr,
               .gated_products = products.make_gated != nullptr},
        router_(layer_, problem),
        experts_(layer_, problem),
        wires_(layer_) {
    for (const TokenRange& tokens : layer_.spec.micro_batches()) batches_.push_back(make_batch(layer_, problem, tokens));
    router_.allocate_scratch(batches_);
    experts_.allocate_scratch(batches_);
    if (products.make)
      for (const auto& batch : batches_) experts_.make_products(*batch, products);
  }

  std::vector<std::pair<std::string, std::string>> remarks() const override {
    std::vector<std::pair<std::string, std::string>> all;
    const auto add = [&](const char* name, const std::unique_ptr<GroupedProduct>& product) {
      if (product == nullptr) return;
      if (std::string remark = product->remark(); !remark.empty()) all.emplace_back(name, std::move(remark));
    };
    const DeviceBatch& batch = *batches_.front();
    add("gate_and_up", batch.routed_products.up);
    add("down", batch.routed_products.down);
    add("shared_gate_and_up", batch.shared_products.up);
    add("shared_down", batch.shared_products.down);
    return all;
  }

  void run() override {
    if (batches_.size() == 2) return run_overlapped(*batches_[0], *batches_[1]);
    DeviceBatch& batch = *batches_.front();
    void* const all = stream();
    router_.route(batch, all);
    wires_.fetch(batch, all);
    compute_experts(batch, all);
    wires_.send_back(batch, all);
    experts_.compute_shared(batch, all);
    finish(batch, all);
  }

 private:
  void run_overlapped(DeviceBatch& a, DeviceBatch& b) {
    void* const compute = stream(Lane::compute);
    void* const wires = stream(Lane::wire);
    router_.route(a, compute);
    hand_over(a.routed, compute, wires);
    wires_.fetch(a, wires);
    a.arrived.record(wires);
    router_.route(b, compute);
    hand_over(b.routed, compute, wires);
    wires_.fetch(b, wires);
    b.arrived.record(wires);
    experts_.compute_shared(a, compute);
    a.arrived.hold(compute);
    compute_experts(a, compute);
    hand_over(a.computed, compute, wires);
    wires_.send_back(a, wires);
    a.came_back.record(wires);
    experts_.compute_shared(b, compute);
    b.arrived.hold(compute);
    compute_experts(b, compute);
    hand_over(b.computed, compute, wires);
    wires_.send_back(b, wires);
    b.came_back.record(wires);
    a.came_back.hold(compute);
    finish(a, compute);
    b.came_back.hold(compute);
    finish(b, compute);
  }

  static void hand_over(StreamEvent& event, void* from, void* to) {
    event.record(from);
    event.hold(to);
  }

  void compute_experts(const DeviceBatch& batch, void* on) const {
    experts_.compute_routed(batch, on);
    add_up(layer_, batch, batch.to_link, batch.link_out.as<void>(), on);
  }

  void finish(const DeviceBatch& batch, void* on) const { finish_tokens(layer_, batch, output_data<std::byte>(), on); }

  DeviceLayer layer_;
  Router router_;
  Experts experts_;
  Wires wires_;
  std::vector<std::unique_ptr<DeviceBatch>> batches_;
};

}  // namespace chokepoint::moe
