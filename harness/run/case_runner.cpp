#include "harness/run/case_runner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "harness/base/error.hpp"
#include "harness/base/units.hpp"
#include "harness/caps/cap.hpp"
#include "harness/meters/meter.hpp"
#include "harness/model/roofline.hpp"
#include "harness/run/architecture.hpp"
#include "harness/run/in_turn.hpp"
#include "harness/run/sequence.hpp"
#include "harness/run/verify.hpp"
#include "harness/run/wire_lanes.hpp"

namespace chokepoint {
namespace {

constexpr std::int64_t kMostCopies = 32, kLeastGpuCopies = 4;
constexpr std::int64_t kMostCopyBytes = std::int64_t{4} << 30;  // in and out, of one target
// Copies go past the last-level cache by this factor. A GPU's cache keeps lines of earlier launches longer than
// a pass over it takes, hence more there (reference: buffers through more than 4 times L2).
constexpr std::int64_t kPastCache = 2, kPastGpuCache = 4;
// Blocks are repeated until they take about this long on a device that enqueues, so that waiting for the host
// between blocks is a small part; at most so often.
constexpr double kLeastBlock_s = 3e-3;
constexpr std::size_t kMostBlocksAtOnce = 16;
constexpr double kSlice_s = 0.03;  // of steady load between two looks at the energy meter
constexpr std::size_t kMostInSlice = 1000;
constexpr double kBurst_s = 1.0, kSustained_s = 10.0;  // design.md section 6
constexpr double kUnderchargeTolerance = 0.02;
// Of one transfer of a probe. A GPU keeps a clock to a microsecond or two, and has many probes to make.
constexpr double kProbe_s = 0.02, kGpuProbe_s = 0.005;
constexpr int kProbes = 5;

// One target of the group: its caps, its launches (one per copy of the problem), its samples.
struct Arm {
  Target target;
  Record record;
  std::vector<CapPlan> plans;
  Pace pace;
  std::vector<const Cap*> mechanisms;               // same order as plans; null for native ones
  std::vector<std::unique_ptr<InstalledCap>> caps;  // the same
  std::vector<CapRecord> cap_records;
  WireLanes lanes;
  std::vector<std::unique_ptr<Launch>> launches;
  std::unique_ptr<LaunchTimer> timer;
  std::optional<StoppingRule> rule;
  double sampled_s = 0.0;
  std::optional<EnergyMeasurement> energy;

  // Clocks pace in proportion to their rate; what is tuned is tuned at the one rate.
  bool is_clock(std::size_t i) const { return mechanisms[i] != nullptr && mechanisms[i]->kernel_charges; }
  Contender contender() const { return {timer.get(), caps}; }
};

bool paces(const Kernel& kernel, Resource resource) {
  return std::find(kernel.paces.begin(), kernel.paces.end(), resource) != kernel.paces.end();
}

std::vector<const Cap*> mechanisms_for(const Kernel& kernel, Resource resource, const DeviceFacts& facts) {
  return find_caps(resource, facts.kind, paces(kernel, resource));
}

class GroupDriver {
 public:
  // Arms whose caps cannot hold here go from `arms`, and their records to `left_out`.
  GroupDriver(const CaseGroup& group, Device& device, const CaseContext& context, std::vector<Arm>& arms,
              std::vector<Record>& left_out)
      : group_(group), device_(device), context_(context), arms_(arms), left_out_(left_out),
        own_prober_(device), prober_(context.prober ? *context.prober : own_prober_),
        own_gpu_(device.facts()), gpu_(context.gpu ? *context.gpu : own_gpu_),
        problem_source_(context.problems ? *context.problems : own_problem_source_) {}
  ~GroupDriver() { device_.expect_repeats({}); }
  GroupDriver(const GroupDriver&) = delete;
  GroupDriver& operator=(const GroupDriver&) = delete;

  void begins(const char* step) {
    const double now_s = device_.now_s();
    if (!steps_.empty()) steps_.back().second = now_s - step_start_s_;
    steps_.emplace_back(step, 0.0);
    step_start_s_ = now_s;
  }

