#include "harness/run/group_driver.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/base/error.hpp"
#include "harness/meters/power_polls.hpp"
#include "harness/run/cap_choice.hpp"
#include "harness/run/copies.hpp"
#include "harness/run/in_turn.hpp"
#include "harness/run/verify.hpp"
#include "kernels/kernel_choices.hpp"

namespace chokepoint {
namespace {

// Blocks are repeated until they take about this long on a device that enqueues, so that waiting for the host
// between blocks is a small part; at most so often.
constexpr double kLeastBlock_s = 3e-3;
constexpr std::size_t kMostBlocksAtOnce = 16;
constexpr double kSlice_s = 0.03;  // of steady load between two looks at the energy meter
constexpr std::size_t kMostInSlice = 1000;

// What the file says, where the kernel offers it here.
std::string checked_configuration(const TuningFile& file, const Shape& shape, Dtype dtype, const Device& device) {
  const std::string& configuration = file.find(shape, dtype)->configuration;
  const KernelChoices* choices = find_choices(file.operation, file.kernel);
  try {
    place_of_configuration(
        configuration, choices == nullptr ? std::vector<std::string>{} : choices->configurations(shape, dtype, device));
  } catch (const Error& error) {
    throw Error(Fault::config, fmt::format("{}: {}", file.path, error.message()),
                fmt::format("`chokepoint tune` again, or take the choice for {} out of the file", shape.text()));
  }
  return configuration;
}

}  // namespace

GroupDriver::GroupDriver(const CaseGroup& group, Device& device, const CaseContext& context, std::vector<Arm>& arms,
                         std::vector<Record>& left_out)
    : group_(group),
      device_(device),
      arms_(arms),
      left_out_(left_out),
      own_prober_(device),
      prober_(context.prober ? *context.prober : own_prober_),
      own_gpu_(device.facts()),
      gpu_(context.gpu ? *context.gpu : own_gpu_),
      problem_source_(context.problems ? *context.problems : own_problem_source_),
      cap_probes_(prober_, device, group.dtype),
      tuning_(context.tuning) {}

void GroupDriver::begins(const char* step) {
  const double now_s = device_.now_s();
  if (!steps_.empty()) steps_.back().second = now_s - step_start_s_;
  steps_.emplace_back(step, 0.0);
  step_start_s_ = now_s;
}

void GroupDriver::prepare() {
  const Kernel& kernel = find_kernel(group_.operation, group_.kernel);
  prepared_ = problem_source_.get(group_);
  const std::int64_t copies = copies_wanted(problem(), device_.facts());
  // On a device with memory of its own every launch uploads its own copy anyway.
  for (std::int64_t copy = 1; copy < copies && !device_.facts().own_memory; ++copy)
    clones_.push_back(problem().clone());
  begins("prepare_launches");
  std::vector<const void*> repeated;
  for (const Tensor* input : problem().inputs()) repeated.push_back(input->data());
  device_.expect_repeats(repeated);
  choose_caps(kernel, group_.dtype, device_.facts(), prober_, arms_, left_out_);
  for (Arm& arm : arms_) install_caps(arm, device_);
  sets_ = launch_sets(arms_, device_, kernel.wire_multiprocessors(group_.shape));
  for (const auto& set : sets_)
    set->hold([&] { prepare_launches(kernel, *set, copies); });
  // Copy engines are kept at their rate by a thread of the host, which is to be left alone.
  if (std::none_of(arms_.begin(), arms_.end(), acts_on_the_device)) problem_source_.look_ahead();
}

// The file that says what launches of this group take; null where none does.
const TuningFile* GroupDriver::tuned_by() const {
  const TuningFile* file =
      tuning_ == nullptr ? nullptr : tuning_->file_for(device_.facts().name, group_.operation, group_.kernel);
  return file != nullptr && file->find(group_.shape, group_.dtype) != nullptr ? file : nullptr;
}

void GroupDriver::prepare_launches(const Kernel& kernel, LaunchSet& set, std::int64_t copies) const {
  const TuningFile* tuned = tuned_by();
  const std::string configuration =
      tuned == nullptr ? "" : checked_configuration(*tuned, group_.shape, group_.dtype, device_);
  for (std::int64_t copy = 0; copy < copies; ++copy) {
    const auto clone = static_cast<std::size_t>(copy) - 1;
    const Problem& one = clone < clones_.size() ? *clones_[clone] : problem();
    set.launches.push_back(
        tuned == nullptr
            ? kernel.prepare(one, device_, set.pace())
            : find_choices(group_.operation, group_.kernel)->prepare(one, device_, set.pace(), configuration));
  }
}

void GroupDriver::verify() {
  for (const auto& set : sets_)
    for (std::size_t i = 0; i < set->launches.size(); ++i) {
      set->lanes.hold_if_taken([&] {
        // What a first run tries out (algorithms of a library) may write the output by other means than the later ones.
        if (i == 0 && device_.facts().own_memory) set->launches[i]->run();
        set->launches[i]->poison();
        set->launches[i]->run();
        check_output(*set, i, "before sampling");
      });
    }
  for (const auto& set : sets_) set->make_timers(device_);
}

// The worst of all launches counts, for every target they are of. All have the same inputs: an output with the very bits of
// the first one, which was compared before it, is as right as that one.
void GroupDriver::check_output(const LaunchSet& set, std::size_t i, const char* when) const {
  Launch& launch = *set.launches[i];
  if (i > 0 && have_same_output(device_, launch, *set.launches.front())) return;
  const Verification verification = compare(problem(), prepared_->answer, launch.output_rows(prepared_->answer.rows));
  for (Arm* arm : set.arms) {
    std::optional<Verification>& worst = arm->record.verification;
    if (!worst || !verification.passed || verification.row_error.value_or(INFINITY) > worst->row_error.value_or(0.0))
      worst = verification;
  }
  if (verification.passed) return;
  throw Error(Fault::wrong_result,
              verification.row_error
                  ? fmt::format("the output {} is off by {:.3g}, more than the tolerance {:.3g}", when,
                                *verification.row_error, verification.tolerance)
                  : fmt::format("the output {} holds values that are not finite, or was not written", when),
              fmt::format("look at it with `chokepoint verify {} --kernel {} --dump DIR`", group_.operation,
                          group_.kernel));
}

void GroupDriver::probe_before() {
  for (Arm& arm : arms_) cap_probes_.before(arm);
  cap_probes_.next_phase();
}

void GroupDriver::warm_up() {
  const double start = device_.now_s();
  const std::vector<LaunchTimer*> once = in_turn(1);
  // On a GPU at least once: what is first may allocate, which nothing may while traffic flows.
  for (bool first = device_.facts().own_memory; first || device_.now_s() - start < group_.warm_up_s; first = false)
    device_.time_in_turn(once);
  seen_.warmed_s = device_.now_s() - start;
}

void GroupDriver::engage() {
  for (const auto& set : sets_)
    for (const auto& launch : set->launches) launch->poison();
  for (Arm& arm : arms_) {
    arm.timer->start_over();  // the first samples are those of the first launches, which verify_output looks at
    SamplingPlan plan = group_.sampling;
    plan.budget_s *= static_cast<double>(arms_.size());
    arm.rule.emplace(plan);
    engage_caps(arm.contender(), false);
  }
}

// Blocks A B C C B A: every target twice per block, so that drift cancels in ratios.
void GroupDriver::sample() {
  const std::optional<OpenMeter> meter = arms_.size() == 1 ? open_meter(device_.facts().kind) : std::nullopt;
  std::optional<PowerPolls> polls;
  if (meter) polls.emplace(*meter->counter, meter->meter->name, device_.now_s());
  const std::unique_ptr<RegimeMonitor> monitor = gpu_.watch();
  const double start = device_.now_s();
  const auto done = [&] {
    return std::all_of(arms_.begin(), arms_.end(), [](const Arm& arm) { return arm.rule->done(); });
  };
  for (std::size_t blocks = 1; !done();) {
    const double block_s = add_samples(time_capped(blocks), start) / static_cast<double>(blocks);
    if (polls) polls->poll(device_.now_s());
    if (device_.facts().own_memory)
      blocks = std::clamp<std::size_t>(static_cast<std::size_t>(kLeastBlock_s / block_s), 1, kMostBlocksAtOnce);
  }
  seen_.window_s = device_.now_s() - start;
  if (monitor) {
    regime_ = monitor->stop();
    trace_ = monitor->trace();
  }
  if (meter) {
    seen_.joule_per_launch = polls->finish(device_.now_s()) / arms_.front().launches_timed();
    trace_ = polls->trace();
    seen_.meter = meter->meter;
  }
  for (Arm& arm : arms_) note_delivered(arm);
}

// Times of launches, in the order of the blocks; returns how long they took in all.
double GroupDriver::add_samples(const std::vector<double>& times, double start_s) {
  double all_s = 0.0;
  for (std::size_t i = 0; i < times.size(); ++i) {
    Arm& arm = arms_[arm_of(i)];
    const double sample_s = times[i] * arm.timer->launches_per_sample();
    arm.sampled_s += sample_s;
    all_s += sample_s;
    arm.rule->add(times[i], device_.now_s() - start_s);
  }
  return all_s;
}

// Trials of the targets in turn, each under its own caps.
void GroupDriver::measure_energy() {
  if (group_.energy.empty()) return;
  std::vector<KeepBusy> loads;
  for (Arm& arm : arms_) loads.push_back([&] { return keep_busy(arm); });
  const std::vector<EnergyMeasurement> measured = gpu_.measure(group_.energy, loads);
  for (std::size_t i = 0; i < measured.size(); ++i) arms_[i].energy = measured[i];
}

// About 30 ms of launches of one arm, back to back.
LoadStep GroupDriver::keep_busy(Arm& arm) {
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

void GroupDriver::release() noexcept {
  for (Arm& arm : arms_)
    for (bool device_wide : {true, false}) release_caps(arm.contender(), device_wide);
}

void GroupDriver::verify_output() {
  for (const auto& set : sets_) {
    std::size_t samples = 0;
    for (const Arm* arm : set->arms) samples += arm->rule->samples().size();
    for (std::size_t i = 0; i < std::min(set->launches.size(), samples); ++i)
      check_output(*set, i, "while sampling");
  }
}

void GroupDriver::probe_after() {
  for (Arm& arm : arms_) cap_probes_.after(arm);
}

void GroupDriver::conclude() {
  for (Arm& arm : arms_) {
    conclude_record(arm, seen_, device_.facts());
    Json& provenance = arm.record.provenance;
    if (!regime_.is_null()) provenance["clocks"] = regime_;
    if (const std::optional<RecordedTrace>& trace = arm.energy && arm.energy->trace ? arm.energy->trace : trace_)
      provenance["power_trace"] = to_json(*trace);
    if (arms_.size() > 1) arm.record.interleave_group = group_.name();
    provenance["step_s"] = step_times();
    provenance["copies"] = arm.set->launches.size();
    provenance["rotated_bytes"] = bytes_of_copy(problem()) * static_cast<std::int64_t>(arm.set->launches.size());
    provenance["targets_sharing_launches"] = arm.set->arms.size();
    provenance["launches_per_sample"] = arm.timer->launches_per_sample();
    for (const auto& [key, value] : arm.set->launches.front()->remarks()) provenance[key] = value;
    if (const TuningFile* tuned = tuned_by())
      provenance["configuration"] = tuned->find(group_.shape, group_.dtype)->configuration;
  }
}

// Wall time of the steps so far, an equal share for each arm.
Json GroupDriver::step_times() const {
  Json json = Json::object();
  for (const auto& [step, seconds] : steps_)
    if (seconds > 0.0) json[step] = seconds / static_cast<double>(arms_.size());
  return json;
}

// The order of `blocks` blocks A B C C B A.
std::vector<LaunchTimer*> GroupDriver::in_turn(std::size_t blocks) const {
  std::vector<LaunchTimer*> order;
  for (std::size_t i = 0; i < 2 * arms_.size() * blocks; ++i) order.push_back(arms_[arm_of(i)].timer.get());
  return order;
}

// The same, under the arms' caps.
std::vector<double> GroupDriver::time_capped(std::size_t blocks) const {
  std::vector<Contender> contenders;
  for (const Arm& arm : arms_) contenders.push_back(arm.contender());
  std::vector<const Contender*> turns;
  for (std::size_t i = 0; i < 2 * arms_.size() * blocks; ++i) turns.push_back(&contenders[arm_of(i)]);
  return time_contenders(device_, turns);
}

// The arm of the i-th sample of such an order.
std::size_t GroupDriver::arm_of(std::size_t i) const {
  const std::size_t in_block = i % (2 * arms_.size());
  return in_block < arms_.size() ? in_block : 2 * arms_.size() - 1 - in_block;
}

}  // namespace chokepoint
