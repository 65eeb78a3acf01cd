// Contenders in turn: caps of one launch stay on throughout, caps of the whole device only for their contender's turns,
// and nothing stays on when timing throws.
#include "harness/run/in_turn.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/run/fake_device.hpp"

namespace chokepoint {
namespace {

using Steps = std::vector<std::string>;

class NotedCap final : public InstalledCap {
 public:
  NotedCap(std::string name, bool device_wide, Steps& steps)
      : name_(std::move(name)), device_wide_(device_wide), steps_(steps) {}
  void engage() override { steps_.push_back(name_ + " on"); }
  void release() noexcept override { steps_.push_back(name_ + " off"); }
  void reset_tally() override {}
  Delivered delivered(double) const override { return {}; }
  bool device_wide() const override { return device_wide_; }
  void hold(const std::function<void()>& enqueue) override {
    steps_.push_back(name_ + " holds");
    enqueue();
    steps_.push_back(name_ + " lets go");
  }

 private:
  std::string name_;
  bool device_wide_;
  Steps& steps_;
};

struct Stage {
  Steps steps;
  FakeDevice device{[](std::size_t) { return 1.0; }};
  std::vector<std::unique_ptr<InstalledCap>> caps_of_a, caps_of_b;
  std::unique_ptr<LaunchTimer> timer_a = device.timer({[this] { launch("a"); }});
  std::unique_ptr<LaunchTimer> timer_b = device.timer({[this] { launch("b"); }});
  int failing = -1;

  void launch(const std::string& name) {
    steps.push_back(name);
    if (failing-- == 0) throw std::runtime_error("fault");
  }
  std::vector<double> run_abba() {
    const Contender a{timer_a.get(), caps_of_a}, b{timer_b.get(), caps_of_b};
    const std::vector<const Contender*> order = {&a, &b, &b, &a};
    return time_contenders(device, order);
  }
};

TEST(in_turn, caps_of_launches_do_not_interrupt_a_block) {
  Stage stage;
  stage.caps_of_a.push_back(std::make_unique<NotedCap>("clock", false, stage.steps));
  stage.caps_of_b.push_back(nullptr);  // native
  EXPECT_EQ(stage.run_abba().size(), 4U);
  EXPECT_EQ(stage.steps, (Steps{"a", "b", "b", "a"}));
}

TEST(in_turn, a_cap_of_the_whole_device_is_on_for_its_own_turns_alone) {
  Stage stage;
  stage.caps_of_a.push_back(std::make_unique<NotedCap>("clock", false, stage.steps));
  stage.caps_of_b.push_back(std::make_unique<NotedCap>("traffic", true, stage.steps));
  EXPECT_EQ(stage.run_abba().size(), 4U);
  EXPECT_EQ(stage.steps, (Steps{"a", "traffic on", "b", "b", "traffic off", "a"}));
}

TEST(in_turn, a_cap_of_the_whole_device_is_off_when_a_launch_throws) {
  Stage stage;
  stage.failing = 2;
  stage.caps_of_b.push_back(std::make_unique<NotedCap>("traffic", true, stage.steps));
  EXPECT_THROW(stage.run_abba(), std::runtime_error);
  EXPECT_EQ(stage.steps, (Steps{"a", "traffic on", "b", "b", "traffic off"}));
}

TEST(in_turn, engaging_and_releasing_go_by_what_a_cap_acts_on) {
  Stage stage;
  stage.caps_of_a.push_back(std::make_unique<NotedCap>("clock", false, stage.steps));
  stage.caps_of_a.push_back(nullptr);
  stage.caps_of_a.push_back(std::make_unique<NotedCap>("traffic", true, stage.steps));
  const Contender a{stage.timer_a.get(), stage.caps_of_a};
  engage_caps(a, false);
  release_caps(a, true);
  EXPECT_EQ(stage.steps, (Steps{"clock on", "traffic off"}));
}

TEST(in_turn, work_is_held_by_every_cap_at_once) {
  Stage stage;
  stage.caps_of_a.push_back(std::make_unique<NotedCap>("part", false, stage.steps));
  stage.caps_of_a.push_back(nullptr);
  stage.caps_of_a.push_back(std::make_unique<NotedCap>("clock", false, stage.steps));
  hold_under(stage.caps_of_a, [&] { stage.steps.push_back("make"); });
  EXPECT_EQ(stage.steps, (Steps{"part holds", "clock holds", "make", "clock lets go", "part lets go"}));
}

}  // namespace
}  // namespace chokepoint
