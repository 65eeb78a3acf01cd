#include "harness/run/tune.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "harness/base/error.hpp"
#include "harness/run/copies.hpp"

namespace chokepoint {
namespace {

// Blocks of a trial at its first look, of which ten decide at the confidence of dozens of trials (statistics.hpp), and
// at its last; each look has twice as many as the one before.
constexpr std::size_t kFirstLookBlocks = 16, kLastLookBlocks = 1024;
// A trial that has begun takes at least this many launches of either side: checks, warm-up, the first block.
constexpr double kLeastLaunches = 5.0;
constexpr double kTrialBlock_s = 3e-3;  // of blocks enqueued together on a device that enqueues
constexpr std::size_t kMostTrialBlocks = 16;

// A configuration with its launches, checked.
class Entrant {
 public:
  Entrant(const TuneTask& task, Device& device, const std::vector<const Problem*>& copies, std::string configuration)
      : task_(task), device_(device), configuration_(std::move(configuration)) {
    for (const Problem* copy : copies) launches_.push_back(task.choices.prepare(*copy, device, Pace{}, configuration_));
    poison();
    std::vector<std::function<void()>> runs;
    for (const auto& launch : launches_) {
      runs.push_back([&one = *launch] { one.run(); });
      runs.back()();
    }
    check();
    timer_ = device.timer(std::move(runs));
  }

  void poison() {
    for (const auto& launch : launches_) launch->poison();
    if (timer_) timer_->start_over();
  }
  // Of the first `count` launches; throws Error{wrong_result}.
  void check(std::size_t count = SIZE_MAX) {
    for (std::size_t i = 0; i < std::min(count, launches_.size()); ++i) {
      if (i > 0 && have_same_output(device_, *launches_[i], *launches_.front())) continue;
      verification_ = compare(task_.problem, task_.answer, launches_[i]->output_rows(task_.answer.rows));
      if (!verification_->passed)
        throw Error(Fault::wrong_result, fmt::format("configuration \"{}\" computes something else", configuration_),
                    "mend the kernel, or its list of configurations");
    }
  }

  LaunchTimer* timer() const { return timer_.get(); }
  const std::string& configuration() const { return configuration_; }
  TrialSide side() const { return {.configuration = configuration_, .verification = verification_}; }

 private:
  const TuneTask& task_;
  Device& device_;
  std::string configuration_;
  std::vector<std::unique_ptr<Launch>> launches_;
  std::unique_ptr<LaunchTimer> timer_;
  std::optional<Verification> verification_;
};

class Tuner {
 public:
  Tuner(const TuneTask& task, Device& device, const TuneSettings& settings)
      : task_(task), device_(device), settings_(settings), end_s_(device.now_s() + settings.budget_s) {
    // On a device with memory of its own every launch has its own copy anyway.
    const std::int64_t copies = copies_wanted(task.problem, device.facts());
    for (std::int64_t i = 0; i < copies; ++i) {
      if (i > 0 && !device.facts().own_memory) clones_.push_back(task.problem.clone());
      copies_.push_back(clones_.empty() ? &task.problem : clones_.back().get());
    }
  }

  TuneResult run(const std::function<void(const TuneTrial&)>& tell) {
    TuneResult result{.planned = task_.configurations.front(), .chosen = task_.configurations.front()};
    std::unique_ptr<Entrant> best = enter(result.planned);
    for (std::size_t i = 1; i < task_.configurations.size(); ++i) {
      if (!has_time()) {
        result.untried = task_.configurations.size() - i;
        break;
      }
      // The confirmation has a share too.
      result.trials.push_back(challenge(task_.configurations[i], best, share_s(task_.configurations.size() - i + 1)));
      tell(result.trials.back());
    }
    if (best->configuration() != result.planned) confirm(best, result, tell);
    return result;
  }

 private:
  std::unique_ptr<Entrant> enter(const std::string& configuration) {
    return std::make_unique<Entrant>(task_, device_, copies_, configuration);
  }
  bool has_time() { return device_.now_s() + kLeastLaunches * pair_s_ < end_s_; }
  double share_s(std::size_t shares) { return std::max(0.0, end_s_ - device_.now_s()) / static_cast<double>(shares); }

  // A challenger that wins takes the place of `best`; whatever is wrong with it is its loss.
  TuneTrial challenge(const std::string& configuration, std::unique_ptr<Entrant>& best, double share_s) {
    const double until_s = device_.now_s() + share_s;
    TuneTrial trial{.challenger = {.configuration = configuration}, .best = best->side()};
    std::unique_ptr<Entrant> challenger;
    try {
      challenger = enter(configuration);
      duel(trial, *challenger, *best, until_s);
    } catch (const Error& error) {
      trial.end = TrialEnd::failed;
      trial.reason = error.what();
    }
    if (trial.end == TrialEnd::faster) best = std::move(challenger);
    return trial;
  }

