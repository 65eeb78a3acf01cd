// A whole group whose kernel charges nothing, on a device that plays a GPU of 132 multiprocessors: its compute is capped
// by a part of them, which is given back on every way out, and its memory by traffic beside it, where that is enough.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include "harness/base/units.hpp"
#include "harness/caps/tuning.hpp"
#include "harness/device/multiprocessors.hpp"
#include "harness/run/case_runner.hpp"

namespace chokepoint {
namespace {

constexpr int kTotal = 132;

// Times are what the work of a launch takes at these rates, in the part of the device that it was enqueued in.
class PlayedGpu final : public Device {
 public:
  PlayedGpu(double flop_per_s, double bytes_per_s) : flop_per_s_(flop_per_s), bytes_per_s_(bytes_per_s) {
    facts_.kind = "cuda";
    facts_.name = "played";
    facts_.architecture = "played/1";
    facts_.workers = kTotal;
    facts_.own_memory = true;
    facts_.memory_bytes = 1 << 27;  // keeps probes small
  }

  const DeviceFacts& facts() const override { return facts_; }

  double time_s(const std::function<void()>& work) override {
    spent_s_ = 0.0;
    work();
    return spent_s_;
  }
  double now_s() override { return now_s_ += 1e-4; }

  std::unique_ptr<LaunchTimer> timer(std::vector<std::function<void()>> launches) override {
    struct Bound final : LaunchTimer {
      int launches_per_sample() const override { return 1; }
      void start_over() override { next = 0; }
      std::unique_ptr<LaunchTimer> beside() override { throw std::logic_error("targets held from outside share nothing"); }
      std::vector<std::function<void()>> launches;
      int part = 0;
      std::size_t next = 0;
    };
    auto timer = std::make_unique<Bound>();
    timer->launches = std::move(launches);
    timer->part = part_;
    parts_of_timers.push_back(part_);
    run_of_[timer.get()] = [this, bound = timer.get()] {
      const int outside = part_;
      part_ = bound->part;
      const double time = time_s(bound->launches[bound->next++ % bound->launches.size()]);
      part_ = outside;
      return time;
    };
    return timer;
  }

  std::vector<double> time_in_turn(std::span<LaunchTimer* const> order) override {
    std::vector<double> times;
    for (LaunchTimer* timer : order) {
      if (samples_until_fault > 0 && --samples_until_fault == 0) throw std::runtime_error("the kernel faulted");
      times.push_back(run_of_.at(timer)());
    }
    return times;
  }

  std::unique_ptr<Restriction> restrict_multiprocessors(int wanted) override {
    struct Part final : Restriction {
      Part(PlayedGpu& owner, int count) : gpu(owner), granted(count) { ++gpu.parts; }
      ~Part() override { --gpu.parts; }
      int multiprocessors() const override { return granted; }
      std::vector<int> ran_on() override {
        std::vector<int> ids(granted);
        std::iota(ids.begin(), ids.end(), 0);
        return ids;
      }
      void enter() override { gpu.part_ = granted; }
      void leave() noexcept override { gpu.part_ = kTotal; }
      PlayedGpu& gpu;
      int granted;
    };
    return std::make_unique<Part>(*this, wanted);
  }

  std::unique_ptr<LanesApart> lanes_apart(int wanted) override {
    struct Apart final : LanesApart {
      Apart(PlayedGpu& owner, const LaneShares& of) : gpu(owner), shares(of) { ++gpu.parts; }
      ~Apart() override { --gpu.parts; }
      int multiprocessors(Lane lane) const override { return lane == Lane::compute ? shares.compute : shares.wire; }
      std::vector<int> ran_on(Lane lane) override {
        std::vector<int> ids(multiprocessors(lane));
        std::iota(ids.begin(), ids.end(), lane == Lane::compute ? 0 : shares.compute);
        return ids;
      }
      void enter() override { outside = std::exchange(gpu.part_, shares.compute); }
      void leave() noexcept override { gpu.part_ = outside; }
      PlayedGpu& gpu;
      LaneShares shares;
      int outside = kTotal;
    };
    return std::make_unique<Apart>(*this, lane_shares(part_, wanted).value());
  }

