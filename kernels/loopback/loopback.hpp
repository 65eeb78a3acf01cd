// What is one loopback problem? So many bytes over one wire, in so many messages, one after the other.
//
// `in_flight` messages may be on their way at once: message i is sent when message i - in_flight has arrived. With
// one, every message waits for the one before and pays its latency; the wire idles meanwhile, also for the moment
// that the sender takes to turn round, which is 1 to 3 % of a message of 128 KiB. With two, the wire goes on with
// the next message during that moment: what is left is the rate.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/common/loopback.hpp"
#include "kernels/kernel.hpp"

namespace chokepoint {

class LoopbackProblem final : public Problem {
 public:
  LoopbackProblem(std::int64_t bytes, Wire wire, std::int64_t messages, std::int64_t in_flight,
                  const InputSpec& inputs);

  std::unique_ptr<Problem> clone() const override { return std::make_unique<LoopbackProblem>(*this); }
  Work work() const override;
  std::vector<const Tensor*> inputs() const override { return {&sent_}; }
  std::vector<std::int64_t> output_dims() const override { return {sent_.count()}; }
  Dtype output_dtype() const override { return Dtype::f32; }
  std::vector<double> reference(std::span<const std::int64_t> rows) const override;
  double tolerance() const override { return 0.0; }  // what arrives is what was sent

  Wire wire() const { return wire_; }
  std::int64_t messages() const { return messages_; }
  std::int64_t in_flight() const { return in_flight_; }
  const Tensor& sent() const { return sent_; }  // [bytes / 4]

  // Message i carries the bytes from message_begin(i) to message_begin(i + 1), as equal as whole elements
  // allow.
  std::int64_t message_begin(std::int64_t message) const;

 private:
  Wire wire_;
  std::int64_t messages_, in_flight_;
  Tensor sent_;
};

}  // namespace chokepoint
