// Targets that only clocks hold take turns on the same launches: each at its own rate, with its own count of what it
// charged, and with no luckier arrays than the others.
#include "harness/run/launch_set.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "harness/caps/cuda/gpu_clock.hpp"
#include "harness/device/copy_turns.hpp"
#include "harness/device/graph_plan.hpp"
#include "harness/run/arm.hpp"
#include "harness/run/case_runner.hpp"
#include "harness/run/copies.hpp"
#include "kernels/common/cuda/device_array.hpp"
#include "tests/run/fake_device.hpp"

namespace chokepoint {
namespace {

// Blocks A B C C B A for `takers`, and how often each took each copy.
struct TurnsTaken {
  std::vector<std::vector<int>> of;
  std::size_t least_others_between = SIZE_MAX;  // two takings of one copy

  TurnsTaken(std::size_t copies, std::size_t takers, std::size_t blocks) : of(takers, std::vector<int>(copies)) {
    CopyTurns turns(copies);
    for (std::size_t i = 0; i < takers; ++i) turns.join();
    std::vector<std::size_t> last(copies, SIZE_MAX);
    for (std::size_t turn = 0; turn < 2 * takers * blocks; ++turn) {
      const std::size_t place = turn % (2 * takers), copy = turns.next();
      ++of[place < takers ? place : 2 * takers - 1 - place][copy];
      if (last[copy] != SIZE_MAX) least_others_between = std::min(least_others_between, turn - last[copy] - 1);
      last[copy] = turn;
    }
  }
  int unfairness() const {
    int most = 0;
    for (const std::vector<int>& one : of) {
      const auto [low, high] = std::minmax_element(one.begin(), one.end());
      most = std::max(most, *high - *low);
    }
    return most;
  }
};

TEST(launch_set, every_taker_comes_to_every_copy_equally_often) {
  for (std::size_t copies = 1; copies <= 64; ++copies)
    for (std::size_t takers = 1; takers <= 6; ++takers) {
      const TurnsTaken taken(copies, takers, 200);
      EXPECT_LE(taken.unfairness(), 3) << copies << " copies, " << takers << " takers";
      EXPECT_GE(taken.least_others_between + 2, copies) << copies << " copies, " << takers << " takers";
    }
}

TEST(launch_set, one_taker_alone_goes_round) {
  CopyTurns turns(3);
  turns.join();
  for (std::size_t turn = 0; turn < 12; ++turn) EXPECT_EQ(turns.next(), turn % 3);
  turns.next();
  turns.start_over();
  EXPECT_EQ(turns.next(), 0U);
}

TEST(launch_set, short_launches_are_timed_together_and_all_have_their_turn) {
  EXPECT_EQ(launches_per_sample(25e-6), 1);
  EXPECT_EQ(launches_per_sample(24.9e-6), 2);
  EXPECT_EQ(launches_per_sample(2e-6), 13);
  EXPECT_EQ(launches_per_sample(0.0), kMostLaunchesPerSample);
  for (int per_sample : {1, 2, 13, 64})
    for (std::size_t launches : {1U, 4U, 32U, 255U, 256U}) {
      std::vector<int> taken(launches);
      const auto graphs = rotation(launches, per_sample);
      EXPECT_LE(graphs.size(), kMostGraphs);
      for (const auto& graph : graphs) {
        EXPECT_EQ(graph.size(), static_cast<std::size_t>(per_sample));
        for (std::size_t launch : graph) ++taken[launch];
      }
      const auto [low, high] = std::minmax_element(taken.begin(), taken.end());
      EXPECT_EQ(*low, *high) << per_sample << " of " << launches;
    }
}

Shape copy_shape(std::int64_t elements) {
  return complete_shape(find_operation("stream"), {{"elements", elements}, {"pattern", std::string("copy")}});
}

std::unique_ptr<Problem> copy_of(std::int64_t elements) {
  return find_operation("stream").make(copy_shape(elements), Dtype::f32, {});
}

TEST(launch_set, copies_go_past_the_cache_as_far_as_memory_and_patience_allow) {
  DeviceFacts gpu, cpu;
  gpu.own_memory = true;
  gpu.last_level_cache_bytes = cpu.last_level_cache_bytes = 50 << 20;
  for (std::int64_t mib : {1, 3, 10, 64}) {
    const std::unique_ptr<Problem> one = copy_of(mib << 17);  // `mib` MiB in and out
    EXPECT_EQ(bytes_of_copy(*one), (mib << 20) + 1);
    EXPECT_GE(copies_wanted(*one, gpu) * bytes_of_copy(*one), std::int64_t{4} * (50 << 20)) << mib;
    EXPECT_GE(copies_wanted(*one, cpu) * bytes_of_copy(*one), std::min<std::int64_t>(2 * 50, 32 * mib) << 20) << mib;
  }
  EXPECT_EQ(copies_wanted(*copy_of(256), gpu), 256);
  EXPECT_EQ(copies_wanted(*copy_of(256), cpu), 32);
  EXPECT_GE(copies_wanted(*copy_of(64 << 20), gpu), 4);
}

int launches_made = 0;

// A copy whose launches are counted, and that charges what it moves.
class CountedCopy final : public Launch {
 public:
  CountedCopy(const Problem& problem, Device& device, const Pace& pace)
      : bytes_(problem.work().memory_bytes), pace_(pace),
        real_(find_kernel("stream", "cpu_reference").prepare(problem, device, Pace{})) {
    ++launches_made;
  }
  void run() override {
    real_->run();
    if (pace_.memory != nullptr) pace_.memory->wait(pace_.memory->reserve(bytes_));
  }
  Tensor& output() override { return real_->output(); }

