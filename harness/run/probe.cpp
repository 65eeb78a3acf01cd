#include "harness/run/probe.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "harness/base/error.hpp"
#include "harness/caps/cap.hpp"
#include "harness/model/statistics.hpp"

namespace chokepoint {
namespace {

// Rounds of repeats that a disturbed probe gets before its best counts.
constexpr int kMostRounds = 4;

// The dtype in which a resource is probed: only compute depends on it.
Dtype probe_dtype(const Operation& operation, Resource resource, Dtype dtype) {
  return resource == Resource::compute ? dtype : operation.dtypes.front();
}

// One prepared probe of about `amount`.
struct Probe {
  std::unique_ptr<Problem> problem;
  std::unique_ptr<Launch> launch;
  double amount = 0.0;
  double messages = 0.0;
};

std::optional<Probe> make_probe(const Operation& operation, const Kernel& kernel, Resource resource,
                                Dtype dtype, double amount, Device& device, const Pace& pace) {
  const std::optional<Shape> wanted = operation.probe(resource, amount);
  if (!wanted) return std::nullopt;
  const Shape shape = complete_shape(operation, *wanted);
  if (kernel.unsupported(shape, dtype)) return std::nullopt;
  Probe probe;
  probe.problem = operation.make(shape, dtype, InputSpec{});
  probe.launch = kernel.prepare(*probe.problem, device, pace);
  const Work work = probe.problem->work();
  probe.amount = work.of(resource);
  probe.messages = resource == Resource::link      ? work.link_messages
                   : resource == Resource::network ? work.network_messages
                                                   : 0.0;
  return probe;
}

// Amount that keeps a machine of this class busy for a few milliseconds, past its caches.
double first_amount(Resource resource, const DeviceFacts& facts) {
  switch (resource) {
    case Resource::compute:
      return 2.0 * 512 * 512 * 512;
    case Resource::memory:
      return 4.0 * static_cast<double>(std::max<std::int64_t>(facts.last_level_cache_bytes, 1 << 22));
    default:
      return static_cast<double>(std::max<std::int64_t>(facts.last_level_cache_bytes, 1 << 22));
  }
}

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

std::optional<Prober::Choice> Prober::choose(Resource resource, Dtype dtype) {
  const auto [entry, is_new] = choices_.try_emplace({resource, dtype});
  if (!is_new) return entry->second;
  double best_s = 0.0;
  for (const Operation& operation : Registry<Operation>::instance().all()) {
    const Dtype probed = probe_dtype(operation, resource, dtype);
    if (!operation.probe(resource, 1e6)) continue;
    for (const Kernel* kernel : kernels_of(operation.name)) {
      if (!kernel->probes || kernel->device != device_.facts().kind) continue;
      if (std::find(kernel->paces.begin(), kernel->paces.end(), resource) == kernel->paces.end()) continue;
      if (std::find(kernel->dtypes.begin(), kernel->dtypes.end(), probed) == kernel->dtypes.end()) continue;
      // A small amount is enough to tell a reference kernel from a fast one.
      std::optional<Probe> probe = make_probe(operation, *kernel, resource, probed, 1.6e7, device_, Pace{});
      if (!probe) continue;
      probe->launch->run();
      const double time_s = device_.time_s([&] { probe->launch->run(); }) / probe->amount;
      if (!entry->second || time_s < best_s) {
        entry->second = Choice{&operation, kernel};
        best_s = time_s;
      }
    }
  }
  return entry->second;
}

std::optional<double> Prober::ceiling(Resource resource, Dtype dtype, double seconds) {
  const std::optional<Choice> choice = choose(resource, dtype);
  if (!choice) return std::nullopt;
  const Dtype probed = probe_dtype(*choice->operation, resource, dtype);
  std::optional<Probe> probe = make_probe(*choice->operation, *choice->kernel, resource, probed,
                                          first_amount(resource, device_.facts()), device_, Pace{});
  if (!probe) return std::nullopt;
  probe->launch->run();
  std::vector<double> rates;
  for (const double start = device_.now_s(); rates.size() < 5 || device_.now_s() - start < seconds;)
    rates.push_back(probe->amount / device_.time_s([&] { probe->launch->run(); }));
  return median(rates);
}

double Prober::delivered(const CapPlan& plan, Dtype dtype, double seconds, int repeats) {
  const Resource resource = plan.demand.resource;
  const std::optional<Choice> choice = choose(resource, dtype);
  const Cap* cap = find_cap(resource, device_.facts().kind);
  if (!choice || (cap == nullptr && !plan.native))
    throw Error(
        Fault::unsupported,
        fmt::format("{} cannot be capped and probed on {}", to_string(resource), device_.facts().kind),
        "see `chokepoint list caps`");
  Pace pace;
  std::unique_ptr<InstalledCap> installed;
  if (!plan.native) installed = cap->install(plan, pace);
  const Dtype probed = probe_dtype(*choice->operation, resource, dtype);
  std::optional<Probe> probe = make_probe(*choice->operation, *choice->kernel, resource, probed,
                                          plan.requested * seconds, device_, pace);
  if (!probe)
    throw Error(Fault::unsupported,
                fmt::format("no probe of {} at {:.3g} per second", to_string(resource), plan.requested),
                "raise the rate");
  probe->launch->run();  // first touch
  if (installed) installed->engage();
  double best = 0.0;
  for (int i = 0; i < repeats || (i < kMostRounds * repeats && best < plan.requested * (1.0 - kCapTolerance));
       ++i) {
    const double time_s = device_.time_s([&] { probe->launch->run(); });
    best = std::max(best, probe->amount / (time_s - probe->messages * plan.latency_s));
  }
  return best;
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
