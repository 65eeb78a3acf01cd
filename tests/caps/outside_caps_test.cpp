// Caps on kernels that charge nothing: which cap a kernel gets, the arithmetic of partitions, the search for a
// setting, and traffic that keeps its rate and stops.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <mutex>
#include <numeric>

#include "harness/base/error.hpp"
#include "harness/caps/cap.hpp"
#include "harness/caps/cuda/traffic_generator.hpp"
#include "harness/caps/rate_controller.hpp"
#include "harness/caps/tuning.hpp"
#include "harness/device/multiprocessors.hpp"

namespace chokepoint {
namespace {

TEST(find_cap, a_kernel_that_paces_gets_the_clock_and_another_gets_what_works_on_any) {
  EXPECT_EQ(find_cap(Resource::compute, "cuda", true)->name, "compute");
  EXPECT_EQ(find_cap(Resource::compute, "cuda", false)->name, "green_context");
  EXPECT_EQ(find_cap(Resource::memory, "cuda", true)->name, "memory");
  EXPECT_EQ(find_cap(Resource::memory, "cuda", false)->name, "traffic");
  EXPECT_EQ(find_cap(Resource::link, "cuda", false), nullptr);
  EXPECT_EQ(find_cap(Resource::memory, "cpu", false), nullptr);
}

TEST(find_cap, copy_engines_are_tried_before_multiprocessors) {
  std::vector<std::string> names;
  for (const Cap* cap : find_caps(Resource::memory, "cuda", false)) names.push_back(cap->name);
  EXPECT_EQ(names, (std::vector<std::string>{"traffic", "multiprocessor_traffic"}));
  EXPECT_TRUE(find_caps(Resource::memory, "cpu", false).empty());
}

TEST(least_headroom, clocks_need_some_and_what_acts_from_outside_needs_none) {
  for (const Cap& cap : Registry<Cap>::instance().all())
    EXPECT_EQ(cap.least_headroom, cap.kernel_charges ? kPacingHeadroom : 1.0) << registry_key(cap);
}

// Whichever of them holds in the end, the dilation was settled before.
TEST(least_headroom, of_several_mechanisms_is_that_of_the_most_demanding_in_any_order) {
  const Cap modest{.name = "modest", .least_headroom = 1.0}, demanding{.name = "demanding", .least_headroom = 1.2};
  EXPECT_EQ(least_headroom(std::vector<const Cap*>{&modest, &demanding}), 1.2);
  EXPECT_EQ(least_headroom(std::vector<const Cap*>{&demanding, &modest}), 1.2);
  EXPECT_EQ(least_headroom(std::vector<const Cap*>{&modest}), 1.0);
  EXPECT_EQ(least_headroom({}), kPacingHeadroom);
}

TEST(judge, a_coarse_mechanism_has_its_own_tolerance) {
  CapRecord cap;
  cap.mechanism = "green context, 64 of 132 SMs";
  cap.requested = 100.0;
  cap.delivered_before = cap.delivered_after = 96.0;
  EXPECT_EQ(judge(cap), CapStatus::missed);  // as from before tolerances were kept
  cap.tolerance = half_step(64);             // 4 of 64: 6.25 %
  EXPECT_EQ(judge(cap), CapStatus::held);
  cap.delivered_after = 106.3;
  EXPECT_EQ(judge(cap), CapStatus::leaked);
  cap.delivered_after = 93.7;
  EXPECT_EQ(judge(cap), CapStatus::missed);
}

TEST(partitions, are_multiples_of_eight_or_everything) {
  EXPECT_EQ(nearest_partition(66.0, 132), 64);
  EXPECT_EQ(nearest_partition(68.1, 132), 72);
  EXPECT_EQ(nearest_partition(0.5, 132), 8);
  EXPECT_EQ(nearest_partition(129.0, 132), 128);
  EXPECT_EQ(nearest_partition(131.0, 132), 132);
  EXPECT_EQ(nearest_partition(500.0, 132), 132);
  EXPECT_EQ(nearest_partition(3.0, 4), 4);  // smaller than a step
}

// Products, wire. 132 - 24 is 13.5 steps of 8: the tie goes to the products.
TEST(lane_shares, products_get_whole_steps_and_the_wire_what_is_left) {
  EXPECT_EQ(lane_shares(132, 24), (LaneShares{112, 20}));
  EXPECT_EQ(lane_shares(132, 20), (LaneShares{112, 20}));
  EXPECT_EQ(lane_shares(132, 25), (LaneShares{104, 28}));  // 13.375 steps
  EXPECT_EQ(lane_shares(114, 24), (LaneShares{88, 26}));   // 11.25
  EXPECT_EQ(lane_shares(78, 24), (LaneShares{56, 22}));    // 6.75
  EXPECT_EQ(lane_shares(108, 24, 2), (LaneShares{84, 24}));
}

TEST(lane_shares, a_part_that_a_cap_leaves_is_divided_in_its_turn) {
  EXPECT_EQ(lane_shares(64, 24), (LaneShares{40, 24}));
  EXPECT_EQ(lane_shares(104, 24), (LaneShares{80, 24}));
}

TEST(lane_shares, a_wire_gets_half_at_most_and_a_step_at_least) {
  EXPECT_EQ(lane_shares(40, 24), (LaneShares{24, 16}));  // 20 wanted: 2.5 steps for the products
  EXPECT_EQ(lane_shares(16, 24), (LaneShares{8, 8}));
  EXPECT_EQ(lane_shares(20, 24), (LaneShares{8, 12}));   // no more steps would leave the wire one
  EXPECT_EQ(lane_shares(132, 1), (LaneShares{120, 12}));
  EXPECT_EQ(lane_shares(15, 24), std::nullopt);
  EXPECT_EQ(lane_shares(8, 24), std::nullopt);
}

TEST(partitions, two_may_share_two_multiprocessors_and_no_more) {
  const int low[] = {0, 1, 2, 3, 4}, next[] = {3, 4, 5, 6}, over[] = {2, 3, 4, 5};
  EXPECT_TRUE(are_apart(low, next));
  EXPECT_FALSE(are_apart(low, over));
}

TEST(partitions, half_a_step_is_four_of_those_granted) {
  EXPECT_DOUBLE_EQ(half_step(8), 0.5);
  EXPECT_DOUBLE_EQ(half_step(104), 4.0 / 104.0);
}

TEST(partitions, ids_are_the_positions_of_set_bits) {
  const std::uint32_t mask[] = {0x80000001U, 0x4U, 0U};
  EXPECT_EQ(ids_in(mask), (std::vector<int>{0, 31, 34}));
  EXPECT_TRUE(ids_in({}).empty());
}

TEST(partitions, two_more_than_granted_are_allowed_and_three_or_none_are_not) {
  std::vector<int> ids(10);
  std::iota(ids.begin(), ids.end(), 0);
  EXPECT_TRUE(within_partition(ids, 8));
  ids.push_back(10);
  EXPECT_FALSE(within_partition(ids, 8));
  EXPECT_FALSE(within_partition({}, 8));
}

TEST(tuning, multiprocessors_in_proportion_need_no_search) {
  int probes = 0;
  const int count = tune_multiprocessors(500.0, 1000.0, 132, [&](double n) { return ++probes, 1000.0 * n / 132.0; });
  EXPECT_EQ(count, 64);  // 484.8; 72 would give 545.5
  EXPECT_LE(probes, 3);
}

// Fewer multiprocessors run at a higher clock: 1.3 times at most.
double boosted(double n) { return 1000.0 * n / 132.0 * (1.3 - 0.3 * n / 132.0); }

TEST(tuning, a_clock_that_rises_with_fewer_multiprocessors_is_found_out) {
  for (double requested : {100.0, 300.0, 500.0, 700.0, 850.0}) {
    std::map<int, double> off;
    for (int n = 8; n <= 128; n += 8) off[n] = std::abs(boosted(n) - requested);
    off[132] = std::abs(boosted(132) - requested);
    const auto best = std::min_element(off.begin(), off.end(), [](auto& a, auto& b) { return a.second < b.second; });
    int probes = 0;
    EXPECT_EQ(tune_multiprocessors(requested, 1000.0, 132, [&](double n) { return ++probes, boosted(n); }),
              best->first)
        << requested;
    EXPECT_LE(probes, 6) << requested;
  }
}

TEST(tuning, traffic_takes_what_the_probe_is_not_to_have) {
  int probes = 0;
  const double traffic = tune_traffic(2e12, 3e12, 6e12, [&](double t) { return ++probes, 3e12 - t; });
  EXPECT_NEAR(traffic, 1e12, 0.01 * 2e12);
  EXPECT_EQ(probes, 1);
}

TEST(tuning, unfair_arbitration_is_found_out_within_a_few_probes) {
  // Victim and traffic share by a power of what they ask for: far from one for one.
  const auto victim = [](double t) { return 3e12 * std::pow(1.0 - t / (t + 5e12), 0.7); };
  for (double share : {0.5, 0.7, 0.9}) {
    int probes = 0;
    const double requested = share * 3e12;
    const double traffic = tune_traffic(requested, 3e12, 30e12, [&](double t) { return ++probes, victim(t); });
    EXPECT_NEAR(victim(traffic) / requested, 1.0, kTuningTolerance) << share;
    EXPECT_LE(probes, 10) << share;
  }
}

TEST(tuning, traffic_that_cannot_take_enough_gives_up_and_says_so) {
  const auto weak = [](double t) { return 3e12 - std::min(t, 0.2e12); };  // engines end at 0.2 TB/s
  try {
    tune_traffic(1.5e12, 3e12, 6e12, weak);
    FAIL() << "it found a setting that does not exist";
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::cap_not_held);
    EXPECT_NE(error.message().find("2.80 TB/s"), std::string::npos) << error.message();
  }
}

TEST(tuning, probes_that_never_settle_end) {
  int probes = 0;
  EXPECT_THROW(tune_traffic(2e12, 3e12, 6e12, [&](double) { return ++probes % 2 == 0 ? 1e12 : 2.5e12; }), Error);
  EXPECT_LE(probes, kMostTuningProbes);
}

// An engine that moves at most `capacity` bytes per tick of what is in flight.
struct Plant {
  double queue = 0.0;
  double tick(double burst, double capacity) {
    queue += burst;
    const double done = std::min(queue, capacity);
    queue -= done;
    return done;
  }
};

constexpr double kTick_s = 50e-6, kTarget = 1e12, kPerTick = kTarget * kTick_s;  // 50 MB

TEST(rate_controller, settles_at_the_target_when_the_engine_can) {
  RateController controller(kTarget, kTick_s, 2 << 20);
  Plant plant;
  double done = 0.0, moved = 0.0;
  for (int i = 0; i < 1000; ++i) {
    const double jitter = i % 3 == 0 ? 1.4 : 0.8;  // ticks of uneven length, one on average
    done = plant.tick(controller.next_burst(jitter * kTick_s, done), 3 * kPerTick);
    if (i >= 100) moved += done;
  }
  EXPECT_NEAR(moved / (900 * kPerTick), 1.0, 0.01);
}

TEST(rate_controller, does_not_make_up_for_a_time_when_it_was_held_up) {
  RateController controller(kTarget, kTick_s, 2 << 20);
  Plant plant;
  double done = 0.0;
  for (int i = 0; i < 2000; ++i) {
    done = plant.tick(controller.next_burst(kTick_s, done), 0.3 * kPerTick);
    EXPECT_LE(plant.queue, controller.most_in_flight());
  }
  double moved = 0.0;
  for (int i = 0; i < 200; ++i) {
    done = plant.tick(controller.next_burst(kTick_s, done), 10 * kPerTick);
    moved += done;
  }
  EXPECT_NEAR(moved / (200 * kPerTick), 1.0, 0.05);  // 2000 ticks of debt would be 8 times as much
}

// Copies that are done at a rate of their own, by the wall clock; the third burst can fail.
class FakeCopies final : public BackgroundCopies {
 public:
  FakeCopies(double rate, bool failing, double& enqueued) : rate_(rate), failing_(failing), enqueued_(enqueued) {}
  void enqueue(std::size_t bytes) override {
    if (failing_ && ++bursts_ == 3) throw Error(Fault::device, "the copy failed", "look at the log");
    queue_ += static_cast<double>(bytes);
    enqueued_ += static_cast<double>(bytes);
  }
  std::size_t take_done_bytes() override {
    const auto now = std::chrono::steady_clock::now();
    const double most = rate_ * std::chrono::duration<double>(now - last_).count();
    last_ = now;
    const double done = std::floor(std::min(queue_, most));
    queue_ -= done;
    return static_cast<std::size_t>(done);
  }

