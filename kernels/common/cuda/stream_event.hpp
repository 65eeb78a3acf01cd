// How does one stream wait for another inside a launch? Events that a captured graph turns into edges.
#pragma once

#ifdef __CUDACC__
#include "harness/device/cuda/check.hpp"
#endif

namespace chokepoint {

#ifdef __CUDACC__

class StreamEvent {
 public:
  StreamEvent() { check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming)); }
  ~StreamEvent() { cudaEventDestroy(event_); }
  StreamEvent(const StreamEvent&) = delete;
  StreamEvent& operator=(const StreamEvent&) = delete;

  void record(void* stream) { check(cudaEventRecord(event_, static_cast<cudaStream_t>(stream))); }
  void hold(void* stream) { check(cudaStreamWaitEvent(static_cast<cudaStream_t>(stream), event_, 0)); }

 private:
  cudaEvent_t event_ = nullptr;
};

#else

// Without nvcc device code runs when it is launched, in the order of the calls: there is nothing to wait for.
class StreamEvent {
 public:
  void record(void*) {}
  void hold(void*) {}
};

#endif

}  // namespace chokepoint