  // Engines whose copies nobody feels.
  std::unique_ptr<BackgroundCopies> background_copies() override {
    struct Unfelt final : BackgroundCopies {
      void enqueue(std::size_t bytes) override { queue += bytes; }
      std::size_t take_done_bytes() override { return std::exchange(queue, 0); }
      std::size_t queue = 0;
    };
    return std::make_unique<Unfelt>();
  }

  std::unique_ptr<BackgroundTraffic> background_traffic(int wanted) override {
    struct Flow final : BackgroundTraffic {
      Flow(PlayedGpu& owner, int count) : gpu(owner), granted(count) {}
      ~Flow() override { stop(); }
      int multiprocessors() const override { return granted; }
      void start(double rate) override { gpu.traffic_ = std::min(rate, gpu.most_traffic); }
      void stop() noexcept override { gpu.traffic_ = 0.0; }
      double moved_bytes() override { return 0.0; }
      PlayedGpu& gpu;
      int granted;
    };
    return std::make_unique<Flow>(*this, wanted);
  }

  int multiprocessors(Lane) const override { return part_; }

  void launch(const Work& work) {
    const double flop_per_s = flop_per_s_ * part_ / kTotal * (traffic_ > 0.0 ? 1.0 - arithmetic_lost : 1.0);
    spent_s_ += std::max(work.flop / flop_per_s, work.memory_bytes / (bytes_per_s_ - traffic_));
  }

  double arithmetic_lost = 0.0;  // part of it, while traffic flows

  double most_traffic = 1e30;
  double traffic() const { return traffic_; }
  int parts = 0;  // not given back yet
  std::vector<int> parts_of_timers;
  std::vector<int> reached_when_prepared;  // by launches that note it
  int samples_until_fault = 0;

 private:
  double flop_per_s_, bytes_per_s_;
  DeviceFacts facts_;
  double spent_s_ = 0.0, now_s_ = 0.0;
  int part_ = kTotal;
  double traffic_ = 0.0;
  std::map<LaunchTimer*, std::function<double()>> run_of_;
};

// The played time; right results, by the reference kernel, when somebody looks at them.
class PlayedLaunch final : public Launch {
 public:
  PlayedLaunch(const std::string& operation, const Problem& problem, Device& device, double efficiency)
      : gpu_(dynamic_cast<PlayedGpu&>(device)), work_(problem.work()),
        real_(find_kernel(operation, "cpu_reference").prepare(problem, device, Pace{})) {
    work_.flop /= efficiency;  // as if it had that much more to do
  }
  void run() override {
    ran_ = true;
    gpu_.launch(work_);
  }
  Tensor& output() override {
    if (ran_) real_->run();
    return real_->output();
  }
  void poison() override {
    real_->poison();
    ran_ = false;
  }

 private:
  PlayedGpu& gpu_;
  Work work_;
  std::unique_ptr<Launch> real_;
  bool ran_ = false;
};

Kernel played(const std::string& name, const std::string& operation, Dtype dtype, double efficiency = 1.0) {
  return {.name = name,
          .operation = operation,
          .device = "cuda",
          .dtypes = {dtype},
          .prepare = [=](const Problem& problem, Device& device, const Pace&) -> std::unique_ptr<Launch> {
            return std::make_unique<PlayedLaunch>(operation, problem, device, efficiency);
          }};
}

Kernel pacing(Kernel kernel) {
  kernel.paces = {Resource::compute, Resource::memory};
  return kernel;
}

const Register<Kernel> matmul{played("from_outside_test", "matmul", Dtype::bf16)};
const Register<Kernel> stream{played("from_outside_test", "stream", Dtype::f32)};
Kernel overlapping(Kernel kernel) {
  kernel.probes = false;
  kernel.wire_multiprocessors = [](const Shape&) { return 24; };
  return kernel;
}

const Register<Kernel> beside{overlapping(played("from_outside_test_overlapping", "matmul", Dtype::bf16))};
Kernel noting(Kernel kernel) {
  kernel.probes = false;
  kernel.prepare = [prepare = kernel.prepare](const Problem& problem, Device& device, const Pace& pace) {
    dynamic_cast<PlayedGpu&>(device).reached_when_prepared.push_back(device.multiprocessors(Lane::compute));
    return prepare(problem, device, pace);
  };
  return kernel;
}

const Register<Kernel> plans{noting(played("from_outside_test_plans", "matmul", Dtype::bf16))};
const Register<Kernel> slow{pacing(played("from_outside_test_slow", "matmul", Dtype::bf16, 0.4))};

struct Case {
  std::vector<Profile> profiles = load_profiles(CHOKEPOINT_SOURCE_DIR "/configs");
  Ceilings ceilings;
  CaseGroup group;
  double flop_per_s = 0.0, bytes_per_s = 0.0;