 private:
  double rate_;
  bool failing_;
  double& enqueued_;
  double queue_ = 0.0;
  int bursts_ = 0;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

class CopyingDevice final : public Device {
 public:
  explicit CopyingDevice(bool failing = false) : failing_(failing) {}
  const DeviceFacts& facts() const override { return facts_; }
  double time_s(const std::function<void()>& work) override { return work(), 1.0; }
  double now_s() override { return 0.0; }
  std::unique_ptr<BackgroundCopies> background_copies() override {
    return std::make_unique<FakeCopies>(1e12, failing_, enqueued);
  }
  double enqueued = 0.0;  // read while no generator runs

 private:
  DeviceFacts facts_;
  bool failing_;
};

TEST(traffic, flows_at_no_more_than_its_rate_until_it_is_stopped) {
  CopyingDevice device;
  TrafficGenerator generator(device, 1e11);
  const auto begin = std::chrono::steady_clock::now();
  generator.start();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  generator.stop();
  const double elapsed_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  EXPECT_LT(device.enqueued, 1.1e11 * elapsed_s);
  EXPECT_GT(device.enqueued, 0.01e11 * elapsed_s);  // its thread may not get a core for most of it
  const double then = device.enqueued;
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(device.enqueued, then);
}

TEST(traffic, what_its_thread_met_is_thrown_where_it_is_asked_for) {
  CopyingDevice device(true);
  TrafficGenerator generator(device, 1e11);
  try {
    generator.start();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    generator.stop();
    generator.rethrow();
    FAIL() << "the fault was swallowed";
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "the copy failed");
  }
  EXPECT_THROW(generator.start(), Error);  // and not forgotten
}

TEST(traffic, a_device_without_copies_beside_its_launches_says_so) {
  const std::unique_ptr<Device> device = open_device("cpu");
  Pace pace;
  const CapPlan plan{.demand = {.resource = Resource::memory}, .requested = 1e9, .ceiling = 2e9};
  EXPECT_THROW(find_cap(Resource::memory, "cuda", false)->install(plan, *device, pace), Error);
  EXPECT_THROW(device->restrict_multiprocessors(8), Error);
}

// Traffic that notes what happens to it.
class FlowingDevice final : public Device {
 public:
  FlowingDevice() { facts_.workers = 132; }
  const DeviceFacts& facts() const override { return facts_; }
  double time_s(const std::function<void()>& work) override { return work(), 1.0; }
  double now_s() override { return 0.0; }
  std::unique_ptr<BackgroundTraffic> background_traffic(int wanted) override {
    struct Noted final : BackgroundTraffic {
      explicit Noted(FlowingDevice& owner, int count) : device(owner), granted(count) {}
      ~Noted() override { stop(); }
      int multiprocessors() const override { return granted; }
      void start(double rate) override { device.rate = rate; }
      void stop() noexcept override { device.rate = 0.0; }
      double moved_bytes() override {
        if (device.expired) throw Error(Fault::cap_not_held, "it ended by itself", "none");
        return 0.0;
      }
      FlowingDevice& device;
      int granted;
    };
    return std::make_unique<Noted>(*this, wanted + 4);
  }
  double rate = 0.0;
  bool expired = false;

