// Kernels of the operation `stream` (pattern copy) that misbehave on purpose; linked into a program for tests
// only.
#pragma once

#include <functional>
#include <string>

#include "kernels/kernel.hpp"

namespace chokepoint {

using FaultyCopy = std::function<void(const Tensor& from, Tensor& to, const Pace& pace)>;

class FaultyLaunch final : public Launch {
 public:
  FaultyLaunch(const Problem& problem, const Pace& pace, FaultyCopy copy)
      : problem_(problem),
        pace_(pace),
        copy_(std::move(copy)),
        output_("output", problem.output_dims(), problem.output_dtype()) {}
  void run() override { copy_(*problem_.inputs().front(), output_, pace_); }
  Tensor& output() override { return output_; }

 private:
  const Problem& problem_;
  const Pace& pace_;
  FaultyCopy copy_;
  Tensor output_;
};

inline Kernel faulty_kernel(std::string name, FaultyCopy copy) {
  return {.name = std::move(name),
          .operation = "stream",
          .summary = "misbehaves, for tests",
          .dtypes = {Dtype::f32},
          .paces = {Resource::compute, Resource::memory},
          .probes = false,
          .prepare = [copy = std::move(copy)](const Problem& problem, Device&, const Pace& pace)
              -> std::unique_ptr<Launch> { return std::make_unique<FaultyLaunch>(problem, pace, copy); }};
}

}  // namespace chokepoint
