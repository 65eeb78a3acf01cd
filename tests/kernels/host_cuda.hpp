// How do whole CUDA launches run without a GPU? Their kernels on the emulator, memory and clocks in host memory,
// and plain loops in the place of the matrix product, which has tests of its own.
//
// Defines functions: include it in one file of a test program, before the launch.
#pragma once

#include "tests/cuda_emulator/emulator.hpp"
// The emulator comes first.
#include "kernels/common/cuda/wire.cu"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <vector>

#include "kernels/common/cuda/gemm.hpp"
#include "kernels/kernel.hpp"
#include "tests/kernels/check.hpp"

namespace chokepoint {

// Where device code charges; released, so that it counts and nothing waits.
class CountingDeviceClock : public ResourceClock {
 public:
  DeviceClock* on_device() const override { return &clock_; }
  Moment reserve(double) override { throw Error(Fault::device, "charged by the host", "charge in device code"); }
  Moment reserve_message(double amount) override { return reserve(amount); }
  void wait(Moment) override {}

  double charged() const { return static_cast<double>(clock_.charged); }
  double messages() const { return static_cast<double>(clock_.messages); }

 private:
  mutable DeviceClock clock_;
};

struct CountingDevicePace {
  CountingDeviceClock compute, memory, link_send, link_receive, network_send, network_receive;

  Pace pace() { return {&compute, &memory, &link_send, &link_receive, &network_send, &network_receive}; }

  Work charged() const {
    // Both directions carry the same; a difference shows as a number no operation can have.
    const auto both = [](const CountingDeviceClock& send, const CountingDeviceClock& receive) {
      return send.charged() == receive.charged() && send.messages() == receive.messages() ? send.charged() : -1.0;
    };
    return {.flop = compute.charged(),
            .memory_bytes = memory.charged(),
            .link_bytes = both(link_send, link_receive),
            .network_bytes = both(network_send, network_receive),
            .link_messages = link_send.messages(),
            .network_messages = network_send.messages()};
  }
};

// ---- The matrix product, by the contract of gemm.hpp ----

namespace host_gemm {

inline double element(const void* data, Dtype dtype, std::int64_t at) {
  switch (dtype) {
    case Dtype::f32: return static_cast<const float*>(data)[at];
    case Dtype::bf16: return float_from_bf16(static_cast<const std::uint16_t*>(data)[at]);
    default: return float_from_fp8_e4m3(static_cast<const std::uint8_t*>(data)[at]);
  }
}

inline void multiply_row(const GemmTask& task, std::int64_t group, std::int64_t row) {
  const bool scaled = task.dtype == Dtype::fp8_e4m3;
  const std::int64_t blocks = (task.k + 127) / 128, stored = task.a_rows != nullptr ? task.a_rows[row] : row;
  const std::int64_t a_stride = task.a_stride != 0 ? task.a_stride : task.k;
  const std::int64_t c_stride = task.c_stride != 0 ? task.c_stride : task.n;
  std::vector<double> a(static_cast<std::size_t>(task.k));
  for (std::int64_t k = 0; k < task.k; ++k)
    a[static_cast<std::size_t>(k)] = element(task.a, task.dtype, stored * a_stride + k) *
                                     (scaled ? double{task.a_scale[stored * blocks + k / 128]} : 1.0);
  for (std::int64_t n = 0; n < task.n; ++n) {
    double sum = 0.0;
    const std::int64_t first_scale = (group * ((task.n + 127) / 128) + n / 128) * blocks;
    for (std::int64_t k = 0; k < task.k; ++k)
      sum += a[static_cast<std::size_t>(k)] * element(task.b, task.dtype, (group * task.n + n) * task.k + k) *
             (scaled ? double{task.b_scale[first_scale + k / 128]} : 1.0);
    if (task.c_dtype == Dtype::f32)
      static_cast<float*>(task.c)[row * c_stride + n] = static_cast<float>(sum);
    else
      static_cast<std::uint16_t*>(task.c)[row * c_stride + n] = bf16_from_float(static_cast<float>(sum));
  }
}

}  // namespace host_gemm

std::int64_t gemm_workspace_bytes(const GemmTask&) { return 0; }

void cuda_gemm(const GemmTask& task, void*) {
  if (task.b_layout != GemmLayout::nk || task.accumulate)
    throw Error(Fault::unsupported, "the product of the tests multiplies by [n, k] only", "extend it");
  std::int64_t rows = 0;
  for (std::int64_t group = 0; group < task.groups; ++group) {
    const std::int64_t begin = task.group_begin != nullptr ? task.group_begin[group] : 0;
    const std::int64_t end = task.group_begin != nullptr ? task.group_begin[group + 1] : task.m;
    if (end > task.m) throw Error(Fault::device, "a group ends beyond the rows of the product", "mend the launch");
    for (std::int64_t row = begin; row < end; ++row) host_gemm::multiply_row(task, group, row);
    rows += end - begin;
  }
  const auto whole = [](double amount) { return static_cast<std::uint64_t>(amount + 0.5); };
  const auto values = static_cast<double>(rows) * static_cast<double>(task.n);
  if (task.pace.compute != nullptr)
    task.pace.compute->charged += whole(2.0 * values * static_cast<double>(task.k));
  if (task.pace.memory != nullptr && values > 0.0) task.pace.memory->charged += whole(task.memory_bytes);
}

// ---- One launch on the emulator ----

struct OutputErrors {
  double worst = INFINITY, rms = INFINITY;  // relative to |ref| + rms(ref), and to rms(ref); infinite for NaN
};

inline OutputErrors errors_of(const Problem& problem, const Tensor& output) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(problem.output_rows()));
  std::iota(rows.begin(), rows.end(), 0);
  const std::vector<double> reference = problem.reference(rows);
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

struct EmulatedRun {
  Work charged;
  OutputErrors errors;
};

// The second of two runs of `make(problem, device, pace)`, on a poisoned output.
template <class MakeLaunch>
EmulatedRun run_emulated(const Problem& problem, const MakeLaunch& make) {
  UnusedDevice device;  // memory of the default device is the host's
  CountingDevicePace clocks;
  const std::unique_ptr<Launch> launch = make(device, clocks.pace());
  launch->run();
  const Work first = clocks.charged();
  launch->poison();
  launch->run();
  Work second = clocks.charged();
  second.flop -= first.flop;
  second.memory_bytes -= first.memory_bytes;
  second.link_bytes -= first.link_bytes;
  second.network_bytes -= first.network_bytes;
  second.link_messages -= first.link_messages;
  second.network_messages -= first.network_messages;
  return {second, errors_of(problem, launch->output())};
}

}  // namespace chokepoint