 private:
  DeviceFacts facts_;
};

TEST(multiprocessor_traffic, flows_while_it_is_engaged_and_says_on_what) {
  FlowingDevice device;
  Pace pace;
  const CapPlan plan{.demand = {.resource = Resource::memory}, .requested = 2e12, .ceiling = 3e12, .setting = 0.9e12};
  const Cap* cap = find_caps(Resource::memory, "cuda", false).back();
  {
    const auto installed = cap->install(plan, device, pace);
    EXPECT_EQ(device.rate, 0.0);
    installed->engage();
    EXPECT_EQ(device.rate, 0.9e12);
    EXPECT_TRUE(installed->device_wide());
    EXPECT_EQ(installed->mechanism(), "interference (copies on 28 of 132 multiprocessors)");  // 24 wanted
    installed->release();
    EXPECT_EQ(device.rate, 0.0);
    device.expired = true;
    EXPECT_THROW(installed->delivered(1.0), Error);
    installed->engage();
  }
  EXPECT_EQ(device.rate, 0.0);
}

// A restriction that notes what happens to it.
class RestrictedDevice final : public Device {
 public:
  RestrictedDevice(int total, int extra) : extra_(extra) {
    facts_.workers = total;
  }
  const DeviceFacts& facts() const override { return facts_; }
  double time_s(const std::function<void()>& work) override { return work(), 1.0; }
  double now_s() override { return 0.0; }
  std::unique_ptr<Restriction> restrict_multiprocessors(int wanted) override {
    struct Noted final : Restriction {
      Noted(std::vector<std::string>& to, int count, int ran) : steps(to), granted(count), seen(ran) {}
      ~Noted() override { steps.push_back("give back"); }
      int multiprocessors() const override { return granted; }
      std::vector<int> ran_on() override {
        std::vector<int> ids(seen);
        std::iota(ids.begin(), ids.end(), 0);
        return ids;
      }
      void enter() override { steps.push_back("enter"); }
      void leave() noexcept override { steps.push_back("leave"); }
      std::vector<std::string>& steps;
      int granted, seen;
    };
    steps.push_back("take " + std::to_string(wanted));
    return std::make_unique<Noted>(steps, wanted, wanted + extra_);
  }
  std::vector<std::string> steps;