  void prepare() {
    const Kernel& kernel = find_kernel(group_.operation, group_.kernel);
    prepared_ = problem_source_.get(group_);
    const std::int64_t copies = copies_wanted();
    // On a device with memory of its own every launch uploads its own copy anyway.
    for (std::int64_t copy = 1; copy < copies && !device_.facts().own_memory; ++copy)
      clones_.push_back(problem().clone());
    begins("prepare_launches");
    std::vector<const void*> repeated;
    for (const Tensor* input : problem().inputs()) repeated.push_back(input->data());
    device_.expect_repeats(repeated);
    choose_caps(kernel);
    for (Arm& arm : arms_) install_caps(arm);
    for (Arm& arm : arms_) {
      arm.lanes = WireLanes(device_, kernel.wire_multiprocessors(group_.shape), arm.caps);
      arm.lanes.hold([&] { prepare_launches(kernel, arm, copies); });
    }
    // Copy engines are kept at their rate by a thread of the host, which is to be left alone.
    if (std::none_of(arms_.begin(), arms_.end(), acts_on_the_device)) problem_source_.look_ahead();
  }

  void verify() {
    for (Arm& arm : arms_)
      for (const auto& launch : arm.launches) {
        launch->poison();
        arm.lanes.hold_if_taken([&] {
          launch->run();
          check_output(arm, *launch, "before sampling");
        });
      }
    for (Arm& arm : arms_)
      hold_under(arm.caps, [&] { arm.lanes.hold_if_taken([&] { arm.timer = device_.timer(runs_of(arm)); }); });
  }

  void warm_up() {
    const double start = device_.now_s();
    const std::vector<LaunchTimer*> once = in_turn(1);
    // On a GPU at least once: what is first may allocate, which nothing may while traffic flows.
    for (bool first = device_.facts().own_memory; first || device_.now_s() - start < group_.warm_up_s; first = false)
      device_.time_in_turn(once);
    warmed_s_ = device_.now_s() - start;
  }

  void probe_before() {
    for (Arm& arm : arms_)
      for (std::size_t i = 0; i < arm.plans.size(); ++i) {
        arm.cap_records[i].delivered_before = probed(arm, i, arm.plans[i]);
        if (!arm.is_clock(i)) continue;
        double worst = 0.0;
        for (double share : {0.5, 0.75}) {
          CapPlan other = arm.plans[i];
          other.requested *= share;
          worst = std::max(worst, std::abs(probed(arm, i, other) / other.requested - 1.0));
        }
        arm.cap_records[i].linearity_error = worst;
      }
    probes_.clear();
  }

  void engage() {
    for (Arm& arm : arms_) {
      for (const auto& launch : arm.launches) launch->poison();
      arm.timer->start_over();  // the first samples are those of the first launches, which verify_output looks at
      SamplingPlan plan = group_.sampling;
      plan.budget_s *= static_cast<double>(arms_.size());
      arm.rule.emplace(plan);
      engage_caps(arm.contender(), false);
    }
  }

  // Blocks A B C C B A: every target twice per block, so that drift cancels in ratios.
  void sample() {
    const std::optional<OpenMeter> meter =
        arms_.size() == 1 ? open_meter(device_.facts().kind) : std::nullopt;
    const double joule_before = meter ? meter->counter->joule() : 0.0;
    const std::unique_ptr<RegimeMonitor> monitor = gpu_.watch();
    const double start = device_.now_s();
    const auto done = [&] {
      return std::all_of(arms_.begin(), arms_.end(), [](const Arm& arm) { return arm.rule->done(); });
    };
    for (std::size_t blocks = 1; !done();) {
      const std::vector<double> times = time_capped(blocks);
      double block_s = 0.0;
      for (std::size_t i = 0; i < times.size(); ++i) {
        Arm& arm = arms_[arm_of(i)];
        const double sample_s = times[i] * arm.timer->launches_per_sample();
        arm.sampled_s += sample_s;
        block_s += sample_s / static_cast<double>(blocks);
        arm.rule->add(times[i], device_.now_s() - start);
      }
      if (device_.facts().own_memory)
        blocks = std::clamp<std::size_t>(static_cast<std::size_t>(kLeastBlock_s / block_s), 1, kMostBlocksAtOnce);
    }
    window_s_ = device_.now_s() - start;
    if (monitor) regime_ = monitor->stop();
    if (meter) {
      joule_per_launch_ = (meter->counter->joule() - joule_before) / launches_timed(arms_.front());
      meter_ = meter->meter;
    }
    for (Arm& arm : arms_)
      for (std::size_t i = 0; i < arm.caps.size(); ++i)
        if (arm.caps[i]) note_delivered(arm, i);
  }

