// What does this device deliver of a resource, uncapped and under a cap? Measured by the operations that say
// they are probes of it, with the system's own clock.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>

#include "harness/caps/cap.hpp"
#include "harness/base/error.hpp"
#include "harness/device/device.hpp"
#include "harness/model/emulation.hpp"
#include "kernels/kernel.hpp"

namespace chokepoint {

// What the device was measured to deliver, per resource; compute per dtype.
struct Ceilings {
  std::map<Dtype, double> compute;
  PerResource<std::optional<double>> rate;  // compute stays empty here

  PerResource<std::optional<double>> for_dtype(Dtype dtype) const;
};

Json to_json(const Ceilings& ceilings);
Ceilings ceilings_from_json(Fields fields);

struct Probe;  // probe.cpp

// Whether a mechanism cannot do what was asked, so that another, or another target, may.
bool is_out_of_reach(const Error& error);

class Prober {
 public:
  explicit Prober(Device& device);
  ~Prober();

  // Uncapped rate of the fastest kernel over arrays larger than the last-level cache. On a CPU, where every cap is
  // paced: of those that can be paced, the median of about `seconds` of runs. On a GPU, whose silicon may be the cap:
  // of all, the best of a few bursts. Empty when no operation probes it here.
  std::optional<double> ceiling(Resource resource, Dtype dtype, double seconds = 0.4);

  // Rate delivered while only this cap is engaged: the fastest of `repeats` transfers of about `seconds`
  // each, and of more while even the fastest is too slow. A cap is an upper limit: what it lets through at
  // best is what has to be right, and a leak shows in the fastest first; slower ones are disturbances of the
  // machine, which the samples' interval shows. A latency is taken off, so that what is left is a rate. A
  // native plan is probed uncapped. The cap is `mechanism`, or the resource's clock where none is given. One that
  // works on any kernel is probed with the fastest, and by the median: what it does varies either way.
  double delivered(const CapPlan& plan, Dtype dtype, double seconds = 0.02, int repeats = 5,
                   const Cap* mechanism = nullptr);

  // The plan with the setting that this mechanism needs for its rate; unchanged where it needs none, or has one. Throws
  // Error{cap_not_held} where the mechanism cannot hold it here.
  CapPlan tuned(const CapPlan& plan, Dtype dtype, const Cap& mechanism);

  // The first of `mechanisms` (not empty, in order of preference) that can hold the plan, which comes back tuned for
  // it. Where none can, throws what the last of them threw.
  struct Held {
    const Cap* mechanism;
    CapPlan plan;
  };
  Held first_that_holds(const CapPlan& plan, Dtype dtype, std::span<const Cap* const> mechanisms);

  // What probes a resource fastest, of the kernels that pace it or of all.
  struct Choice {
    const Operation* operation;
    const Kernel* kernel;
  };
  std::optional<Choice> choose(Resource resource, Dtype dtype, bool has_to_pace);

  // A slice of about `seconds` of launches that draw power, back to back, for whoever needs a load and does not care
  // which; tells how many and how long the device was busy. Empty where nothing here is probed.
  std::function<std::pair<int, double>()> load(double seconds = 0.03);

 private:
  struct Prepared;
  struct Free;
  const Problem& problem(const Operation& operation, const Shape& shape, Dtype dtype);
  Free& free_probe(const CapPlan& plan, Dtype dtype, double seconds);
  double delivered_from_outside(const CapPlan& plan, Dtype dtype, double seconds, int repeats, const Cap& cap);
  Prepared& prepared(const CapPlan& plan, Dtype dtype, double seconds);
  void warm_up(const Probe& probe);
  void rest() const;
  void require_reach(const CapPlan& plan, Dtype dtype);

  Device& device_;
  std::map<std::tuple<Resource, Dtype, bool>, std::optional<Choice>> choices_;
  std::map<std::string, std::unique_ptr<Problem>> problems_;  // by operation, dtype and shape
  // By mechanism, dtype and rate: looking for one takes many probes.
  std::map<std::tuple<std::string, Dtype, double>, double> settings_;
  std::map<std::tuple<Resource, Dtype>, double> reach_;  // uncapped, of the probe that charges
  std::map<std::tuple<std::string, Dtype, double>, Error> no_setting_;  // where none was found, and why
  // The last probe that no clock is part of: it serves every setting of a mechanism.
  std::unique_ptr<Free> free_;
  // By kernel, dtype, shape and, where every rate has a probe of its own, rate: setting one up takes longer than
  // running it.
  std::map<std::string, std::unique_ptr<Prepared>> prepared_;
  bool warm_ = false;
};

// Ceilings of every resource and of compute in `dtypes`.
Ceilings calibrate(Device& device, const std::vector<Dtype>& dtypes, double seconds_each = 0.4);

}  // namespace chokepoint
