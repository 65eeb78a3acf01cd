// Driver API (cuda.h 13.0, green contexts), looked up at run time by the version that introduced each function: the
// runtime of CUDA 13.0 has none of it, and nothing links the driver.
#include "harness/device/cuda/green_context.hpp"

#include <cuda.h>
#include <fmt/format.h>

#include "harness/base/error.hpp"
#include "harness/device/cuda/check.hpp"
#include "harness/device/cuda/multiprocessors_used.hpp"
#include "harness/device/multiprocessors.hpp"

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

// All multiprocessors of the device.
CUdevResource all_of(const Driver& driver, CUdevice device) {
  CUdevResource all{};
  check_driver(driver.get_resource(device, &all, CU_DEV_RESOURCE_TYPE_SM), "cuDeviceGetDevResource");
  return all;
}

// A group of `wanted` from the front, rounded up by the driver, and what is left behind it.
struct Split {
  CUdevResource group{}, rest{};
};

Split split(const Driver& driver, const CUdevResource& all, int wanted) {
  Split parts;
  unsigned groups = 1;
  check_driver(driver.split(&parts.group, &groups, &all, &parts.rest, 0, static_cast<unsigned>(wanted)),
               "cuDevSmResourceSplitByCount");
  if (groups != 1)
    throw Error(Fault::unsupported, fmt::format("no part of {} of {} multiprocessors", wanted, all.sm.smCount),
                "ask for another number");
  return parts;
}

using Choice = CUdevResource (*)(const Driver& driver, CUdevice device, int wanted);

// All of them need no split, which would leave out what is no multiple of the step.
CUdevResource first_of(const Driver& driver, CUdevice device, int wanted) {
  const CUdevResource all = all_of(driver, device);
  return wanted >= static_cast<int>(all.sm.smCount) ? all : split(driver, all, wanted).group;
}

CUdevResource last_of(const Driver& driver, CUdevice device, int wanted) {
  const CUdevResource all = all_of(driver, device);
  const int total = static_cast<int>(all.sm.smCount);
  const int before = (total - wanted) / kMultiprocessorStep * kMultiprocessorStep;
  if (before < kMultiprocessorStep)
    throw Error(Fault::unsupported, fmt::format("no last {} of {} multiprocessors", wanted, total),
                "ask for another number");
  return split(driver, all, before).rest;
}

class GreenStream final : public StreamOnPart {
 public:
  GreenStream(int wanted, Choice choice) {
    int ordinal = 0;
    check(cudaGetDevice(&ordinal));
    check(cudaFree(nullptr));  // the primary context is there before a part of it is made
    CUdevice device{};
    check_driver(driver_.device_get(&device, ordinal), "cuDeviceGet");
    CUdevResource part = choice(driver_, device, wanted);
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

  ~GreenStream() override {
    driver_.stream_destroy(stream_);  // the context does not do it
    driver_.destroy(context_);
  }
  GreenStream(const GreenStream&) = delete;
  GreenStream& operator=(const GreenStream&) = delete;

  cudaStream_t stream() const override { return stream_; }
  int multiprocessors() const override { return granted_; }

 private:
  const Driver driver_;
  int granted_ = 0;
  CUgreenCtx context_ = nullptr;
  CUstream stream_ = nullptr;
};

class GreenContext final : public Restriction {
 public:
  GreenContext(int wanted, int total, cudaStream_t& lane) : part_(wanted, first_of), total_(total), lane_(lane) {}
  ~GreenContext() override { leave(); }
  GreenContext(const GreenContext&) = delete;
  GreenContext& operator=(const GreenContext&) = delete;

  int multiprocessors() const override { return part_.multiprocessors(); }
  std::vector<int> ran_on() override { return multiprocessors_used(part_.stream(), total_); }

  void enter() override {
    if (entered_) return;
    outside_ = lane_;
    lane_ = part_.stream();
    entered_ = true;
  }
  void leave() noexcept override {
    if (!entered_) return;
    lane_ = outside_;
    entered_ = false;
  }

 private:
  const GreenStream part_;
  int total_;
  cudaStream_t& lane_;
  cudaStream_t outside_ = nullptr;
  bool entered_ = false;
};

}  // namespace

std::unique_ptr<StreamOnPart> last_multiprocessors(int wanted) {
  return std::make_unique<GreenStream>(wanted, last_of);
}

std::unique_ptr<Restriction> green_context(int wanted, int total, cudaStream_t& lane) {
  return std::make_unique<GreenContext>(wanted, total, lane);
}

}  // namespace chokepoint
