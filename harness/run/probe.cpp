#include "harness/run/probe.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>
#include <vector>

#include "harness/base/error.hpp"
#include "harness/base/units.hpp"
#include "harness/caps/cap.hpp"
#include "harness/model/statistics.hpp"
#include "harness/run/architecture.hpp"

namespace chokepoint {

// One prepared probe. A device with memory of its own repeats a launch of bounded size instead of taking ever
// larger arrays.
struct Probe {
  std::unique_ptr<Launch> launch;
  double amount = 0.0;  // of one launch
  double messages = 0.0;
  int repeats = 1;  // launches per reading of the clock

  void run() const {
    for (int i = 0; i < repeats; ++i) launch->run();
  }
};

namespace {

// Rounds of repeats that a disturbed probe gets before its best counts.
constexpr int kMostRounds = 4;

constexpr double kWarmUp_s = 1.0;
constexpr std::chrono::milliseconds kRest{300};
constexpr double kProbeBurst_s = 0.02;
constexpr int kBursts = 5;

// A probe while a setting is looked for.
constexpr double kTuning_s = 0.01;
constexpr int kTuningRepeats = 5;

// The dtype in which a resource is probed: only compute depends on it.
Dtype probe_dtype(const Operation& operation, Resource resource, Dtype dtype) {
  return resource == Resource::compute ? dtype : operation.dtypes.front();
}

Probe prepare_probe(const Kernel& kernel, Resource resource, const Problem& problem, Device& device,
                    const Pace& pace) {
  Probe probe;
  probe.launch = kernel.prepare(problem, device, pace);
  const Work work = problem.work();
  probe.amount = work.of(resource);
  probe.messages = resource == Resource::link      ? work.link_messages
                   : resource == Resource::network ? work.network_messages
                                                   : 0.0;
  return probe;
}

// Bytes that a probe's arrays may take: host memory, filled and uploaded, is what a probe waits for. Many times any
// cache, and at a GPU's rates two hundred times the few microseconds between two launches.
double most_bytes(const DeviceFacts& facts) {
  return facts.own_memory ? std::min(1.2e9, static_cast<double>(facts.memory_bytes) / 16) : 1e300;
}

// The shape that moves about `amount`, or as much of it as fits the device.
std::optional<Shape> probe_shape(const Operation& operation, Resource resource, Dtype dtype, double amount,
                                 const DeviceFacts& facts) {
  for (; amount >= 1.0; amount /= 2) {
    const std::optional<Shape> wanted = operation.probe(resource, amount);
    if (!wanted) return std::nullopt;
    const Shape shape = complete_shape(operation, *wanted);
    if (operation.work(shape, dtype).memory_bytes <= most_bytes(facts)) return shape;
  }
  return std::nullopt;
}

// Amount that keeps a machine of this class busy for a few milliseconds, past its caches.
double first_amount(Resource resource, const DeviceFacts& facts) {
  switch (resource) {
    case Resource::compute:
      return facts.own_memory ? 2.0 * 8192 * 8192 * 8192 : 2.0 * 512 * 512 * 512;
    case Resource::memory:
      return facts.own_memory
                 ? most_bytes(facts)
                 : 4.0 * static_cast<double>(std::max<std::int64_t>(facts.last_level_cache_bytes, 1 << 22));
    default:
      return facts.own_memory
                 ? most_bytes(facts)
                 : static_cast<double>(std::max<std::int64_t>(facts.last_level_cache_bytes, 1 << 22));
  }
}

// Enough to tell a reference kernel from a fast one.
double small_amount(Resource resource, const DeviceFacts& facts) {
  if (!facts.own_memory) return 1.6e7;
  return resource == Resource::compute ? 2.0 * 4096 * 4096 * 4096 : 2.5e8;
}

bool has(const auto& list, auto value) { return std::find(list.begin(), list.end(), value) != list.end(); }

}  // namespace

PerResource<std::optional<double>> Ceilings::for_dtype(Dtype dtype) const {
  PerResource<std::optional<double>> all = rate;
  if (const auto found = compute.find(dtype); found != compute.end()) all[Resource::compute] = found->second;
  return all;
}

Json to_json(const Ceilings& ceilings) {
  Json compute = Json::object();
  for (const auto& [dtype, rate] : ceilings.compute) compute[std::string(to_string(dtype))] = rate;
  Json json = {{"compute_flop_per_s", compute}};
  for (Resource resource : {Resource::memory, Resource::link, Resource::network}) {
    const std::optional<double>& rate = ceilings.rate[resource];
    json[fmt::format("{}_bytes_per_s", to_string(resource))] = rate ? Json(*rate) : Json(nullptr);
  }
  return json;
}

Ceilings ceilings_from_json(Fields fields) {
  Ceilings ceilings;
  Fields compute = fields.object("compute_flop_per_s");
  for (const std::string& key : compute.keys())
    if (const std::optional<Dtype> dtype = dtype_from(key)) ceilings.compute[*dtype] = compute.positive(key);
  for (Resource resource : {Resource::memory, Resource::link, Resource::network})
    ceilings.rate[resource] = fields.maybe_positive(fmt::format("{}_bytes_per_s", to_string(resource)));
  fields.finish();
  return ceilings;
}

const Problem& Prober::problem(const Operation& operation, const Shape& shape, Dtype dtype) {
  std::unique_ptr<Problem>& known =
      problems_[fmt::format("{}/{}/{}", operation.name, to_string(dtype), shape.text())];
  if (!known) known = operation.make(shape, dtype, InputSpec{});
  return *known;
}

std::optional<Prober::Choice> Prober::choose(Resource resource, Dtype dtype, bool has_to_pace) {
  const auto [entry, is_new] = choices_.try_emplace({resource, dtype, has_to_pace});
  if (!is_new) return entry->second;
  double best_s = 0.0;
  for (const Operation& operation : Registry<Operation>::instance().all()) {
    const Dtype probed = probe_dtype(operation, resource, dtype);
    const std::optional<Shape> shape =
        probe_shape(operation, resource, probed, small_amount(resource, device_.facts()), device_.facts());
    if (!shape) continue;
    for (const Kernel* kernel : kernels_of(operation.name)) {
      if (!kernel->probes || kernel->device != device_.facts().kind) continue;
      if (has_to_pace && !has(kernel->paces, resource)) continue;
      if (!has(kernel->dtypes, probed) || kernel->unsupported(*shape, probed) ||
          architecture_obstacle(*kernel, device_.facts()))
        continue;
      const Probe probe =
          prepare_probe(*kernel, resource, problem(operation, *shape, probed), device_, Pace{});
      probe.run();
      const double time_s = device_.time_s([&] { probe.run(); }) / probe.amount;
      if (!entry->second || time_s < best_s) {
        entry->second = Choice{&operation, kernel};
        best_s = time_s;
      }
    }
  }
  return entry->second;
}

std::optional<double> Prober::ceiling(Resource resource, Dtype dtype, double seconds) {
  const std::optional<Choice> choice = choose(resource, dtype, !device_.facts().own_memory);
  if (!choice) return std::nullopt;
  const Dtype probed = probe_dtype(*choice->operation, resource, dtype);
  const std::optional<Shape> shape = probe_shape(*choice->operation, resource, probed,
                                                 first_amount(resource, device_.facts()), device_.facts());
  Probe probe = prepare_probe(*choice->kernel, resource, problem(*choice->operation, *shape, probed), device_,
                              Pace{});
  probe.run();
  device_.finish();
  std::vector<double> rates;
  if (device_.facts().own_memory) {
    // As a native cap is probed: the best of a few short bursts of a warm and rested chip. Under lasting load a GPU's
    // power limit lowers its clocks by a tenth, and a ceiling measured so would look exceeded ever after.
    warm_up(probe);
    const double once_s = device_.time_s([&] { probe.run(); });
    probe.repeats = std::clamp(static_cast<int>(kProbeBurst_s / once_s), 1, 10000);
    for (int i = 0; i < kBursts; ++i)
      rates.push_back(probe.amount * probe.repeats / device_.time_s([&] { probe.run(); }));
    return *std::max_element(rates.begin(), rates.end());
  }
  for (const double start = device_.now_s(); rates.size() < 5 || device_.now_s() - start < seconds;)
    rates.push_back(probe.amount * probe.repeats / device_.time_s([&] { probe.run(); }));
  return median(rates);
}

std::function<std::pair<int, double>()> Prober::load(double seconds) {
  for (const auto& [resource, dtype] : {std::pair(Resource::compute, Dtype::bf16), std::pair(Resource::memory, Dtype::f32)}) {
    const std::optional<Choice> choice = choose(resource, dtype, false);
    if (!choice) continue;
    const Dtype probed = probe_dtype(*choice->operation, resource, dtype);
    const std::optional<Shape> shape = probe_shape(*choice->operation, resource, probed,
                                                   first_amount(resource, device_.facts()), device_.facts());
    if (!shape) continue;
    auto probe = std::make_shared<Probe>(prepare_probe(*choice->kernel, resource,
                                                       problem(*choice->operation, *shape, probed), device_, Pace{}));
    probe->run();
    device_.finish();
    probe->repeats = std::clamp(static_cast<int>(seconds / device_.time_s([&] { probe->run(); })), 1, 1000);
    return [this, probe] { return std::pair(probe->repeats, device_.time_s([&] { probe->run(); })); };
  }
  return {};
}

// A probe under its cap. The launch goes before the clocks it charges.
struct Prober::Prepared {
  Pace pace;
  std::unique_ptr<InstalledCap> cap;  // null for a native plan
  Probe probe;
};

Prober::Prober(Device& device) : device_(device) {}
Prober::~Prober() = default;

Prober::Prepared& Prober::prepared(const CapPlan& plan, Dtype dtype, double seconds) {
  const Resource resource = plan.demand.resource;
  const std::optional<Choice> choice = choose(resource, dtype, !plan.native);
  const Cap* cap = find_cap(resource, device_.facts().kind);
  if (!choice || (cap == nullptr && !plan.native))
    throw Error(
        Fault::unsupported,
        fmt::format("{} cannot be capped and probed on {}", to_string(resource), device_.facts().kind),
        "see `chokepoint list caps`");
  const Dtype probed = probe_dtype(*choice->operation, resource, dtype);
  const bool reuses = device_.facts().own_memory;  // one probe for many rates: its arrays travel to the device
  double amount = plan.requested * seconds;
  if (reuses) amount = std::exp2(std::floor(std::log2(amount)));
  if (reuses && plan.native) amount = first_amount(resource, device_.facts());  // the ceiling's own
  const std::optional<Shape> shape = probe_shape(*choice->operation, resource, probed, amount, device_.facts());
  if (!shape || choice->kernel->unsupported(*shape, probed))
    throw Error(Fault::unsupported,
                fmt::format("no probe of {} at {:.3g} per second", to_string(resource), plan.requested),
                "raise the rate");
  const std::string rate = plan.native ? "native" : reuses ? "paced" : fmt::format("{} {}", plan.requested, plan.latency_s);
  std::unique_ptr<Prepared>& known =
      prepared_[fmt::format("{}/{}/{}/{}/{}", choice->operation->name, choice->kernel->name, to_string(probed),
                            shape->text(), rate)];
  if (!known) {
    auto fresh = std::make_unique<Prepared>();
    if (!plan.native) fresh->cap = cap->install(plan, device_, fresh->pace);
    fresh->probe = prepare_probe(*choice->kernel, resource, problem(*choice->operation, *shape, probed), device_,
                                 fresh->pace);
    fresh->probe.run();  // first touch
    device_.finish();
    known = std::move(fresh);
  }
  if (reuses) {
    known->probe.repeats = std::max(1, static_cast<int>(plan.requested * seconds / known->probe.amount + 0.5));
    if (known->cap) known->cap->retune(plan);
  }
  warm_up(known->probe);
  return *known;
}

// A GPU that comes from idle clocks low for up to a second; right after the load that wakes it, its power limit does.
void Prober::warm_up(const Probe& probe) {
  if (warm_ || !device_.facts().own_memory) return;
  for (const double start = device_.now_s(); device_.now_s() - start < kWarmUp_s;)
    device_.time_s([&] { probe.launch->run(); });
  rest();
  warm_ = true;
}

// After load a GPU's power limit holds its clocks down for a while; a CPU's does not.
void Prober::rest() const {
  if (device_.facts().own_memory) std::this_thread::sleep_for(kRest);
}

struct Prober::Free {
  std::string key;
  Probe probe;
};

Prober::Free& Prober::free_probe(const CapPlan& plan, Dtype dtype, double seconds) {
  const Resource resource = plan.demand.resource;
  const std::optional<Choice> choice = choose(resource, dtype, false);
  if (!choice)
    throw Error(Fault::unsupported,
                fmt::format("nothing probes {} on {}", to_string(resource), device_.facts().kind),
                "see `chokepoint list kernels`");
  const Dtype probed = probe_dtype(*choice->operation, resource, dtype);
  const std::optional<Shape> shape =
      probe_shape(*choice->operation, resource, probed, first_amount(resource, device_.facts()), device_.facts());
  const std::string key = fmt::format("{}/{}/{}/{}", choice->operation->name, choice->kernel->name,
                                      to_string(probed), shape->text());
  if (!free_ || free_->key != key) {
    free_.reset();  // before its successor asks for memory
    auto fresh = std::make_unique<Free>();
    fresh->key = key;
    fresh->probe = prepare_probe(*choice->kernel, resource, problem(*choice->operation, *shape, probed), device_,
                                 Pace{});
    fresh->probe.run();  // first touch
    device_.finish();
    free_ = std::move(fresh);
  }
  free_->probe.repeats = std::max(1, static_cast<int>(plan.requested * seconds / free_->probe.amount + 0.5));
  return *free_;
}

double Prober::delivered_from_outside(const CapPlan& plan, Dtype dtype, double seconds, int repeats,
                                      const Cap& cap) {
  const CapPlan ready = tuned(plan, dtype, cap);
  const Probe& probe = free_probe(plan, dtype, seconds).probe;
  Pace no_clocks;
  const std::unique_ptr<InstalledCap> installed = cap.install(ready, device_, no_clocks);
  installed->engage();
  installed->hold([&] { probe.launch->run(); });  // a library may look for an algorithm for the part it reaches
  device_.finish();
  std::vector<double> rates;
  for (int i = 0; i < repeats; ++i)
    installed->hold([&] {
      rates.push_back(probe.amount * probe.repeats / device_.time_s([&] { probe.run(); }));
    });
  installed->release();
  installed->delivered(0.0);  // throws what the cap met meanwhile
  return median(rates).value();
}

CapPlan Prober::tuned(const CapPlan& plan, Dtype dtype, const Cap& mechanism) {
  CapPlan ready = plan;
  if (mechanism.kernel_charges) require_reach(plan, dtype);
  if (!mechanism.tune || plan.setting) return ready;
  const auto key = std::tuple(mechanism.name, dtype, plan.requested);
  if (const auto known = no_setting_.find(key); known != no_setting_.end()) throw Error(known->second);
  if (!settings_.contains(key)) try {
      settings_[key] = mechanism.tune(plan, device_.facts(), [&](double setting) {
      CapPlan trial = plan;
      trial.setting = setting;
      return delivered_from_outside(trial, dtype, kTuning_s, kTuningRepeats, mechanism);
    });
    } catch (const Error& error) {
      if (error.fault() == Fault::cap_not_held) no_setting_.emplace(key, error);
      throw;
    }
  ready.setting = settings_[key];
  return ready;
}

bool is_out_of_reach(const Error& error) {
  return error.fault() == Fault::unsupported || error.fault() == Fault::cap_not_held;
}

Prober::Held Prober::first_that_holds(const CapPlan& plan, Dtype dtype, std::span<const Cap* const> mechanisms) {
  for (const Cap* mechanism : mechanisms.first(mechanisms.size() - 1)) try {
      return {mechanism, tuned(plan, dtype, *mechanism)};
    } catch (const Error& error) {
      if (!is_out_of_reach(error)) throw;
    }
  return {mechanisms.back(), tuned(plan, dtype, *mechanisms.back())};
}

double Prober::delivered(const CapPlan& plan, Dtype dtype, double seconds, int repeats, const Cap* mechanism) {
  if (!plan.native && mechanism != nullptr && !mechanism->kernel_charges)
    return delivered_from_outside(plan, dtype, seconds, repeats, *mechanism);
  Prepared& prepared = this->prepared(plan, dtype, seconds);
  const Probe& probe = prepared.probe;
  if (prepared.cap) prepared.cap->engage();
  double best = 0.0;
  for (int i = 0; i < repeats || (i < kMostRounds * repeats && best < plan.requested * (1.0 - kCapTolerance));
       ++i) {
    if (i >= repeats && i % repeats == 0) rest();
    const double time_s = device_.time_s([&] { probe.run(); }) / probe.repeats;
    best = std::max(best, probe.amount / (time_s - probe.messages * plan.latency_s));
  }
  if (prepared.cap) prepared.cap->release();
  return best;
}

// A clock that no kernel reaches uncapped would not bind, and would look missed. A CPU's ceiling is that of kernels that
// pace; a GPU's compute is that of the fastest library.
void Prober::require_reach(const CapPlan& plan, Dtype dtype) {
  if (!device_.facts().own_memory) return;
  double& reach = reach_[{plan.demand.resource, dtype}];
  if (reach == 0.0) {
    const Probe& probe = prepared(plan, dtype, kProbeBurst_s).probe;  // its cap is not engaged
    for (int i = 0; i < kBursts; ++i)
      reach = std::max(reach, probe.amount * probe.repeats / device_.time_s([&] { probe.run(); }));
  }
  if (reach >= plan.requested) return;
  const std::string unit = fmt::format("{}/s", unit_of(plan.demand.resource));
  throw Error(Fault::cap_not_held,
              fmt::format("no kernel that charges {} is fast enough to be capped at {}: the fastest reaches {} here",
                          to_string(plan.demand.resource), with_unit(plan.requested, unit), with_unit(reach, unit)),
              "choose a target with less of it, or a kernel that is capped from outside");
}

Ceilings calibrate(Device& device, const std::vector<Dtype>& dtypes, double seconds_each) {
  Prober prober(device);
  Ceilings ceilings;
  for (Dtype dtype : dtypes)
    if (const std::optional<double> rate = prober.ceiling(Resource::compute, dtype, seconds_each))
      ceilings.compute[dtype] = *rate;
  for (Resource resource : {Resource::memory, Resource::link, Resource::network})
    ceilings.rate[resource] = prober.ceiling(resource, Dtype::f32, seconds_each);
  return ceilings;
}

}  // namespace chokepoint