  // One target after the other, each under its own caps.
  void measure_energy() {
    if (group_.energy.empty()) return;
    for (Arm& arm : arms_) arm.energy = gpu_.measure(group_.energy, [&] { return keep_busy(arm); });
  }

  void release() noexcept {
    for (Arm& arm : arms_)
      for (bool device_wide : {true, false}) release_caps(arm.contender(), device_wide);
  }

  void verify_output() {
    for (Arm& arm : arms_)
      for (std::size_t i = 0; i < std::min(arm.launches.size(), arm.rule->samples().size()); ++i)
        check_output(arm, *arm.launches[i], "while sampling");
  }

  void probe_after() {
    for (Arm& arm : arms_)
      for (std::size_t i = 0; i < arm.plans.size(); ++i)
        arm.cap_records[i].delivered_after = probed(arm, i, arm.plans[i]);
  }

  void conclude() {
    for (Arm& arm : arms_) {
      arm.record.time = summary(arm);
      arm.record.energy = energy(arm);
      if (arm.energy) keep_energy(*arm.energy, !arm.target.is_host(), arm.record.energy);
      if (!regime_.is_null()) arm.record.provenance["clocks"] = regime_;
      arm.record.basis = basis(arm);
      arm.lanes.note(arm.record);
      arm.record.status = Status::ok;
      for (std::size_t i = 0; i < arm.plans.size(); ++i) {
        CapRecord& cap = arm.cap_records[i];
        cap.status = judge(cap);
        if (cap.status != CapStatus::held) invalidate(arm, cap_complaint(cap));
      }
      arm.record.caps = arm.cap_records;
      for (const std::string& complaint : arm_complaints_[&arm]) invalidate(arm, complaint);
      check_plausible(arm);
      if (arms_.size() > 1) arm.record.interleave_group = group_.name();
      arm.record.provenance["step_s"] = step_times();
      arm.record.provenance["copies"] = arm.launches.size();
      arm.record.provenance["launches_per_sample"] = arm.timer->launches_per_sample();
      for (const auto& [key, value] : arm.launches.front()->remarks()) arm.record.provenance[key] = value;
    }
  }

 private:
  const Problem& problem() const { return *prepared_->problem; }

  // Wall time of the steps so far, an equal share for each arm.
  Json step_times() const {
    Json json = Json::object();
    for (const auto& [step, seconds] : steps_)
      if (seconds > 0.0) json[step] = seconds / static_cast<double>(arms_.size());
    return json;
  }

  void prepare_launches(const Kernel& kernel, Arm& arm, std::int64_t copies) const {
    for (std::int64_t copy = 0; copy < copies; ++copy) {
      const auto clone = static_cast<std::size_t>(copy) - 1;
      arm.launches.push_back(kernel.prepare(clone < clones_.size() ? *clones_[clone] : problem(), device_, arm.pace));
    }
  }

  static std::vector<std::function<void()>> runs_of(const Arm& arm) {
    std::vector<std::function<void()>> runs;
    for (const auto& launch : arm.launches) runs.push_back([&launch = *launch] { launch.run(); });
    return runs;
  }

  // About 30 ms of launches of one arm, back to back.
  LoadStep keep_busy(Arm& arm) {
    const double sample_s = std::max(1e-6, arm.sampled_s / static_cast<double>(arm.rule->samples().size()));
    const auto samples = std::clamp<std::size_t>(static_cast<std::size_t>(kSlice_s / sample_s), 1, kMostInSlice);
    LoadStep step;
    const Contender contender = arm.contender();
    const std::vector<const Contender*> order(samples, &contender);
    for (double launch_s : time_contenders(device_, order)) {
      step.launches += arm.timer->launches_per_sample();
      step.busy_s += launch_s * arm.timer->launches_per_sample();
    }
    return step;
  }

  // The order of `blocks` blocks A B C C B A.
  std::vector<LaunchTimer*> in_turn(std::size_t blocks) const {
    std::vector<LaunchTimer*> order;
    for (std::size_t i = 0; i < 2 * arms_.size() * blocks; ++i) order.push_back(arms_[arm_of(i)].timer.get());
    return order;
  }

  // The same, under the arms' caps.
  std::vector<double> time_capped(std::size_t blocks) const {
    std::vector<Contender> contenders;
    for (const Arm& arm : arms_) contenders.push_back(arm.contender());
    std::vector<const Contender*> turns;
    for (std::size_t i = 0; i < 2 * arms_.size() * blocks; ++i) turns.push_back(&contenders[arm_of(i)]);
    return time_contenders(device_, turns);
  }

