// Does a kernel compute its operation, and does it charge what the operation says? Shared by tests of
// kernels.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "harness/base/error.hpp"
#include "harness/device/device.hpp"
#include "kernels/kernel.hpp"
#include "tests/kernels/clocks.hpp"

namespace chokepoint {

// CPU kernels get a device and do not ask it anything.
class UnusedDevice : public Device {
 public:
  const DeviceFacts& facts() const override { return facts_; }
  double time_s(const std::function<void()>& work) override {
    work();
    return 0.0;
  }
  double now_s() override { return 0.0; }

 private:
  DeviceFacts facts_;
};

struct OutputErrors {
  double worst = INFINITY, rms = INFINITY;  // relative to |ref| + rms(ref), and to rms(ref); infinite for NaN
};

inline OutputErrors errors_of(const Problem& problem, const Tensor& output) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(problem.output_rows()));
  std::iota(rows.begin(), rows.end(), 0);
  const std::vector<double> reference = problem.reference(rows);
  if (static_cast<std::int64_t>(reference.size()) != output.count()) return {};
  double squares = 0.0, square_errors = 0.0, worst = 0.0;
  for (double value : reference) squares += value * value;
  const double rms = std::sqrt(squares / static_cast<double>(reference.size()));
  for (std::size_t i = 0; i < reference.size(); ++i) {
    const double error = std::abs(output.at(static_cast<std::int64_t>(i)) - reference[i]);
    if (!std::isfinite(error)) return {};
    if (error > 0.0) worst = std::max(worst, error / (std::abs(reference[i]) + rms));
    square_errors += error * error;
  }
  if (square_errors == 0.0) return {0.0, 0.0};
  return {worst, std::sqrt(square_errors / static_cast<double>(reference.size())) / rms};
}

// A problem and one launch of one kernel on it.
struct Prepared {
  Shape shape;
  std::unique_ptr<Problem> problem;
  std::unique_ptr<Launch> launch;

  Prepared(const std::string& operation_name, const std::string& kernel_name, const Shape& given, Dtype dtype,
           const Pace& pace = {}, const InputSpec& inputs = {}) {
    const Operation& operation = find_operation(operation_name);
    shape = complete_shape(operation, given);
    problem = operation.make(shape, dtype, inputs);
    UnusedDevice device;
    launch = find_kernel(operation_name, kernel_name).prepare(*problem, device, pace);
  }

  // Runs on a poisoned output, so that an element nobody wrote is NaN.
  const Tensor& run() {
    launch->output().poison();
    launch->run();
    return launch->output();
  }

  // The largest |out - ref| / (|ref| + rms(ref)) over all elements; infinite when an element is NaN.
  double error() { return errors_of(*problem, run()).worst; }
};

// The message of the Error that `body` throws.
template <class Body>
std::string error_text(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// What one run booked on clocks that never wait.
inline Work charged(const std::string& operation, const std::string& kernel, const Shape& shape,
                    Dtype dtype) {
  CountingPace clocks;
  Prepared prepared(operation, kernel, shape, dtype, clocks.pace());
  prepared.run();
  Work work{.flop = clocks.compute.amount(), .memory_bytes = clocks.memory.amount()};
  work.link_bytes = clocks.link_send.amount();
  work.network_bytes = clocks.network_send.amount();
  work.link_messages = clocks.link_send.messages();
  work.network_messages = clocks.network_send.messages();
  // Both directions carry the same; a difference shows as a number no operation can have.
  if (clocks.link_receive.amount() != work.link_bytes) work.link_bytes = -1.0;
  if (clocks.network_receive.amount() != work.network_bytes) work.network_bytes = -1.0;
  return work;
}

}  // namespace chokepoint
