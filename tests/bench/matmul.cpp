// How fast is matmul beside OpenBLAS and oneDNN? One interleaved run per shape, medians, ratios, geometric
// means.
//   bench_matmul [seconds per kernel and shape, default 0.5]
// BENCH_ISA=avx2 keeps our kernels from AVX-512; set OPENBLAS_CORETYPE=Haswell and DNNL_MAX_CPU_ISA=AVX2
// beside it.
#include "kernels/matmul/matmul.hpp"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "harness/base/error.hpp"
#include "harness/base/parallel.hpp"
#include "harness/device/device.hpp"
#include "hwy/targets.h"
#include "tests/bench/interleave.hpp"

namespace chokepoint {
namespace {

struct BenchShape {
  std::int64_t m, n, k;
};

// Three squares, and the weights of DeepSeek-V3 at 64 tokens (DeepGEMM's list).
constexpr BenchShape kShapes[] = {{512, 512, 512},   {1024, 1024, 1024}, {2048, 2048, 2048},
                                  {64, 2112, 7168},  {64, 24576, 1536},  {64, 32768, 512},
                                  {64, 7168, 16384}, {64, 4096, 7168},   {64, 7168, 2048}};

struct Entry {
  const char* label;
  const char* kernel;
  Dtype dtype;
};
constexpr Entry kEntries[] = {{"f32", "cpu_native", Dtype::f32},
                              {"bf16", "cpu_native", Dtype::bf16},
                              {"fp8", "cpu_native", Dtype::fp8_e4m3},
                              {"openblas", "openblas", Dtype::f32},
                              {"onednn", "onednn", Dtype::f32}};
constexpr std::size_t kEntryCount = std::size(kEntries);

// One shape: prepares every kernel that is there, runs them in turn; GFLOP/s by entry, 0 where it is missing.
std::vector<double> measure(const BenchShape& at, Device& device, double seconds_each) {
  const Shape shape{{"m", at.m}, {"n", at.n}, {"k", at.k}, {"b_layout", std::string("nk")}};
  std::vector<std::unique_ptr<Problem>> problems;
  std::vector<std::unique_ptr<Launch>> launches;
  std::vector<bench::Contender> contenders;
  std::vector<std::size_t> positions;
  for (std::size_t i = 0; i < kEntryCount; ++i) {
    const Kernel& kernel = find_kernel("matmul", kEntries[i].kernel);
    if (kernel.unsupported(shape, kEntries[i].dtype)) continue;
    problems.push_back(find_operation("matmul").make(shape, kEntries[i].dtype, {}));
    launches.push_back(kernel.prepare(*problems.back(), device, {}));
    contenders.push_back({kEntries[i].label, [launch = launches.back().get()] { launch->run(); }});
    positions.push_back(i);
  }
  constexpr double kPause_s = 0.06;
  bench::interleave(contenders, seconds_each, kPause_s);
  std::vector<double> rates(kEntryCount, 0.0);
  for (std::size_t i = 0; i < contenders.size(); ++i)
    rates[positions[i]] = problems[i]->work().flop / contenders[i].median_s() / 1e9;
  return rates;
}

int run(double seconds_each) {
  if (const char* isa = std::getenv("BENCH_ISA"); isa != nullptr && std::string_view(isa) == "avx2")
    hwy::DisableTargets(HWY_AVX3 | HWY_AVX3_DL);
  const std::unique_ptr<Device> device = open_device("cpu");
  fmt::print("{} workers, GFLOP/s (medians)\n{:>18}", parallel_workers(), "m x n x k");
  for (const Entry& entry : kEntries) fmt::print("{:>10}", entry.label);
  fmt::print("{:>10}{:>10}{:>10}\n", "f32/best", "bf16/f32", "fp8/f32");
  double logs[3] = {};
  bool complete = true;
  for (const BenchShape& shape : kShapes) {
    const std::vector<double> rates = measure(shape, *device, seconds_each);
    fmt::print("{:>18}", fmt::format("{}x{}x{}", shape.m, shape.n, shape.k));
    for (double rate : rates) rate > 0.0 ? fmt::print("{:>10.1f}", rate) : fmt::print("{:>10}", "absent");
    const double best = std::max(rates[3], rates[4]);
    const double ratios[3] = {best > 0.0 ? rates[0] / best : 0.0, rates[1] / rates[0], rates[2] / rates[0]};
    for (int i = 0; i < 3; ++i) {
      ratios[i] > 0.0 ? fmt::print("{:>10.3f}", ratios[i]) : fmt::print("{:>10}", "absent");
      logs[i] += std::log(ratios[i]);
    }
    complete = complete && best > 0.0;
    fmt::print("\n");
    std::fflush(stdout);
  }
  fmt::print("{:>68}", "geometric mean");
  for (int i = 0; i < 3; ++i)
    complete || i > 0 ? fmt::print("{:>10.3f}", std::exp(logs[i] / static_cast<double>(std::size(kShapes))))
                      : fmt::print("{:>10}", "absent");
  fmt::print("\n");
  return 0;
}

}  // namespace
}  // namespace chokepoint

int main(int argc, char** argv) {
  try {
    return chokepoint::run(argc > 1 ? std::atof(argv[1]) : 0.5);
  } catch (const chokepoint::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 2;
  }
}
