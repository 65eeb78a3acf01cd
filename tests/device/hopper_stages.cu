// Bring-up of the kernels for Hopper on a GPU: hopper_stages.cuh's stages in order, up to the first that fails. Exit
// codes: 0 all right, 1 one failed, 77 no GPU for it. Waits are bounded: a deadlock says who waited for what.
#define CHOKEPOINT_BOUNDED_WAITS
#include <cuda_runtime.h>

#include <cstring>
#include <utility>
#include <vector>

#include "kernels/common/cuda/hopper/grouped.cuh"
// The launches of products, with the kernels that the stages use.
#include "kernels/common/cuda/hopper/grouped.cu"
#include "kernels/common/cuda/hopper/product.cu"
#include "tests/device/hopper_stages.cuh"

namespace chokepoint::hopper {

ProductEntry product_wide(bool b_is_kn) { return b_is_kn ? nullptr : product_kernel<ProductTileName::wide, Major::k>; }
ProductEntry product_medium(bool) { return nullptr; }
ProductEntry product_square(bool) { return nullptr; }
ProductEntry product_narrow(bool) { return nullptr; }
ProductEntry product_fp8_wide() { return product_kernel<ProductTileName::fp8_wide, Major::k>; }
ProductEntry product_fp8_medium() { return nullptr; }
ProductEntry product_fp8_square() { return nullptr; }
ProductEntry product_fp8_low() { return product_kernel<ProductTileName::fp8_low, Major::k>; }
ProductEntry product_fp8_narrow() { return nullptr; }
ProductEntry product_low(bool b_is_kn) { return b_is_kn ? product_kernel<ProductTileName::low, Major::mn> : nullptr; }
GroupedEntry grouped_wide() { return grouped_kernel<ProductTileName::wide, TensorElement::bf16>; }
GroupedEntry grouped_low() { return nullptr; }
GroupedEntry grouped_fp8() { return grouped_kernel<ProductTileName::wide, TensorElement::byte>; }
ProductMachine product_machine(int) { return {}; }

namespace stages {
namespace {

WaitReport* report = nullptr;
std::vector<std::pair<void*, std::size_t>> shared_memory;

std::string text_of(const WaitReport& waited) {
  const char* roles[] = {"producer", "consumer", "pace", "other"};
  return fmt::format("block {} warp {} ({}) waited more than {} s at stage {} for phase {}", waited.block, waited.warp,
                     roles[static_cast<int>(waited.role)], kPatience_ns / 1'000'000'000, waited.stage, waited.phase);
}

bool prepare() {
  if (cudaHostAlloc(reinterpret_cast<void**>(&report), sizeof *report, cudaHostAllocMapped) != cudaSuccess)
    return false;
  *report = WaitReport{};
  WaitReport* on_gpu = nullptr;
  return cudaHostGetDevicePointer(reinterpret_cast<void**>(&on_gpu), report, 0) == cudaSuccess &&
         cudaMemcpyToSymbol(wait_report, &on_gpu, sizeof on_gpu) == cudaSuccess;
}

// Why there is nothing to run on; empty when there is.
std::string obstacle() {
  cudaDeviceProp facts{};
  if (const cudaError_t code = cudaGetDeviceProperties(&facts, 0); code != cudaSuccess) return cudaGetErrorString(code);
  if (facts.major != 9 || facts.minor != 0)
    return fmt::format("{} is sm_{}{}, not sm_90", facts.name, facts.major, facts.minor);
  if (const auto missing = tensor_maps_missing()) return *missing;
  fmt::print("S0 {}, {} multiprocessors, {} bytes of shared memory a block\n", facts.name, facts.multiProcessorCount,
             facts.sharedMemPerBlockOptin);
  return "";
}

int run() {
  if (const std::string why = obstacle(); !why.empty()) {
    fmt::print("skipped: {}\n", why);
    return 77;
  }
  if (!prepare()) {
    fmt::print("FAILED   S0: no memory for reports\n");
    return 1;
  }
  for (const Stage& stage : kStages) {
    std::string wrong;
    try {
      wrong = stage.run();
    } catch (const Error& error) {
      wrong = error.what();
    }
    fmt::print("{:<8} {}{}{}\n", wrong.empty() ? "ok" : "FAILED", stage.name, wrong.empty() ? "" : ": ", wrong);
    if (!wrong.empty()) return 1;
  }
  return 0;
}

}  // namespace

void* common_memory(std::size_t bytes) {
  void* memory = nullptr;
  if (cudaMallocManaged(&memory, bytes) != cudaSuccess)
    throw Error(Fault::device, fmt::format("no {} bytes of managed memory", bytes), "free some");
  std::memset(memory, 0, bytes);
  shared_memory.emplace_back(memory, bytes);
  return memory;
}

// What refuses to be brought comes when it is asked for.
void bring_memory() {
  for (const auto& [memory, bytes] : shared_memory) {
#if CUDART_VERSION >= 13000
    cudaMemPrefetchAsync(memory, bytes, cudaMemLocation{cudaMemLocationTypeDevice, 0}, 0, nullptr);
#else
    cudaMemPrefetchAsync(memory, bytes, 0, nullptr);
#endif
  }
  cudaGetLastError();
}

std::string finish() {
  const cudaError_t code = cudaDeviceSynchronize();
  if (code == cudaSuccess) return "";
  return report->what == 1 ? text_of(*report) : cudaGetErrorString(code);
}

}  // namespace stages
}  // namespace chokepoint::hopper

int main() { return chokepoint::hopper::stages::run(); }
