// Driver API (cuda.h 13.0, green contexts), looked up at run time by the version that introduced each function: the
// runtime of CUDA 13.0 has none of it, and nothing links the driver.
#include "harness/device/cuda/green_context.hpp"

#include <cuda.h>
#include <fmt/format.h>

#include "harness/base/error.hpp"
#include "harness/device/cuda/check.hpp"
#include "harness/device/cuda/multiprocessors_used.hpp"

namespace chokepoint {
namespace {

constexpr unsigned kVersion = 12050;  // cuGreenCtxStreamCreate; the others are of 12.4 and earlier

template <class Function>
Function* entry(const char* name) {
  void* address = nullptr;
  cudaDriverEntryPointQueryResult found{};
  check(cudaGetDriverEntryPointByVersion(name, &address, kVersion, cudaEnableDefault, &found));
  if (found != cudaDriverEntryPointSuccess || address == nullptr)
    throw Error(Fault::unsupported, fmt::format("the driver has no {}", name),
                "update it to one for CUDA 12.5 or later, or cap compute with a kernel that charges it");
  return reinterpret_cast<Function*>(address);
}

struct Driver {
  decltype(cuDeviceGet)* device_get = entry<decltype(cuDeviceGet)>("cuDeviceGet");
  decltype(cuDeviceGetDevResource)* get_resource =
      entry<decltype(cuDeviceGetDevResource)>("cuDeviceGetDevResource");
  decltype(cuDevSmResourceSplitByCount)* split =
      entry<decltype(cuDevSmResourceSplitByCount)>("cuDevSmResourceSplitByCount");
  decltype(cuDevResourceGenerateDesc)* describe =
      entry<decltype(cuDevResourceGenerateDesc)>("cuDevResourceGenerateDesc");
  decltype(cuGreenCtxCreate)* create = entry<decltype(cuGreenCtxCreate)>("cuGreenCtxCreate");
  decltype(cuGreenCtxDestroy)* destroy = entry<decltype(cuGreenCtxDestroy)>("cuGreenCtxDestroy");
  decltype(cuGreenCtxStreamCreate)* stream_create =
      entry<decltype(cuGreenCtxStreamCreate)>("cuGreenCtxStreamCreate");
  decltype(cuStreamDestroy)* stream_destroy = entry<decltype(cuStreamDestroy)>("cuStreamDestroy");
};

void check_driver(CUresult code, const char* what) { check_gpu(static_cast<int>(code), what); }

class GreenContext final : public Restriction {
 public:
  GreenContext(int wanted, int total, cudaStream_t& lane) : total_(total), lane_(lane) {
    int ordinal = 0;
    check(cudaGetDevice(&ordinal));
    check(cudaFree(nullptr));  // the primary context is there before a part of it is made
    CUdevice device{};
    check_driver(driver_.device_get(&device, ordinal), "cuDeviceGet");
    CUdevResource part = part_of(device, wanted);
    granted_ = static_cast<int>(part.sm.smCount);
    CUdevResourceDesc description = nullptr;
    check_driver(driver_.describe(&description, &part, 1), "cuDevResourceGenerateDesc");
    check_driver(driver_.create(&context_, description, device, CU_GREEN_CTX_DEFAULT_STREAM), "cuGreenCtxCreate");
    if (const CUresult code = driver_.stream_create(&stream_, context_, CU_STREAM_NON_BLOCKING, 0);
        code != CUDA_SUCCESS) {
      driver_.destroy(context_);
      check_driver(code, "cuGreenCtxStreamCreate");
    }
  }

  ~GreenContext() override {
    leave();
    driver_.stream_destroy(stream_);  // the context does not do it
    driver_.destroy(context_);
  }
  GreenContext(const GreenContext&) = delete;
  GreenContext& operator=(const GreenContext&) = delete;

  int multiprocessors() const override { return granted_; }
  std::vector<int> ran_on() override { return multiprocessors_used(stream_, total_); }

  void enter() override {
    if (entered_) return;
    outside_ = lane_;
    lane_ = stream_;
    entered_ = true;
  }
  void leave() noexcept override {
    if (!entered_) return;
    lane_ = outside_;
    entered_ = false;
  }

 private:
  // All of them need no split, which would leave out what is no multiple of the step.
  CUdevResource part_of(CUdevice device, int wanted) const {
    CUdevResource all{}, part{};
    check_driver(driver_.get_resource(device, &all, CU_DEV_RESOURCE_TYPE_SM), "cuDeviceGetDevResource");
    if (wanted >= static_cast<int>(all.sm.smCount)) return all;
    unsigned groups = 1;
    check_driver(driver_.split(&part, &groups, &all, nullptr, 0, static_cast<unsigned>(wanted)),
                 "cuDevSmResourceSplitByCount");
    if (groups != 1)
      throw Error(Fault::unsupported, fmt::format("no part of {} of {} multiprocessors", wanted, all.sm.smCount),
                  "ask for another number");
    return part;
  }

  const Driver driver_;
  int total_, granted_ = 0;
  cudaStream_t& lane_;
  CUgreenCtx context_ = nullptr;
  CUstream stream_ = nullptr;
  cudaStream_t outside_ = nullptr;
  bool entered_ = false;
};

}  // namespace

std::unique_ptr<Restriction> green_context(int wanted, int total, cudaStream_t& lane) {
  return std::make_unique<GreenContext>(wanted, total, lane);
}

}  // namespace chokepoint
