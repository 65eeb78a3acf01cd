// Driver API (cuda.h 13.0, green contexts), looked up at run time by the version that introduced each function: the
// runtime of CUDA 13.0 has none of it, and nothing links the driver.
#include "harness/device/cuda/green_part.hpp"

#include <cuda.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "harness/base/error.hpp"
#include "harness/device/cuda/check.hpp"
#include "harness/device/multiprocessors.hpp"

namespace chokepoint {
namespace {

constexpr unsigned kVersion = 12050;  // cuGreenCtxStreamCreate, cuStreamGetCtx; the others are of 12.4 and earlier

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
  decltype(cuGreenCtxGetDevResource)* get_green_resource =
      entry<decltype(cuGreenCtxGetDevResource)>("cuGreenCtxGetDevResource");
  decltype(cuStreamGetCtx_v2)* context_of_stream = entry<decltype(cuStreamGetCtx_v2)>("cuStreamGetCtx");
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

const Driver& driver() {
  static const Driver found;
  return found;
}

// What says that there is no such part here, rather than that something broke.
void check_driver(CUresult code, const char* what) {
  constexpr std::array kRefusals = {CUDA_ERROR_NOT_SUPPORTED, CUDA_ERROR_INVALID_VALUE,
                                    CUDA_ERROR_INVALID_RESOURCE_TYPE, CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION};
  if (std::find(kRefusals.begin(), kRefusals.end(), code) != kRefusals.end())
    throw Error(Fault::unsupported, fmt::format("the driver refuses a part of the multiprocessors: {} ({})", what,
                                                static_cast<int>(code)),
                "see whether the GPU is shared through MPS or MIG");
  check_gpu(static_cast<int>(code), what);
}

CUdevice current_device() {
  int ordinal = 0;
  check(cudaGetDevice(&ordinal));
  check(cudaFree(nullptr));  // the primary context is there before a part of it is made
  CUdevice device{};
  check_driver(driver().device_get(&device, ordinal), "cuDeviceGet");
  return device;
}

CUdevResource all_multiprocessors() {
  CUdevResource all{};
  check_driver(driver().get_resource(current_device(), &all, CU_DEV_RESOURCE_TYPE_SM), "cuDeviceGetDevResource");
  return all;
}

CUdevResource reached_from(cudaStream_t stream) {
  CUcontext context = nullptr;
  CUgreenCtx green = nullptr;
  check_driver(driver().context_of_stream(stream, &context, &green), "cuStreamGetCtx");
  if (green == nullptr) return all_multiprocessors();
  CUdevResource part{};
  check_driver(driver().get_green_resource(green, &part, CU_DEV_RESOURCE_TYPE_SM), "cuGreenCtxGetDevResource");
  return part;
}

int count_of(const CUdevResource& part) { return static_cast<int>(part.sm.smCount); }

// A group of `wanted` from the front, rounded up by the driver, and what is left behind it. Neither can be split again
// before a green context has it.
struct Split {
  CUdevResource group{}, rest{};
};

Split split(const CUdevResource& all, int wanted) {
  Split parts;
  unsigned groups = 1;
  check_driver(driver().split(&parts.group, &groups, &all, &parts.rest, 0, static_cast<unsigned>(wanted)),
               "cuDevSmResourceSplitByCount");
  if (groups != 1)
    throw Error(Fault::unsupported, fmt::format("no part of {} of {} multiprocessors", wanted, count_of(all)),
                "ask for another number");
  return parts;
}

class GreenStream final : public StreamOnPart {
 public:
  explicit GreenStream(CUdevResource part, int priority = 0) : granted_(count_of(part)) {
    CUdevResourceDesc description = nullptr;
    check_driver(driver().describe(&description, &part, 1), "cuDevResourceGenerateDesc");
    check_driver(driver().create(&context_, description, current_device(), CU_GREEN_CTX_DEFAULT_STREAM),
                 "cuGreenCtxCreate");
    if (const CUresult code = driver().stream_create(&stream_, context_, CU_STREAM_NON_BLOCKING, priority);
        code != CUDA_SUCCESS) {
      driver().destroy(context_);
      check_driver(code, "cuGreenCtxStreamCreate");
    }
  }

  ~GreenStream() override {
    driver().stream_destroy(stream_);  // the context does not do it
    driver().destroy(context_);
  }
  GreenStream(const GreenStream&) = delete;
  GreenStream& operator=(const GreenStream&) = delete;

  cudaStream_t stream() const override { return stream_; }
  int multiprocessors() const override { return granted_; }

 private:
  int granted_;
  CUgreenCtx context_ = nullptr;
  CUstream stream_ = nullptr;
};

}  // namespace

// All of them need no split, which would leave out what is no multiple of the step.
std::unique_ptr<StreamOnPart> first_multiprocessors(int wanted) {
  const CUdevResource all = all_multiprocessors();
  return std::make_unique<GreenStream>(wanted >= count_of(all) ? all : split(all, wanted).group);
}

std::unique_ptr<StreamOnPart> last_multiprocessors(int wanted) {
  const CUdevResource all = all_multiprocessors();
  const int before = (count_of(all) - wanted) / kMultiprocessorStep * kMultiprocessorStep;
  if (before < kMultiprocessorStep)
    throw Error(Fault::unsupported, fmt::format("no last {} of {} multiprocessors", wanted, count_of(all)),
                "ask for another number");
  return std::make_unique<GreenStream>(split(all, before).rest);
}

TwoParts two_parts_of(cudaStream_t within, int wire_wanted) {
  const CUdevResource all = reached_from(within);
  const std::optional<LaneShares> shares = lane_shares(count_of(all), wire_wanted);
  if (!shares)
    throw Error(Fault::unsupported, fmt::format("{} multiprocessors are too few to divide", count_of(all)),
                "choose a target with more compute");
  const Split parts = split(all, shares->compute);
  if (count_of(parts.rest) == 0)
    throw Error(Fault::unsupported, fmt::format("{} of {} multiprocessors leave none", shares->compute, count_of(all)),
                "choose a target with more compute");
  int least = 0, greatest = 0;
  check(cudaDeviceGetStreamPriorityRange(&least, &greatest));
  return {std::make_unique<GreenStream>(parts.group, least), std::make_unique<GreenStream>(parts.rest, greatest)};
}

}  // namespace chokepoint