 private:
  double bytes_;
  Pace pace_;
  std::unique_ptr<Launch> real_;
};

const Register<Kernel> counted{
    {.name = "launch_set_test",
     .operation = "stream",
     .dtypes = {Dtype::f32},
     .paces = {Resource::memory},
     .probes = false,
     .prepare = [](const Problem& problem, Device& device, const Pace& pace) -> std::unique_ptr<Launch> {
       return std::make_unique<CountedCopy>(problem, device, pace);
     }}};

CaseGroup copy_group(const std::string& kernel, std::vector<std::string> targets) {
  CaseGroup group;
  group.operation = "stream";
  group.kernel = kernel;
  group.shape = copy_shape(1 << 17);
  group.targets = std::move(targets);
  group.warm_up_s = 0.0;
  group.sampling.budget_s = 0.3;
  return group;
}

TEST(launch_set, targets_at_two_rates_of_one_clock_share_launches_and_the_host_has_its_own) {
  const std::vector<Profile> profiles = load_profiles(CHOKEPOINT_SOURCE_DIR "/configs");
  Ceilings ceilings;
  ceilings.rate[Resource::memory] = 1e9;
  const std::unique_ptr<Device> device = open_device("cpu");
  const CaseGroup group = copy_group("launch_set_test", {"h100-sxm@memory=2TB/s", "host", "h100-sxm@memory=1TB/s"});
  launches_made = 0;
  const std::vector<Record> records = run_group(group, *device, {profiles, ceilings});
  ASSERT_EQ(records.size(), 3U);
  EXPECT_EQ(launches_made, 2 * records[0].provenance.at("copies").get<int>());  // one set for the host, one for both
  EXPECT_EQ(records[0].provenance.at("targets_sharing_launches"), 2);
  EXPECT_EQ(records[1].provenance.at("targets_sharing_launches"), 1);
  EXPECT_EQ(records[2].provenance.at("targets_sharing_launches"), 2);
  EXPECT_NEAR(*records[2].time.median / *records[0].time.median, 2.0, 0.1);  // each waits for its own rate
  EXPECT_LT(*records[1].time.median, *records[0].time.median);
  for (const Record& record : records) {
    EXPECT_TRUE(record.verification && record.verification->passed) << record.reason;
    EXPECT_EQ(record.reason.find("charged"), std::string::npos) << record.reason;  // each counted its own bytes
  }
}

// A copy whose output lies in the memory of its device. The `wrong_copy`th launch damages it from its `wrong_run`th run on.
class CopyOnDevice final : public DeviceLaunch {
 public:
  CopyOnDevice(const Problem& problem, Device& device)
      : DeviceLaunch(device, Tensor("output", problem.output_dims(), Dtype::f32)), from_(*problem.inputs().front()),
        number_(launches_made++) {}
  void run() override {
    std::memcpy(output_data<void>(), from_.data(), static_cast<std::size_t>(from_.bytes()));
    if (number_ == wrong_copy && runs_++ >= wrong_run) output_data<float>()[from_.count() - 1] += 1.0F;
  }
  static inline int wrong_copy = -1, wrong_run = 0;