  // A device with twice the arithmetic of the target, and its memory.
  Case() {
    for (Profile& profile : profiles)
      if (profile.id == "h100-sxm") {
        profile.architecture = "played/1";
        // A hundredth of the arithmetic, so that small products are bound by it.
        for (auto* figure : {&profile.compute[Dtype::bf16].datasheet, &profile.compute[Dtype::bf16].achieved})
          if (*figure) (*figure)->value /= 100.0;
      }
    const Target target = parse_target("h100-sxm", profiles);
    flop_per_s = 2.0 * target_rate(target, Resource::compute, Dtype::bf16).value;
    bytes_per_s = target_rate(target, Resource::memory, Dtype::bf16).value;
    ceilings.compute[Dtype::bf16] = flop_per_s;
    ceilings.rate[Resource::memory] = bytes_per_s;
    group.operation = "matmul";
    group.kernel = "from_outside_test";
    group.dtype = Dtype::bf16;
    group.shape = complete_shape(find_operation("matmul"),
                                 {{"m", std::int64_t{32}}, {"n", std::int64_t{32}}, {"k", std::int64_t{32}}});
    group.targets = {"host", "h100-sxm"};
    group.warm_up_s = 0.0;
    group.sampling.budget_s = 1e9;
  }
};

TEST(from_outside, a_kernel_that_charges_nothing_is_capped_by_a_part_of_the_device) {
  Case one;
  PlayedGpu gpu(one.flop_per_s, one.bytes_per_s);
  const std::vector<Record> records = run_group(one.group, gpu, {one.profiles, one.ceilings});
  const Record& record = records.at(1);
  EXPECT_EQ(record.status, Status::ok) << record.reason;
  ASSERT_EQ(record.caps.size(), 2U);
  const CapRecord& cap = record.caps[0];
  EXPECT_EQ(cap.mechanism, "green context, 64 of 132 SMs");
  EXPECT_EQ(cap.status, CapStatus::held);
  EXPECT_NEAR(*cap.delivered_before / cap.requested, 64.0 / 66.0, 1e-9);
  EXPECT_EQ(cap.tolerance, 4.0 / 64.0);
  EXPECT_FALSE(cap.delivered_during || cap.linearity_error);
  EXPECT_EQ(record.caps[1].mechanism, "native");
  EXPECT_EQ(gpu.parts_of_timers, (std::vector<int>{kTotal, 64}));  // the host's timer is free
  EXPECT_EQ(gpu.parts, 0);
}

TEST(from_outside, a_wire_beside_products_gets_its_multiprocessors_from_what_the_cap_leaves) {
  Case one;
  PlayedGpu gpu(one.flop_per_s, one.bytes_per_s);
  one.group.kernel = "from_outside_test_overlapping";
  const std::vector<Record> records = run_group(one.group, gpu, {one.profiles, one.ceilings});
  EXPECT_EQ(records.at(1).status, Status::ok) << records.at(1).reason;
  EXPECT_EQ(records[1].caps.at(0).mechanism, "green context, 64 of 132 SMs");
  EXPECT_EQ(gpu.parts_of_timers, (std::vector<int>{112, 40}));
  EXPECT_EQ(records[0].provenance.at("wire_multiprocessors"), 20);
  EXPECT_EQ(records[1].provenance.at("wire_multiprocessors"), 24);
  EXPECT_EQ(records[1].provenance.at("product_multiprocessors"), 40);
  EXPECT_EQ(gpu.parts, 0);
}

TEST(from_outside, launches_are_prepared_for_the_part_of_the_device_that_they_will_reach) {
  Case one;
  one.group.kernel = "from_outside_test_plans";
  PlayedGpu gpu(one.flop_per_s, one.bytes_per_s);
  const std::vector<Record> records = run_group(one.group, gpu, {one.profiles, one.ceilings});
  EXPECT_EQ(records.at(1).status, Status::ok) << records.at(1).reason;
  const std::vector<int>& reached = gpu.reached_when_prepared;  // copies for the host, then for the target
  ASSERT_GT(reached.size(), 1U);
  EXPECT_EQ(std::count(reached.begin(), reached.end(), kTotal), std::ssize(reached) / 2);
  EXPECT_EQ(std::count(reached.begin(), reached.end(), 64), std::ssize(reached) / 2);
}

TEST(from_outside, a_part_is_given_back_when_sampling_throws) {
  Case one;
  PlayedGpu gpu(one.flop_per_s, one.bytes_per_s);
  gpu.samples_until_fault = 7;
  const std::vector<Record> records = run_group(one.group, gpu, {one.profiles, one.ceilings});
  EXPECT_EQ(records.at(1).status, Status::failed);
  EXPECT_EQ(records.at(1).reason, "the kernel faulted");
  EXPECT_EQ(gpu.parts, 0);
}

// The target's arithmetic, and 1.5 times its memory.
Case with_memory_to_spare() {
  Case one;
  one.flop_per_s /= 2.0;
  one.bytes_per_s *= 1.5;
  one.ceilings.compute[Dtype::bf16] = one.flop_per_s;
  one.ceilings.rate[Resource::memory] = one.bytes_per_s;
  return one;
}

TEST(from_outside, multiprocessors_take_memory_where_copy_engines_do_not_take_enough) {
  const Case one = with_memory_to_spare();
  PlayedGpu gpu(one.flop_per_s, one.bytes_per_s);
  const std::vector<Record> records = run_group(one.group, gpu, {one.profiles, one.ceilings});
  const Record& record = records.at(1);
  EXPECT_EQ(record.status, Status::ok) << record.reason;
  ASSERT_EQ(record.caps.size(), 2U);
  EXPECT_EQ(record.caps[0].mechanism, "native");
  const CapRecord& cap = record.caps[1];
  const int needed = multiprocessors_for_traffic(one.bytes_per_s / 3.0, kTotal);
  EXPECT_EQ(cap.mechanism, fmt::format("interference (copies on {} of 132 multiprocessors)", needed));
  EXPECT_EQ(cap.status, CapStatus::held);
  EXPECT_NEAR(*cap.delivered_before / cap.requested, 1.0, 0.01);
  EXPECT_EQ(gpu.traffic(), 0.0);
  EXPECT_EQ(records.at(0).status, Status::ok) << records.at(0).reason;
  EXPECT_TRUE(records.at(0).caps.empty());
}

TEST(from_outside, where_no_traffic_takes_enough_the_reason_is_that_of_the_last_that_was_tried) {
  const Case one = with_memory_to_spare();
  PlayedGpu gpu(one.flop_per_s, one.bytes_per_s);
  gpu.most_traffic = 0.1 * one.bytes_per_s;  // engines leave the probe all of it, multiprocessors nine tenths
  const std::vector<Record> records = run_group(one.group, gpu, {one.profiles, one.ceilings});
  const Record& record = records.at(1);
  EXPECT_EQ(record.status, Status::unsupported);
  EXPECT_NE(record.reason.find("still leaves the probe " + with_unit(0.9 * one.bytes_per_s, "B/s")), std::string::npos)
      << record.reason;
  EXPECT_EQ(gpu.traffic(), 0.0);
  EXPECT_EQ(records.at(0).status, Status::ok) << records.at(0).reason;  // the other target has nothing to do with it
}

TEST(from_outside, arithmetic_that_traffic_takes_from_a_kernel_is_a_cap_missed) {
  const Case one = with_memory_to_spare();
  PlayedGpu gpu(one.flop_per_s, one.bytes_per_s);
  gpu.arithmetic_lost = 0.4;
  const std::vector<Record> records = run_group(one.group, gpu, {one.profiles, one.ceilings});
  const Record& record = records.at(1);
  EXPECT_EQ(record.status, Status::invalid);
  EXPECT_EQ(record.caps.at(0).status, CapStatus::missed);
  EXPECT_NEAR(*record.caps[0].delivered_before / record.caps[0].requested, 0.6, 1e-9);
  EXPECT_EQ(records.at(0).status, Status::ok) << records.at(0).reason;
  EXPECT_EQ(gpu.traffic(), 0.0);
}

TEST(from_outside, a_clock_that_no_kernel_reaches_leaves_out_its_own_target) {
  Case one;  // twice the arithmetic of the target, of which the kernel that paces reaches 0.4
  PlayedGpu gpu(one.flop_per_s, one.bytes_per_s);
  one.group.kernel = "from_outside_test_slow";
  const std::vector<Record> records = run_group(one.group, gpu, {one.profiles, one.ceilings});
  EXPECT_EQ(records.at(1).status, Status::unsupported);
  EXPECT_NE(records.at(1).reason.find("the fastest reaches " + with_unit(0.4 * one.flop_per_s, "FLOP/s")), std::string::npos)
      << records.at(1).reason;
  EXPECT_EQ(records.at(0).status, Status::ok) << records.at(0).reason;
}

TEST(from_outside, traffic_stops_when_sampling_throws) {
  const Case one = with_memory_to_spare();
  PlayedGpu gpu(one.flop_per_s, one.bytes_per_s);
  gpu.samples_until_fault = 7;
  const std::vector<Record> records = run_group(one.group, gpu, {one.profiles, one.ceilings});
  EXPECT_EQ(records.at(1).reason, "the kernel faulted");
  EXPECT_EQ(gpu.traffic(), 0.0);
}

// The target's arithmetic is 0.8 of the device's: below it, and above 1/1.4 of it.
Case with_a_little_arithmetic_to_spare() {
  Case one;
  one.flop_per_s *= 0.5 / 0.8;
  one.ceilings.compute[Dtype::bf16] = one.flop_per_s;
  return one;
}

TEST(from_outside, a_part_of_the_device_holds_a_rate_near_the_ceiling_without_dilation) {
  const Case one = with_a_little_arithmetic_to_spare();
  PlayedGpu gpu(one.flop_per_s, one.bytes_per_s);
  const std::vector<Record> records = run_group(one.group, gpu, {one.profiles, one.ceilings});
  const Record& record = records.at(1);
  EXPECT_EQ(record.status, Status::ok) << record.reason;
  EXPECT_EQ(record.dilation, 1.0);
  EXPECT_EQ(record.basis, Basis::emulated);
  EXPECT_EQ(record.caps.at(0).mechanism, "green context, 104 of 132 SMs");
  EXPECT_NEAR(record.caps[0].headroom, 1.25, 1e-12);
}

TEST(from_outside, a_clock_dilates_for_the_same_rate_or_refuses_a_dilation_that_leaves_it_no_headroom) {
  Case one = with_a_little_arithmetic_to_spare();
  one.group.kernel = "from_outside_test_slow";  // charges compute and memory
  PlayedGpu gpu(one.flop_per_s, one.bytes_per_s);
  const std::vector<Record> records = run_group(one.group, gpu, {one.profiles, one.ceilings});
  // Arithmetic has its headroom at 0.8 * 1.4 = 1.12, where memory is no longer native; that has its own at 1.4.
  EXPECT_NEAR(records.at(1).dilation, 1.4, 1e-12);
  one.group.pinned_dilation = 1.0;
  const std::vector<Record> pinned = run_group(one.group, gpu, {one.profiles, one.ceilings});
  EXPECT_EQ(pinned.at(1).status, Status::unsupported);
  EXPECT_NE(pinned[1].reason.find("(1.25x, 1.4x needed)"), std::string::npos) << pinned[1].reason;
}

TEST(from_outside, interference_holds_a_rate_near_the_ceiling_without_dilation) {
  Case one = with_memory_to_spare();
  one.bytes_per_s /= 1.2;  // 1.25 times the target's memory
  one.ceilings.rate[Resource::memory] = one.bytes_per_s;
  PlayedGpu gpu(one.flop_per_s, one.bytes_per_s);
  const std::vector<Record> records = run_group(one.group, gpu, {one.profiles, one.ceilings});
  const Record& record = records.at(1);
  EXPECT_EQ(record.status, Status::ok) << record.reason;
  EXPECT_EQ(record.dilation, 1.0);
  EXPECT_EQ(record.caps.at(1).status, CapStatus::held);
  EXPECT_NEAR(record.caps[1].headroom, 1.25, 1e-12);
}

}  // namespace
}  // namespace chokepoint
