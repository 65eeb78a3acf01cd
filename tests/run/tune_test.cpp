// Trials of configurations on a device whose times are scripted: the fastest wins when it is faster beyond doubt, and
// nothing else does.
#include "harness/run/tune.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "harness/base/error.hpp"
#include "harness/base/random.hpp"
#include "harness/base/strings.hpp"
#include "harness/run/tune_records.hpp"
#include "tests/run/fake_device.hpp"

namespace chokepoint {
namespace {

// One row: 1, 2, 3, 4.
class FourNumbers final : public Problem {
 public:
  std::unique_ptr<Problem> clone() const override { return std::make_unique<FourNumbers>(); }
  Work work() const override { return {.flop = 4.0, .memory_bytes = 16.0}; }
  std::vector<const Tensor*> inputs() const override { return {}; }
  std::vector<std::int64_t> output_dims() const override { return {1, 4}; }
  Dtype output_dtype() const override { return Dtype::f32; }
  std::vector<double> reference(std::span<const std::int64_t>) const override { return {1.0, 2.0, 3.0, 4.0}; }
  double tolerance() const override { return 1e-6; }
};

// A kernel with these configurations; "wrong" computes something else, "broken" cannot be prepared.
struct TuneStage {
  explicit TuneStage(std::vector<std::pair<std::string, double>> times) {
    for (const auto& [name, time_s] : times) {
      names.push_back(name);
      seconds[name] = time_s;
    }
  }

  std::vector<std::string> names;
  std::map<std::string, double> seconds;  // of a launch
  double noise = 0.0, drift = 0.0;        // relative: uniform, as wide as this; added by each launch
  std::uint64_t seed = 1;
  std::size_t lucky_launches = 0;  // of "lucky", at half of its time
  std::string ran;
  std::map<std::string, std::size_t> launches;

  class Run final : public Launch {
   public:
    Run(TuneStage& stage, std::string name)
        : stage_(stage), name_(std::move(name)), output_("output", {1, 4}, Dtype::f32) {}
    void run() override {
      stage_.ran = name_;
      for (std::int64_t i = 0; i < 4; ++i) output_.set(i, static_cast<double>(i + (name_ == "wrong" ? 2 : 1)));
    }
    Tensor& output() override { return output_; }

   private:
    TuneStage& stage_;
    std::string name_;
    Tensor output_;
  };

  FakeDevice device{[this](std::size_t call) {
    const std::size_t launch = launches[ran]++;
    const double lucky = ran == "lucky" && launch < lucky_launches ? 0.5 : 1.0;
    return seconds.at(ran) * lucky * (1.0 + noise * (random_unit(seed, fnv1a("noise"), call) - 0.5)) *
           (1.0 + drift * static_cast<double>(call));
  }};
  KernelChoices choices{
      .name = "tiny",
      .operation = "tiny",
      .configurations = [this](const Shape&, Dtype, const Device&) { return names; },
      .prepare = [this](const Problem&, Device&, const Pace&, const std::string& name) -> std::unique_ptr<Launch> {
        if (name == "broken") throw Error(Fault::unsupported, "no room", "make some");
        return std::make_unique<Run>(*this, name);
      }};
  FourNumbers problem;
  Answer answer = answer_of(problem);

