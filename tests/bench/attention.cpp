// How fast is attention beside our own matmul and our own triad? All cases in one interleaved run, rates from
// exact work: causal cases count attended pairs only.
//   bench_attention [seconds per case, default 1] [part of a case's name, default all]
// BENCH_ISA=avx2 keeps the kernels from AVX-512.
#include <fmt/format.h>

#include <cstdlib>
#include <memory>
#include <string_view>

#include "harness/base/error.hpp"
#include "harness/base/parallel.hpp"
#include "harness/device/device.hpp"
#include "hwy/targets.h"
#include "kernels/kernel.hpp"
#include "tests/bench/interleave.hpp"

namespace chokepoint {
namespace {

struct Case {
  std::string name, operation, shape;
  Dtype dtype = Dtype::f32;
};

// The first two are what the others are compared with.
const Case kCases[] = {
    {"matmul 2048^3 f32", "matmul", "m=2048,n=2048,k=2048", Dtype::f32},
    {"triad 384 MiB", "stream", "elements=32M,pattern=triad", Dtype::f32},
    {"prefill hd128 4k f32", "attention", "heads_q=4,qk_dim=128,v_dim=128,seq_q=4096,context=4096",
     Dtype::f32},
    {"prefill hd128 4k bf16", "attention", "heads_q=4,qk_dim=128,v_dim=128,seq_q=4096,context=4096",
     Dtype::bf16},
    {"prefill gqa 4:1 2k bf16", "attention",
     "heads_q=8,heads_kv=2,qk_dim=128,v_dim=128,seq_q=2048,context=2048", Dtype::bf16},
    {"prefill hd64 full 2k f32", "attention", "heads_q=4,qk_dim=64,v_dim=64,seq_q=2048,context=2048,causal=0",
     Dtype::f32},
    {"prefill mla 2k bf16", "attention", "variant=mla,heads_q=4,qk_dim=192,v_dim=128,seq_q=2048,context=2048",
     Dtype::bf16},
    {"decode mla 128 heads 4k bf16", "attention",
     "mode=decode,variant=mla,batch=2,heads_q=128,heads_kv=1,qk_dim=576,v_dim=512,context=4096,scale_dim=192",
     Dtype::bf16},
    {"decode mla 16 heads 4k bf16", "attention",
     "mode=decode,variant=mla,batch=16,heads_q=16,heads_kv=1,qk_dim=576,v_dim=512,context=4096,scale_dim=192",
     Dtype::bf16},
    {"decode gqa 8:1 8k bf16", "attention",
     "mode=decode,batch=8,heads_q=64,heads_kv=8,qk_dim=128,v_dim=128,context=8192", Dtype::bf16},
    {"decode gqa 4:1 8k f32", "attention",
     "mode=decode,batch=4,heads_q=32,heads_kv=8,qk_dim=128,v_dim=128,context=8192", Dtype::f32},
    {"decode mha 8k bf16", "attention",
     "mode=decode,batch=4,heads_q=8,heads_kv=8,qk_dim=128,v_dim=128,context=8192", Dtype::bf16},
};

struct Ready {
  const Case* what;
  std::unique_ptr<Problem> problem;
  std::unique_ptr<Launch> launch;
};

int run(double seconds_each, std::string_view wanted) {
  if (const char* isa = std::getenv("BENCH_ISA"); isa != nullptr && std::string_view(isa) == "avx2")
    hwy::DisableTargets(HWY_AVX3 | HWY_AVX3_DL);
  const std::unique_ptr<Device> device = open_device("cpu");
  std::vector<Ready> ready;
  std::vector<bench::Contender> contenders;
  for (const Case& what : kCases) {
    if (ready.size() >= 2 && what.name.find(wanted) == std::string::npos) continue;
    const Operation& operation = find_operation(what.operation);
    const Shape shape = complete_shape(operation, parse_shape(what.shape));
    Ready& made = ready.emplace_back(&what, operation.make(shape, what.dtype, {}), nullptr);
    made.launch = find_kernel(what.operation, "cpu_native").prepare(*made.problem, *device, {});
    contenders.push_back({what.name, [launch = made.launch.get()] { launch->run(); }});
  }
  bench::interleave(contenders, seconds_each);
  const auto rate = [&](std::size_t i, Resource resource) {
    return ready[i].problem->work().of(resource) / contenders[i].median_s();
  };
  fmt::print("{} workers, {} rounds, medians\n{:<30}{:>10}{:>10}{:>12}{:>10}{:>12}\n", parallel_workers(),
             contenders[0].seconds.size(), "", "ms", "GFLOP/s", "of matmul", "GB/s", "of triad");
  for (std::size_t i = 0; i < ready.size(); ++i) {
    const double flop = rate(i, Resource::compute), bytes = rate(i, Resource::memory);
    fmt::print("{:<30}{:>10.2f}{:>10.1f}{:>12.3f}{:>10.2f}{:>12.3f}\n", ready[i].what->name,
               contenders[i].median_s() * 1e3, flop / 1e9, flop / rate(0, Resource::compute), bytes / 1e9,
               bytes / rate(1, Resource::memory));
  }
  return 0;
}

}  // namespace
}  // namespace chokepoint

int main(int argc, char** argv) {
  try {
    return chokepoint::run(argc > 1 ? std::atof(argv[1]) : 1.0, argc > 2 ? argv[2] : "");
  } catch (const chokepoint::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 2;
  }
}
