// How is each step of the measuring sequence (sequence.hpp) done for all targets of one group?
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "harness/run/arm.hpp"
#include "harness/run/cap_probes.hpp"
#include "harness/run/case_runner.hpp"
#include "harness/run/conclusion.hpp"

namespace chokepoint {

class GroupDriver {
 public:
  // Arms whose caps cannot hold here go from `arms`, and their records to `left_out`.
  GroupDriver(const CaseGroup& group, Device& device, const CaseContext& context, std::vector<Arm>& arms,
              std::vector<Record>& left_out);
  ~GroupDriver() { device_.expect_repeats({}); }
  GroupDriver(const GroupDriver&) = delete;
  GroupDriver& operator=(const GroupDriver&) = delete;

  void begins(const char* step);
  void prepare();
  void verify();
  void probe_before();
  void warm_up();
  void engage();
  void sample();
  void measure_energy();
  void release() noexcept;
  void verify_output();
  void probe_after();
  void conclude();

 private:
  const Problem& problem() const { return *prepared_->problem; }
  Json step_times() const;
  const TuningFile* tuned_by() const;
  void prepare_launches(const Kernel& kernel, LaunchSet& set, std::int64_t copies) const;
  void check_output(const LaunchSet& set, std::size_t i, const char* when) const;
  LoadStep keep_busy(Arm& arm);
  std::vector<LaunchTimer*> in_turn(std::size_t blocks) const;
  std::vector<double> time_capped(std::size_t blocks) const;
  double add_samples(const std::vector<double>& times, double start_s);
  std::size_t arm_of(std::size_t i) const;

  const CaseGroup& group_;
  Device& device_;
  std::vector<Arm>& arms_;
  std::vector<Record>& left_out_;
  Prober own_prober_;
  Prober& prober_;
  GpuEnergy own_gpu_;
  GpuEnergy& gpu_;
  ProblemSource own_problem_source_;
  ProblemSource& problem_source_;
  CapProbes cap_probes_;
  const TuningBook* tuning_;
  Json regime_;
  std::optional<RecordedTrace> trace_;  // of all arms in turn
  std::shared_ptr<const PreparedProblem> prepared_;
  std::vector<std::unique_ptr<Problem>> clones_;
  std::vector<std::shared_ptr<LaunchSet>> sets_;
  std::vector<std::pair<const char*, double>> steps_;  // in order, with seconds of wall time
  double step_start_s_ = 0.0;
  LoadSeen seen_;
};

}  // namespace chokepoint