  // The arm of the i-th sample of such an order.
  std::size_t arm_of(std::size_t i) const {
    const std::size_t in_block = i % (2 * arms_.size());
    return in_block < arms_.size() ? in_block : 2 * arms_.size() - 1 - in_block;
  }

  static double launches_timed(const Arm& arm) {
    return static_cast<double>(arm.rule->samples().size()) * arm.timer->launches_per_sample();
  }

  std::int64_t copies_wanted() const {
    const Problem& one = problem();
    std::int64_t in = 1, out = one.output_rows() * one.output_row_length() * bytes_of(one.output_dtype());
    for (const Tensor* input : one.inputs()) in += input->bytes();
    const std::int64_t cache = device_.facts().last_level_cache_bytes;
    const std::int64_t past_cache = (device_.facts().own_memory ? kPastGpuCache : kPastCache) * cache / (in + out) + 1;
    // Large outputs wash a cache, but a launch does not have to meet what it read itself just before. On a GPU arrays
    // that lie elsewhere are read a percent faster or slower: over several, that averages out.
    const std::int64_t least = device_.facts().own_memory ? kLeastGpuCopies : in < cache ? 2 : 1;
    return std::clamp(std::min(std::max(past_cache, least), kMostCopyBytes / (in + out)), std::int64_t{1}, kMostCopies);
  }

  // A target whose caps cannot hold here leaves the others alone. Throws when none is left.
  void choose_caps(const Kernel& kernel) {
    std::optional<Error> last;
    std::erase_if(arms_, [&](Arm& arm) {
      try {
        for (CapPlan& plan : arm.plans) choose_cap(kernel, arm, plan);
        return false;
      } catch (const Error& error) {
        if (!is_out_of_reach(error)) throw;
        last = error;
      }
      arm.record.status = Status::unsupported;
      arm.record.reason = last->what();
      left_out_.push_back(std::move(arm.record));
      return true;
    });
    if (arms_.empty()) throw *last;
  }

  void choose_cap(const Kernel& kernel, Arm& arm, CapPlan& plan) {
    arm.mechanisms.push_back(nullptr);
    if (plan.native) return;
    const auto mechanisms = mechanisms_for(kernel, plan.demand.resource, device_.facts());
    const auto [mechanism, tuned] = prober_.first_that_holds(plan, group_.dtype, mechanisms);
    plan = tuned;
    arm.mechanisms.back() = mechanism;
  }

  // The arm stays where it is from here on: caps and clocks refer to each other.
  void install_caps(Arm& arm) {
    for (std::size_t i = 0; i < arm.plans.size(); ++i) {
      const CapPlan& plan = arm.plans[i];
      CapRecord& cap = arm.cap_records.emplace_back();
      cap.resource = plan.demand.resource;
      cap.target_rate = plan.demand.target_rate;
      cap.target_rate_kind = plan.demand.rate_kind;
      cap.target_rate_verified = plan.demand.verified;
      cap.requested = plan.requested;
      cap.latency_s = plan.latency_s;
      cap.ceiling = plan.ceiling;
      cap.headroom = plan.headroom();
      auto& installed = arm.caps.emplace_back();
      if (const Cap* mechanism = arm.mechanisms[i]) {
        installed = mechanism->install(plan, device_, arm.pace);
        cap.mechanism = installed->mechanism().value_or(mechanism->mechanism);
        cap.tolerance = installed->tolerance();
      } else {
        cap.mechanism = "native";
        cap.tolerance = kNativeTolerance;
      }
    }
  }

  void check_output(Arm& arm, Launch& launch, const char* when) {
    const Verification verification = compare(problem(), prepared_->answer, launch.output_rows(prepared_->answer.rows));
    if (!arm.record.verification || !verification.passed ||
        verification.row_error.value_or(INFINITY) > arm.record.verification->row_error.value_or(0.0))
      arm.record.verification = verification;
    if (verification.passed) return;
    throw Error(Fault::wrong_result,
                verification.row_error
                    ? fmt::format("the output {} is off by {:.3g}, more than the tolerance {:.3g}", when,
                                  *verification.row_error, verification.tolerance)
                    : fmt::format("the output {} holds values that are not finite, or was not written", when),
                fmt::format("look at it with `chokepoint verify {} --kernel {} --dump DIR`", group_.operation,
                            group_.kernel));
  }

