// What does this GPU offer a product? Asked once per GPU: products are prepared often.
#include <cuda_runtime.h>

#include <map>
#include <mutex>

#include "harness/device/cuda/check.hpp"
#include "kernels/common/cuda/hopper/product.hpp"

namespace chokepoint::hopper {

namespace {

ProductMachine whole_machine() {
  static std::mutex mutex;
  static std::map<int, ProductMachine> known;
  int device = 0;
  check(cudaGetDevice(&device));
  const std::scoped_lock lock(mutex);
  if (const auto found = known.find(device); found != known.end()) return found->second;
  int multiprocessors = 0, shared_bytes = 0;
  check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device));
  check(cudaDeviceGetAttribute(&shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  return known[device] = {.multiprocessors = multiprocessors, .shared_bytes = shared_bytes};
}

}  // namespace

ProductMachine product_machine(int multiprocessors) {
  ProductMachine machine = whole_machine();
  if (multiprocessors > 0) machine.multiprocessors = multiprocessors;
  return machine;
}

}  // namespace chokepoint::hopper
