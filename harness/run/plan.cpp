#include "harness/run/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "harness/base/error.hpp"
#include "harness/base/random.hpp"
#include "harness/base/strings.hpp"
#include "harness/device/device.hpp"
#include "harness/meters/energy.hpp"

namespace chokepoint {
namespace {

// Probing all caps of one target at four rates, and preparing buffers: measured on two cores, and on a GPU.
struct Overhead {
  double per_group_s, per_target_s;
};
Overhead overhead_on(const std::string& device) {
  return device.starts_with("cuda") ? Overhead{0.3, 0.3} : Overhead{0.5, 1.5};
}
constexpr double kLeastShareOfSamples = 0.02;  // that a budget leaves, which then is not kept

// Enough for half a percent on slowly wandering noise (reference rule: 16,605), and a record stays under half
// a megabyte.
constexpr std::size_t kMostSamples = 20000;

SamplingPlan sampling_of(const SuiteSampling& suite) {
  SamplingPlan plan;
  plan.most_samples = kMostSamples;
  if (suite.budget_s) plan.budget_s = *suite.budget_s;
  if (suite.half_width) plan.half_width = *suite.half_width;
  if (suite.confidence) plan.confidence = *suite.confidence;
  return plan;
}

[[noreturn]] void rethrow_at(const Error& error, const std::string& where) {
  throw Error(error.fault(), fmt::format("{}: {}", where, error.message()), error.remedy());
}

// Every rate that the caps of this group will need is asked for now, so that a profile that lacks one is an
// error before anything is measured.
void check_targets(const CaseGroup& group, const Work& work, const std::vector<Profile>& profiles) {
  for (const std::string& text : group.targets) {
    const Target target = parse_target(text, profiles);
    if (target.is_host()) continue;
    for (Resource resource : resources_of(work)) target_rate(target, resource, group.dtype);
  }
}

void check_distribution(const std::string& name) {
  const std::vector<std::string>& known = input_distributions();
  if (std::find(known.begin(), known.end(), name) == known.end())
    throw Error(Fault::config, fmt::format("input distribution \"{}\" is unknown", name),
                suggestion(name, known));
}

std::optional<std::string> obstacle(const Operation& operation, const Kernel& kernel,
                                    const CaseGroup& group) {
  if (std::find(operation.dtypes.begin(), operation.dtypes.end(), group.dtype) == operation.dtypes.end())
    return fmt::format("{} is not defined for {}", operation.name, to_string(group.dtype));
  if (std::find(kernel.dtypes.begin(), kernel.dtypes.end(), group.dtype) == kernel.dtypes.end())
    return fmt::format("kernel {} does not compute {}", kernel.name, to_string(group.dtype));
  if (kernel.device != split(group.device, ':').front())
    return fmt::format("kernel {} runs on {}, not on {}", kernel.name, kernel.device, group.device);
  return kernel.unsupported(group.shape, group.dtype);
}

}  // namespace

std::string CaseGroup::name() const {
  return fmt::format("{}/{}/{}/{}", operation, kernel, to_string(dtype), shape.text());
}

std::string case_name(const CaseGroup& group, const std::string& target) {
  return fmt::format("{}@{}", group.name(), target);
}

std::string case_id(const CaseGroup& group, const std::string& target) {
  const std::string name = case_name(group, target);
  const std::string all = fmt::format("{};seed={};distribution={};device={}", name, group.inputs.seed,
                                      group.inputs.distribution, split(group.device, ':').front());
  return fmt::format("{}#{}", name, sha256_hex(all).substr(0, 8));
}

std::vector<Resource> resources_of(const Work& work) {
  std::vector<Resource> used;
  for (Resource resource : kResources)
    if (work.of(resource) > 0.0) used.push_back(resource);
  return used;
}

std::vector<CaseGroup> plan_suite(const Suite& suite, const PlanOptions& options) {
  const std::vector<ModelShapes> models = load_models(options.configs);
  const std::vector<Profile> profiles = load_profiles(options.configs);
  std::vector<CaseGroup> groups;
  std::set<std::string> seen;
  const std::string device = options.device.value_or(suite.device), kind = split(device, ':').front();
  if (Registry<DeviceDriver>::instance().find(kind) == nullptr)
    throw Error(Fault::unsupported, fmt::format("{}: {} is not in this build", suite.path, kind),
                kind == "cuda" ? "configure with -DENABLE_CUDA=ON where nvcc is installed, or choose --device cpu"
                               : "see `chokepoint doctor` for the devices there are");
  if (std::none_of(suite.cases.begin(), suite.cases.end(),
                   [&](const SuiteCase& entry) { return !kernels_on(entry, kind).empty(); }))
    throw Error(Fault::config, fmt::format("{}: no case names a kernel for {}", suite.path, kind),
                fmt::format("add \"{}\" to the kernels of a case, or choose another --device", kind));
  for (const SuiteCase& entry : suite.cases) try {
      const Operation& operation = find_operation(entry.operation);
      check_distribution(entry.distribution);
      for (const std::string& kernel_name : kernels_on(entry, kind))
        for (const SuiteShape& fragment : expand_shapes(entry, models))
          for (Dtype dtype : entry.dtypes) {
            const Kernel& kernel = find_kernel(entry.operation, kernel_name);
            CaseGroup group;
            group.operation = entry.operation;
            group.kernel = kernel_name;
            group.shape = complete_shape(operation, fragment.shape);
            group.label = fragment.label;
            group.dtype = dtype;
            group.inputs = {options.seed.value_or(entry.seed), entry.distribution};
            group.device = device;
            group.sampling = sampling_of(entry.sampling);
            group.warm_up_s = entry.sampling.warm_up_s.value_or(group.warm_up_s);
            group.pinned_dilation = options.dilation;
            group.energy = options.energy;
            const std::vector<std::string>& targets =
                !options.targets.empty() ? options.targets : entry.targets;
            for (const std::string& target : targets)
              if (glob_matches(options.filter, case_name(group, target)) &&
                  seen.insert(case_id(group, target)).second)
                group.targets.push_back(target);
            if (group.targets.empty()) continue;
            group.unsupported = obstacle(operation, kernel, group);
            check_targets(group, operation.work(group.shape, dtype), profiles);
            groups.push_back(std::move(group));
          }
    } catch (const Error& error) {
      rethrow_at(error, entry.where);
    }
  if (options.budget_s) {
    double total_s = 0.0, samples_s = 0.0;
    for (const CaseGroup& group : groups) {
      if (group.unsupported) continue;
      total_s += expected_s(group);
      samples_s += static_cast<double>(group.targets.size()) * group.sampling.budget_s;
    }
    // Samples give way; warming up and probing have to take what they take.
    const double scale = std::clamp((*options.budget_s - (total_s - samples_s)) / samples_s, kLeastShareOfSamples, 1.0);
    for (CaseGroup& group : groups)
      if (!group.unsupported) group.sampling.budget_s *= scale;
  }
  return groups;
}

double expected_s(const CaseGroup& group) {
  if (group.unsupported) return 0.0;
  const auto targets = static_cast<double>(group.targets.size());
  const double energy_s =
      group.energy.empty() ? 0.0 : expected_energy_s(energy_settings(group.energy), group.targets.size());
  const Overhead overhead = overhead_on(group.device);
  return overhead.per_group_s + group.warm_up_s +
         targets * (group.sampling.budget_s + overhead.per_target_s) + energy_s;
}

Json to_json(const CaseGroup& group) {
  Json shape = Json::object();
  for (const auto& [field, value] : group.shape.values())
    std::visit([&, &name = field](const auto& inner) { shape[name] = inner; }, value);
  const SamplingPlan& sampling = group.sampling;
  return {{"operation", group.operation},
          {"kernel", group.kernel},
          {"shape", shape},
          {"label", group.label},
          {"dtype", to_string(group.dtype)},
          {"seed", group.inputs.seed},
          {"distribution", group.inputs.distribution},
          {"device", group.device},
          {"targets", group.targets},
          {"budget_s", sampling.budget_s},
          {"half_width", sampling.half_width},
          {"confidence", sampling.confidence},
          {"warm_up_s", group.warm_up_s},
          {"energy", group.energy},
          {"dilation", group.pinned_dilation ? Json(*group.pinned_dilation) : Json(nullptr)}};
}

CaseGroup group_from_json(const JsonFile& file) {
  Fields fields(file);
  CaseGroup group;
  group.operation = fields.text("operation");
  group.kernel = fields.text("kernel");
  Fields shape = fields.object("shape");
  for (const std::string& key : shape.keys()) {
    if (shape.json()[key].is_string())
      group.shape.set(key, shape.text(key));
    else
      group.shape.set(key, shape.integer(key));
  }
  group.label = fields.text("label");
  group.dtype = dtype_from(fields.text("dtype")).value();
  group.inputs.seed = fields.any("seed").get<std::uint64_t>();
  group.inputs.distribution = fields.text("distribution");
  group.device = fields.text("device");
  group.targets = fields.texts("targets");
  group.sampling.most_samples = kMostSamples;
  group.sampling.budget_s = fields.positive("budget_s");
  group.sampling.half_width = fields.positive("half_width");
  group.sampling.confidence = fields.positive("confidence");
  group.warm_up_s = fields.number("warm_up_s");
  group.energy = fields.text("energy");
  group.pinned_dilation = fields.maybe_number("dilation");
  fields.finish();
  return group;
}

}  // namespace chokepoint