  // Targets of a comparison share most caps: each (resource, rate) is probed once per phase. What acts on the whole
  // device acts on native resources too, so those are probed beside it.
  double probed(const Arm& arm, std::size_t i, const CapPlan& plan) {
    const bool beside_others = plan.native && acts_on_the_device(arm);
    const auto key = std::tuple(plan.demand.resource, plan.requested, plan.latency_s, beside_others ? &arm : nullptr);
    if (const auto found = probes_.find(key); found != probes_.end()) return found->second;
    const double seconds = device_.facts().own_memory ? kGpuProbe_s : kProbe_s;
    const auto probe = [&] { return prober_.delivered(plan, group_.dtype, seconds, kProbes, arm.mechanisms[i]); };
    if (!beside_others) return probes_[key] = probe();
    struct Release {
      const Contender& contender;
      ~Release() { release_caps(contender, true); }
    };
    const Contender contender = arm.contender();
    // Once without: it allocates what it needs, which nothing may while traffic flows.
    if (ready_.insert(plan.demand.resource).second) probe();
    const Release release{contender};
    engage_caps(contender, true);
    return probes_[key] = probe();
  }

  static bool acts_on_the_device(const Arm& arm) {
    return std::any_of(arm.caps.begin(), arm.caps.end(), [](const auto& cap) { return cap && cap->device_wide(); });
  }

  void note_delivered(Arm& arm, std::size_t i) {
    const Delivered delivered = arm.caps[i]->delivered(arm.sampled_s);
    arm.cap_records[i].delivered_during = delivered.rate;
    arm.cap_records[i].busy_share = delivered.busy_share;
    const Resource resource = arm.plans[i].demand.resource;
    const double owed = arm.record.work.of(resource) * launches_timed(arm);
    if (delivered.charged && std::abs(*delivered.charged / owed - 1.0) > kUnderchargeTolerance)
      arm_complaints_[&arm].push_back(
          fmt::format("the kernel charged {:.4g} {} of {} where the work is {:.4g}", *delivered.charged,
                      unit_of(resource), to_string(resource), owed));
  }

  TimeSummary summary(const Arm& arm) const {
    const Outcome outcome = arm.rule->outcome();
    const std::vector<double>& samples = arm.rule->samples();
    const MeanEstimate mean = estimate_mean(samples, group_.sampling.confidence);
    TimeSummary time;
    time.median = outcome.estimate.median;
    if (outcome.estimate.interval) {
      time.ci_low = outcome.estimate.interval->low;
      time.ci_high = outcome.estimate.interval->high;
    }
    time.mean = mean.mean;
    if (mean.interval) {
      time.mean_ci_low = mean.interval->low;
      time.mean_ci_high = mean.interval->high;
    }
    time.n = static_cast<std::int64_t>(samples.size());
    time.ess = outcome.estimate.ess;
    time.cv = coefficient_of_variation(samples);
    time.stopped_by = outcome.stopped_by;
    time.window_s = warmed_s_ + window_s_;
    time.regime = time.window_s < kBurst_s                                 ? "burst"
                  : warmed_s_ >= kSustained_s && window_s_ >= kSustained_s ? "sustained"
                                                                           : "short";
    time.samples = samples;
    return time;
  }

  Energy energy(const Arm& arm) const {
    Energy energy;
    if (joule_per_launch_) energy.host_joule_per_launch = joule_per_launch_;
    if (arm.target.is_host()) {
      if (!joule_per_launch_) return energy;
      energy.basis = "measured";
      energy.power_w = *joule_per_launch_ / mean(arm.rule->samples()).value();
      energy.scope = meter_->scope;
      energy.source = meter_->name;
      return energy;
    }
    if (const std::optional<Figure> figure = power(*arm.target.profile)) {
      energy.basis = "provisioned";
      energy.power_w = figure->value;
      energy.scope = "gpu_tdp";
      energy.source = figure->source;
      energy.verified = figure->verified;
    }
    return energy;
  }

  Basis basis(const Arm& arm) const {
    if (arm.target.is_host()) return Basis::measured;
    const bool same = arm.target.profile->architecture == device_.facts().architecture;
    return same && arm.record.dilation == 1.0 ? Basis::emulated : Basis::scaled;
  }