  TuneResult tune_all(const TuneSettings& settings = {.budget_s = 1e4, .warm_up_s = 0.0}) {
    return tune({choices, names, problem, answer}, device, settings, [](const TuneTrial&) {});
  }
};

TEST(tune, the_fastest_is_chosen_and_meets_the_plans_own_once_more) {
  TuneStage stage({{"own", 1e-3}, {"slow", 2e-3}, {"better", 0.9e-3}, {"best", 0.8e-3}, {"as good", 0.8e-3}});
  stage.noise = 0.05;
  const TuneResult result = stage.tune_all();
  EXPECT_EQ(result.planned, "own");
  EXPECT_EQ(result.chosen, "best");
  EXPECT_EQ(result.untried, 0U);
  ASSERT_EQ(result.trials.size(), 4U);
  EXPECT_EQ(result.trials[0].end, TrialEnd::not_faster);
  EXPECT_EQ(result.trials[2].best.configuration, "better");  // whoever is the best by then
  EXPECT_EQ(result.trials[3].end, TrialEnd::not_faster);     // a tie keeps what there is
  ASSERT_TRUE(result.confirmation);
  EXPECT_EQ(result.confirmation->best.configuration, "own");
  EXPECT_TRUE(result.confirmation->ratio->interval->contains(0.8));
}

TEST(tune, what_is_slower_is_given_up_at_the_first_look) {
  TuneStage stage({{"own", 1e-3}, {"slow", 2e-3}});
  const TuneResult result = stage.tune_all();
  EXPECT_EQ(result.chosen, "own");
  EXPECT_FALSE(result.confirmation);
  EXPECT_EQ(result.trials[0].challenger.samples.size(), 32U);
}

// 20 configurations that take the same time, 60 machines: whoever preferred the smallest median would never keep the
// plan's own. A wrong preference may happen to one in twenty.
TEST(tune, noise_alone_changes_nothing) {
  std::vector<std::pair<std::string, double>> times = {{"own", 1e-3}};
  for (int i = 0; i < 20; ++i) times.emplace_back("same " + std::to_string(i), 1e-3);
  std::ptrdiff_t changed = 0, won = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    TuneStage stage(times);
    stage.noise = 0.2;
    stage.seed = seed;
    const TuneResult result = stage.tune_all({.budget_s = 20.0, .least_gain = 0.0, .warm_up_s = 0.0});
    changed += result.chosen != "own" ? 1 : 0;
    won += std::count_if(result.trials.begin(), result.trials.end(),
                         [](const TuneTrial& trial) { return trial.end == TrialEnd::faster; });
  }
  EXPECT_LE(changed, 3);
  EXPECT_LE(won, 5);  // before they met once more; all looks of all trials share the one in twenty
}

TEST(tune, a_gain_too_small_to_matter_keeps_the_plans_own) {
  TuneStage stage({{"own", 1e-3}, {"a little better", 0.995e-3}});
  EXPECT_EQ(stage.tune_all().chosen, "own");
  EXPECT_EQ(stage.tune_all({.budget_s = 1e4, .least_gain = 0.001, .warm_up_s = 0.0}).chosen, "a little better");
}

TEST(tune, a_machine_that_slows_down_does_not_favour_who_came_first) {
  TuneStage stage({{"own", 1e-3}, {"same", 1e-3}, {"better", 0.9e-3}});
  stage.drift = 2e-3;  // twice as slow after 500 launches
  const TuneResult result = stage.tune_all();
  EXPECT_NE(result.trials[0].end, TrialEnd::faster);
  EXPECT_EQ(result.trials[1].end, TrialEnd::faster);
  EXPECT_EQ(result.chosen, "better");
}

TEST(tune, a_winner_that_does_not_win_again_is_not_chosen) {
  TuneStage stage({{"own", 1e-3}, {"lucky", 1e-3}});
  stage.lucky_launches = 40;  // as many as its first trial times
  const TuneResult result = stage.tune_all();
  EXPECT_EQ(result.trials[0].end, TrialEnd::faster);
  ASSERT_TRUE(result.confirmation);
  EXPECT_NE(result.confirmation->end, TrialEnd::faster);
  EXPECT_EQ(result.chosen, "own");
}

TEST(tune, what_is_wrong_or_cannot_be_prepared_loses_with_its_reason) {
  TuneStage stage({{"own", 1e-3}, {"wrong", 1e-4}, {"broken", 1e-4}, {"better", 0.5e-3}});
  const TuneResult result = stage.tune_all();
  EXPECT_EQ(result.trials[0].end, TrialEnd::failed);
  EXPECT_NE(result.trials[0].reason.find("\"wrong\" computes something else"), std::string::npos);
  EXPECT_NE(result.trials[1].reason.find("no room"), std::string::npos);
  EXPECT_EQ(result.chosen, "better");
}

TEST(tune, the_time_is_kept_and_what_was_not_tried_is_counted) {
  std::vector<std::pair<std::string, double>> times = {{"own", 0.1}};
  for (int i = 0; i < 30; ++i) times.emplace_back("c" + std::to_string(i), 0.0995);  // each would take long to decide
  for (const double budget_s : {1.0, 7.0, 60.0}) {
    TuneStage stage(times);
    stage.noise = 0.1;
    const double before_s = stage.device.now_s();
    const TuneResult result = stage.tune_all({.budget_s = budget_s, .warm_up_s = 0.0});
    EXPECT_LE(stage.device.now_s() - before_s, budget_s + 0.5);  // and a block that had begun
    EXPECT_EQ(result.trials.size() + result.untried, 30U);
    EXPECT_EQ(result.chosen, "own");
  }
}

TEST(tune, a_trial_that_nothing_decides_leaves_time_for_the_others) {
  TuneStage stage({{"own", 0.1}, {"as good", 0.0995}, {"better", 0.05}});
  stage.noise = 0.1;
  EXPECT_EQ(stage.tune_all({.budget_s = 60.0, .warm_up_s = 0.0}).chosen, "better");
}

TEST(tune, both_sides_of_a_trial_become_records_that_name_their_configuration) {
  TuneStage stage({{"own", 1e-3}, {"better", 0.5e-3}});
  const TuneResult result = stage.tune_all();
  CaseGroup group;
  group.operation = "stream";
  group.kernel = "cpu_native";
  group.shape = complete_shape(find_operation("stream"), {{"elements", std::int64_t{8}}});
  const std::vector<Record> records = records_of(result.trials[0], 7, group, stage.device.facts(), 0.95);
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[0].status, Status::ok);
  EXPECT_EQ(records[0].provenance["configuration"], "better");
  EXPECT_DOUBLE_EQ(*records[0].time.median, 0.5e-3);
  EXPECT_EQ(records[1].provenance["configuration"], "own");
  EXPECT_EQ(records[0].interleave_group, records[1].interleave_group);
  EXPECT_NE(records[0].case_id, records[1].case_id);
  EXPECT_TRUE(records[1].verification->passed);
}

}  // namespace
}  // namespace chokepoint
