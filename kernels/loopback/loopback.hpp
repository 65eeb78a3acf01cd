// What is one loopback problem? So many bytes over one wire, in so many messages, one after the other.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/common/loopback.hpp"
#include "kernels/kernel.hpp"

namespace chokepoint {

class LoopbackProblem final : public Problem {
 public:
  LoopbackProblem(std::int64_t bytes, Wire wire, std::int64_t messages, const InputSpec& inputs);

  std::unique_ptr<Problem> clone() const override { return std::make_unique<LoopbackProblem>(*this); }
  Work work() const override;
  std::vector<const Tensor*> inputs() const override { return {&sent_}; }
  std::vector<std::int64_t> output_dims() const override { return {sent_.count()}; }
  Dtype output_dtype() const override { return Dtype::f32; }
  std::vector<double> reference(std::span<const std::int64_t> rows) const override;
  double tolerance() const override { return 0.0; }  // what arrives is what was sent

  Wire wire() const { return wire_; }
  std::int64_t messages() const { return messages_; }
  const Tensor& sent() const { return sent_; }  // [bytes / 4]

  // Message i carries the bytes from message_begin(i) to message_begin(i + 1), as equal as whole elements
  // allow.
  std::int64_t message_begin(std::int64_t message) const;

 private:
  Wire wire_;
  std::int64_t messages_;
  Tensor sent_;
};

}  // namespace chokepoint