 private:
  DeviceFacts facts_;
  int extra_;
};

CapPlan half_of_compute() {
  return {.demand = {.resource = Resource::compute}, .requested = 50.0, .ceiling = 100.0};
}

TEST(green_context, is_left_and_given_back_when_what_it_holds_throws) {
  RestrictedDevice device(132, 0);
  Pace pace;
  {
    const auto cap = find_cap(Resource::compute, "cuda", false)->install(half_of_compute(), device, pace);
    EXPECT_EQ(cap->mechanism(), "green context, 64 of 132 SMs");
    EXPECT_DOUBLE_EQ(cap->tolerance(), 4.0 / 64.0);
    EXPECT_THROW(cap->hold([&] {
      device.steps.push_back("launch");
      throw Error(Fault::device, "fault", "none");
    }),
                 Error);
  }
  EXPECT_EQ(device.steps, (std::vector<std::string>{"take 64", "enter", "launch", "leave", "give back"}));
}

TEST(green_context, a_setting_that_was_found_is_what_is_asked_for) {
  RestrictedDevice device(132, 0);
  Pace pace;
  CapPlan plan = half_of_compute();
  plan.setting = 48;
  find_cap(Resource::compute, "cuda", false)->install(plan, device, pace);
  EXPECT_EQ(device.steps.front(), "take 48");
}

TEST(green_context, one_that_does_not_hold_is_no_cap) {
  RestrictedDevice device(132, 3);
  Pace pace;
  try {
    find_cap(Resource::compute, "cuda", false)->install(half_of_compute(), device, pace);
    FAIL() << "67 multiprocessors passed for 64";
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::cap_not_held);
  }
  EXPECT_EQ(device.steps.back(), "give back");
}

}  // namespace
}  // namespace chokepoint