  static std::string cap_complaint(const CapRecord& cap) {
    const std::string unit = fmt::format("{}/s", unit_of(cap.resource));
    const auto shown = [&](const std::optional<double>& rate) {
      return rate ? with_unit(*rate, unit, 4) : "nothing";
    };
    return fmt::format(
        "{} cap {}: requested {}, delivered {} before, {} during, {} after, linear within {:.1f} %",
        to_string(cap.resource), to_string(cap.status), with_unit(cap.requested, unit, 4),
        shown(cap.delivered_before), shown(cap.delivered_during), shown(cap.delivered_after),
        100.0 * cap.linearity_error.value_or(0.0));
  }

  // Independent of every clock of ours: a run cannot be faster than its work at the capped rates.
  void check_plausible(Arm& arm) {
    if (arm.plans.empty()) return;
    Roof roof;
    for (std::size_t i = 0; i < arm.plans.size(); ++i) {
      // Native silicon that plays itself may exceed its ceiling, which is one probe's best.
      const bool plays_itself = !arm.caps[i] && arm.plans[i].demand.rate_kind == "ratio";
      const double slack = arm.caps[i]    ? arm.caps[i]->tolerance()
                           : plays_itself ? kOwnSiliconTolerance
                                          : kCapTolerance;
      roof.rate[arm.plans[i].demand.resource] = arm.plans[i].requested / (1.0 - slack);
    }
    const double floor_s = roofline_time_s(arm.record.work, roof);
    if (*arm.record.time.median < floor_s)
      invalidate(arm, fmt::format("implausible: {} is faster than the roofline of its caps, {}",
                                  duration_text(*arm.record.time.median, 4), duration_text(floor_s, 4)));
  }

  static void invalidate(Arm& arm, const std::string& reason) {
    arm.record.status = Status::invalid;
    arm.record.basis.reset();
    arm.record.reason += (arm.record.reason.empty() ? "" : "; ") + reason;
  }