 private:
  const Tensor& from_;
  int number_, runs_ = 0;
};

const Register<Kernel> on_device{
    {.name = "launch_set_test_on_device",
     .operation = "stream",
     .dtypes = {Dtype::f32},
     .probes = false,
     .prepare = [](const Problem& problem, Device& device, const Pace&) -> std::unique_ptr<Launch> {
       return std::make_unique<CopyOnDevice>(problem, device);
     }}};

class CountingDevice final : public FakeDevice {
 public:
  CountingDevice() : FakeDevice([](std::size_t) { return 1e-3; }) {
    facts_.own_memory = true;
    facts_.last_level_cache_bytes = 1 << 20;
  }
  void download(void* to, const void* from, std::size_t bytes) override {
    ++downloads;
    FakeDevice::download(to, from, bytes);
  }
  int downloads = 0;
};

Record copied_on_device(CountingDevice& device, int wrong_copy, int wrong_run) {
  launches_made = 0;
  CopyOnDevice::wrong_copy = wrong_copy;
  CopyOnDevice::wrong_run = wrong_run;
  const std::vector<Profile> profiles = load_profiles(CHOKEPOINT_SOURCE_DIR "/configs");
  return run_group(copy_group("launch_set_test_on_device", {"host"}), device, {profiles, Ceilings{}}).at(0);
}

TEST(launch_set, outputs_that_hold_the_bits_of_a_right_one_are_not_fetched) {
  CountingDevice device;
  const Record record = copied_on_device(device, -1, 0);
  EXPECT_EQ(record.status, Status::ok) << record.reason;
  EXPECT_TRUE(record.verification->passed);
  EXPECT_GE(launches_made, 4);
  EXPECT_EQ(device.downloads, 2);  // the first launch's, before and after sampling
}

TEST(launch_set, one_wrong_output_is_found_whichever_launch_wrote_it_and_when) {
  for (const int wrong_copy : {0, 1, 3})
    for (const int wrong_run : {0, 2}) {  // at once, and once it has been verified
      CountingDevice device;
      const Record record = copied_on_device(device, wrong_copy, wrong_run);
      EXPECT_EQ(record.status, Status::failed) << wrong_copy << " " << wrong_run;
      EXPECT_NE(record.reason.find(wrong_run == 0 ? "before sampling" : "while sampling"), std::string::npos) << record.reason;
    }
}

// Counts copies within its memory, which is the host's.
class CopyingDevice final : public FakeDevice {
 public:
  CopyingDevice() : FakeDevice([](std::size_t) { return 1e-3; }) {}
  void enqueue_copies(std::span<const DeviceCopy> copies, void* stream) override {
    ++times_copied;
    FakeDevice::enqueue_copies(copies, stream);
  }
  int times_copied = 0;
};

TEST(launch_set, code_that_brings_clocks_has_run_before_samples_wait_behind_a_gate) {
  CopyingDevice device;
  const std::unique_ptr<Problem> problem = copy_of(64);
  GpuClock of_a(device, 1.0, 0.0), of_b(device, 2.0, 0.0);
  std::vector<Arm> arms(2);
  arms[0].pace.memory = &of_a;
  arms[1].pace.memory = &of_b;
  const auto sets = launch_sets(arms, device, 0);
  ASSERT_EQ(sets.size(), 1U);
  sets[0]->launches.push_back(std::make_unique<CopyOnDevice>(*problem, device));
  sets[0]->make_timers(device);
  EXPECT_EQ(device.times_copied, 2);  // in and back
  EXPECT_EQ(device.calls(), 0U);      // nothing was timed yet
}

}  // namespace
}  // namespace chokepoint
