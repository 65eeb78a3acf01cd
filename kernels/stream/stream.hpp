// What is one stream problem? Long f32 arrays that are read and written once: copy is a = b, triad is a = b +
// 3 c.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/kernel.hpp"

namespace chokepoint {

enum class StreamPattern { copy, triad };

inline constexpr float kTriadFactor = 3.0F;

class StreamProblem final : public Problem {
 public:
  StreamProblem(std::int64_t elements, StreamPattern pattern, const InputSpec& inputs);

  std::unique_ptr<Problem> clone() const override { return std::make_unique<StreamProblem>(*this); }
  Work work() const override;
  std::vector<const Tensor*> inputs() const override;
  std::vector<std::int64_t> output_dims() const override { return {b_.count()}; }
  Dtype output_dtype() const override { return Dtype::f32; }
  std::vector<double> reference(std::span<const std::int64_t> rows) const override;
  double tolerance() const override;

  StreamPattern pattern() const { return pattern_; }
  const Tensor& b() const { return b_; }  // [elements]
  const Tensor& c() const { return c_; }  // [elements] for triad, empty for copy

 private:
  StreamPattern pattern_;
  Tensor b_, c_;
};

// What `elements` of each array cost. Bytes are those the program names: the read of a line before it is
// partly overwritten (write-allocate), which a machine may add, is not counted.
Work stream_work(StreamPattern pattern, std::int64_t elements);

}  // namespace chokepoint