  const CaseGroup& group_;
  Device& device_;
  const CaseContext& context_;
  std::vector<Arm>& arms_;
  std::vector<Record>& left_out_;
  Prober own_prober_;
  Prober& prober_;
  GpuEnergy own_gpu_;
  GpuEnergy& gpu_;
  ProblemSource own_problem_source_;
  ProblemSource& problem_source_;
  Json regime_;
  std::shared_ptr<const PreparedProblem> prepared_;
  std::vector<std::unique_ptr<Problem>> clones_;
  std::vector<std::pair<const char*, double>> steps_;  // in order, with seconds of wall time
  double step_start_s_ = 0.0;
  std::map<std::tuple<Resource, double, double, const Arm*>, double> probes_;
  std::set<Resource> ready_;  // native ones whose probe has run without traffic
  std::map<const Arm*, std::vector<std::string>> arm_complaints_;
  double warmed_s_ = 0.0, window_s_ = 0.0;
  std::optional<double> joule_per_launch_;
  const EnergyMeter* meter_ = nullptr;
};

// Why this kernel cannot play this target here; empty when it can.
std::optional<std::string> cap_obstacle(const Kernel& kernel, const Target& target,
                                        const std::vector<CapPlan>& plans, const DeviceFacts& facts) {
  for (const CapPlan& plan : plans) {
    if (plan.native) continue;
    const Resource resource = plan.demand.resource;
    if (!mechanisms_for(kernel, resource, facts).empty()) continue;
    if (find_cap(resource, facts.kind) == nullptr)
      return fmt::format("there is no cap for {} on {}", to_string(resource), facts.kind);
    if (!paces(kernel, resource))
      return fmt::format("kernel {} does not pace {}, which {} caps at {} here", kernel.name,
                         to_string(resource), target.id,
                         with_unit(plan.requested, fmt::format("{}/s", unit_of(resource))));
  }
  return std::nullopt;
}

// Empty where the profile's own figure has to do.
std::optional<double> rate_on_own_silicon(const Target& target, Resource resource, Dtype dtype, const Profile* host,
                                          const PerResource<std::optional<double>>& ceilings) {
  const bool of_the_chip = resource == Resource::compute || resource == Resource::memory;
  if (!of_the_chip || host == nullptr || host->architecture != target.profile->architecture ||
      target.overrides.contains(resource) || !ceilings[resource])
    return std::nullopt;
  const std::optional<double> ratio = rate_ratio(*target.profile, *host, resource, dtype);
  return ratio ? std::optional(*ratio * *ceilings[resource]) : std::nullopt;
}

}  // namespace

std::vector<Demand> demands_of(const Target& target, const Work& work, Dtype dtype, const Profile* host,
                               const PerResource<std::optional<double>>& ceilings) {
  std::vector<Demand> demands;
  if (target.is_host()) return demands;
  for (Resource resource : resources_of(work)) {
    const Figure rate = target_rate(target, resource, dtype);
    const std::optional<Figure> alpha = latency(*target.profile, resource);
    const std::optional<double> own = rate_on_own_silicon(target, resource, dtype, host, ceilings);
    demands.push_back({.resource = resource,
                       .target_rate = own.value_or(rate.value),
                       .latency_s = alpha ? alpha->value : 0.0,
                       .rate_kind = own ? "ratio" : rate.kind,
                       .verified = rate.verified && (!alpha || alpha->verified)});
  }
  return demands;
}

Record blank_record(const CaseGroup& group, const std::string& target, const DeviceFacts& facts) {
  Record record;
  record.case_id = case_id(group, target);
  record.operation = group.operation;
  record.kernel = group.kernel;
  record.shape = group.shape;
  record.dtype = group.dtype;
  record.device = {{"kind", facts.kind},
                   {"name", facts.name},
                   {"architecture", facts.architecture},
                   {"workers", facts.workers}};
  record.target = target;
  record.work = find_operation(group.operation).work(group.shape, group.dtype);
  record.provenance = {
      {"label", group.label}, {"seed", group.inputs.seed}, {"input_distribution", group.inputs.distribution}};
  return record;
}

std::vector<Record> run_group(const CaseGroup& group, Device& device, const CaseContext& context) {
  std::vector<Record> records;
  for (const std::string& target : group.targets)
    records.push_back(blank_record(group, target, device.facts()));
  const auto all_become = [&](Status status, const std::string& reason) {
    for (Record& record : records)
      if (record.reason.empty()) {
        record.status = status;
        record.reason = reason;
      }
    return records;
  };
  if (group.unsupported) return all_become(Status::unsupported, *group.unsupported);
  const Kernel& kernel = find_kernel(group.operation, group.kernel);
  if (const auto why = architecture_obstacle(kernel, device.facts())) return all_become(Status::unsupported, *why);
  std::vector<Arm> arms;
  std::vector<Record> left_out;
  const auto settle = [&](const Record& settled) {
    for (Record& record : records)
      if (record.target == settled.target) record = settled;
  };
  try {
    const PerResource<std::optional<double>> ceilings = context.ceilings.for_dtype(group.dtype);
    std::vector<TargetDemands> demands;
    for (std::size_t i = 0; i < group.targets.size(); ++i) {
      const Target target = parse_target(group.targets[i], context.profiles);
      if (!target.is_host())
        demands.push_back({target.id,
                           demands_of(target, records[i].work, group.dtype,
                                      profile_of_device(context.profiles, device.facts().name), ceilings),
                           target.profile->architecture == device.facts().architecture});
    }
    const EmulationPlan plan = plan_emulation(demands, ceilings, group.pinned_dilation);
    std::size_t next = 0;
    for (std::size_t i = 0; i < group.targets.size(); ++i) {
      Arm arm;
      arm.target = parse_target(group.targets[i], context.profiles);
      arm.record = records[i];
      if (!arm.target.is_host()) {
        arm.plans = plan.caps[next++];
        arm.record.dilation = plan.dilation;
        arm.record.provenance["profile_hash"] = arm.target.profile->hash;
      }
      if (const std::optional<std::string> why =
              cap_obstacle(kernel, arm.target, arm.plans, device.facts())) {
        records[i].status = Status::unsupported;
        records[i].reason = *why;
      } else {
        arms.push_back(std::move(arm));
      }
    }
    if (arms.empty()) return records;
    GroupDriver driver(group, device, context, arms, left_out);
    measure(driver);
  } catch (const Error& error) {
    for (const Record& record : left_out) settle(record);
    for (const Arm& arm : arms)
      for (Record& record : records)
        if (record.target == arm.target.id) record.verification = arm.record.verification;
    return all_become(is_out_of_reach(error) ? Status::unsupported : Status::failed, error.what());
  } catch (const std::exception& error) {
    for (const Record& record : left_out) settle(record);
    return all_become(Status::failed, error.what());
  }
  for (const Record& record : left_out) settle(record);
  for (const Arm& arm : arms) settle(arm.record);
  return records;
}

}  // namespace chokepoint