  void confirm(std::unique_ptr<Entrant>& winner, TuneResult& result,
               const std::function<void(const TuneTrial&)>& tell) {
    std::unique_ptr<Entrant> planned = enter(result.planned);
    TuneTrial trial{.challenger = winner->side(), .best = planned->side()};
    duel(trial, *winner, *planned, std::max(end_s_, device_.now_s()));
    if (trial.end == TrialEnd::faster) result.chosen = winner->configuration();
    tell(trial);
    result.confirmation = std::move(trial);
  }

  // Samples both until a look decides. The looks of all trials share what confidence leaves to be wrong.
  void duel(TuneTrial& trial, Entrant& challenger, Entrant& best, double until_s) {
    trial.challenger.verification = challenger.side().verification;
    warm_up(challenger, best);
    challenger.poison();
    best.poison();
    std::size_t look = 1;
    for (std::size_t blocks = kFirstLookBlocks; trial.end == TrialEnd::undecided && blocks <= kLastLookBlocks;
         blocks *= 2) {
      while (trial.best.samples.size() < 2 * blocks && (trial.best.samples.empty() || device_.now_s() < until_s))
        sample(trial, challenger, best);
      const double wrong = (1.0 - settings_.confidence) / static_cast<double>(task_.configurations.size());
      judge(trial, 1.0 - wrong / static_cast<double>(look * (look + 1)));
      ++look;
      if (device_.now_s() >= until_s) break;
    }
    challenger.check(trial.challenger.samples.size());
    best.check(trial.best.samples.size());
  }

  void judge(TuneTrial& trial, double confidence) const {
    trial.ratio = estimate_ratio(trial.challenger.samples, trial.best.samples, confidence);
    if (!trial.ratio->interval) return;
    const double enough = 1.0 - settings_.least_gain;
    if (trial.ratio->interval->high < enough) trial.end = TrialEnd::faster;
    if (trial.ratio->interval->low > enough) trial.end = TrialEnd::not_faster;
  }

  // Blocks best, challenger, challenger, best: drift cancels in the ratio.
  void sample(TuneTrial& trial, const Entrant& challenger, const Entrant& best) {
    LaunchTimer* const block[] = {best.timer(), challenger.timer(), challenger.timer(), best.timer()};
    std::vector<LaunchTimer*> order;
    for (std::size_t i = 0; i < blocks_at_once_; ++i) order.insert(order.end(), std::begin(block), std::end(block));
    const std::vector<double> times = device_.time_in_turn(order);
    double all_s = 0.0;
    for (std::size_t i = 0; i < times.size(); ++i) {
      TrialSide& side = i % 4 == 0 || i % 4 == 3 ? trial.best : trial.challenger;
      side.samples.push_back(times[i]);
      all_s += times[i] * order[i]->launches_per_sample();
    }
    pair_s_ = all_s / (2.0 * static_cast<double>(blocks_at_once_));
    if (device_.facts().own_memory)
      blocks_at_once_ =
          std::clamp<std::size_t>(static_cast<std::size_t>(kTrialBlock_s / (2.0 * pair_s_)), 1, kMostTrialBlocks);
  }

  // On a GPU at least once: what is first may allocate.
  void warm_up(const Entrant& challenger, const Entrant& best) {
    const double start_s = device_.now_s();
    LaunchTimer* const both[] = {best.timer(), challenger.timer()};
    for (bool first = device_.facts().own_memory; first || device_.now_s() - start_s < settings_.warm_up_s;
         first = false)
      device_.time_in_turn(both);
    blocks_at_once_ = 1;
  }

  const TuneTask& task_;
  Device& device_;
  const TuneSettings& settings_;
  double end_s_;
  double pair_s_ = 0.0;  // a launch of either side, in the latest block
  std::size_t blocks_at_once_ = 1;
  std::vector<std::unique_ptr<Problem>> clones_;
  std::vector<const Problem*> copies_;
};

}  // namespace

std::string_view to_string(TrialEnd end) {
  switch (end) {
    case TrialEnd::faster: return "faster";
    case TrialEnd::not_faster: return "not faster";
    case TrialEnd::undecided: return "undecided";
    case TrialEnd::failed: return "failed";
  }
  return "?";
}

TuneResult tune(const TuneTask& task, Device& device, const TuneSettings& settings,
                const std::function<void(const TuneTrial&)>& tell) {
  return Tuner(task, device, settings).run(tell);
}

}  // namespace chokepoint
