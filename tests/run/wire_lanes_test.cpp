// Multiprocessors for the wire alone: who gets them, from where, for how long, and what a record says of it. On a device
// that plays a GPU of 132 of them and can refuse any of it.
#include "harness/run/wire_lanes.hpp"

#include <gtest/gtest.h>

#include <numeric>

#include "harness/base/error.hpp"
#include "harness/device/multiprocessors.hpp"
#include "harness/run/case_runner.hpp"
#include "tests/run/fake_device.hpp"

namespace chokepoint {
namespace {

std::vector<int> ids_from(int first, int count) {
  std::vector<int> ids(static_cast<std::size_t>(count));
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

class DividedDevice final : public FakeDevice {
 public:
  DividedDevice() : FakeDevice([](std::size_t) { return 1.0; }) { facts_.workers = reached = 132; }

  int multiprocessors(Lane lane) const override {
    return !shares_ ? reached : lane == Lane::compute ? shares_->compute : shares_->wire;
  }
  bool lanes_are_apart() const override { return shares_.has_value(); }
  void finish() override {
    if (lost) throw Error(Fault::device, "the context is lost", "none");
  }

  std::unique_ptr<LanesApart> lanes_apart(int wanted) override {
    struct Parts final : LanesApart {
      Parts(DividedDevice& owner, const LaneShares& of) : device(owner), shares(of) { ++device.divisions; }
      ~Parts() override {
        leave();
        --device.divisions;
      }
      int multiprocessors(Lane lane) const override { return lane == Lane::compute ? shares.compute : shares.wire; }
      std::vector<int> ran_on(Lane lane) override {
        if (device.refuses_graphs) throw Error(Fault::device, "no such graph", "none");
        const int first = lane == Lane::compute ? 0 : shares.compute - device.overlapping;
        return ids_from(first, multiprocessors(lane));
      }
      void enter() override { device.shares_ = shares; }
      void leave() noexcept override { device.shares_.reset(); }
      DividedDevice& device;
      LaneShares shares;
    };
    if (!why_not.empty()) throw Error(Fault::unsupported, why_not, "none");
    return std::make_unique<Parts>(*this, lane_shares(reached, wanted).value());
  }

  std::unique_ptr<LaunchTimer> timer(std::vector<std::function<void()>> launches) override {
    if (refuses_timers && lanes_are_apart()) throw Error(Fault::device, "no such graph", "none");
    products_of_timers.push_back(multiprocessors(Lane::compute));
    return FakeDevice::timer(std::move(launches));
  }

  int reached = 0;        // by the lanes together
  int divisions = 0;      // not given back yet
  int overlapping = 0;    // multiprocessors that both parts were seen on
  std::string why_not;    // it cannot be divided
  bool refuses_graphs = false, refuses_timers = false, lost = false;
  std::vector<int> products_of_timers;

 private:
  std::optional<LaneShares> shares_;
};

// A part of the device for what is held.
class PartOfDevice final : public InstalledCap {
 public:
  PartOfDevice(DividedDevice& device, int count) : device_(device), count_(count) {}
  void engage() override {}
  void release() noexcept override {}
  void reset_tally() override {}
  Delivered delivered(double) const override { return {}; }
  void hold(const std::function<void()>& enqueue) override {
    const int before = std::exchange(device_.reached, count_);
    enqueue();
    device_.reached = before;
  }

 private:
  DividedDevice& device_;
  int count_;
};

Record noted(const WireLanes& lanes) {
  Record record;
  lanes.note(record);
  return record;
}

TEST(wire_lanes, are_apart_while_they_hold_something) {
  DividedDevice device;
  const WireLanes lanes(device, 24, {});
  EXPECT_FALSE(device.lanes_are_apart());
  int held = 0;
  lanes.hold([&] {
    ++held;
    EXPECT_EQ(device.multiprocessors(Lane::compute), 112);
    EXPECT_EQ(device.multiprocessors(Lane::wire), 20);
  });
  EXPECT_EQ(held, 1);
  EXPECT_FALSE(device.lanes_are_apart());
  const Record record = noted(lanes);
  EXPECT_EQ(record.provenance.at("wire_multiprocessors"), 20);
  EXPECT_EQ(record.provenance.at("product_multiprocessors"), 112);
  EXPECT_EQ(record.reason, "");
}

TEST(wire_lanes, are_left_and_given_back_when_what_they_hold_throws) {
  DividedDevice device;
  {
    WireLanes lanes(device, 24, {});
    EXPECT_THROW(lanes.hold_if_taken([] { throw Error(Fault::wrong_result, "wrong", "none"); }), Error);
    EXPECT_FALSE(device.lanes_are_apart());
    EXPECT_TRUE(lanes.apart());
    EXPECT_EQ(device.divisions, 1);
  }
  EXPECT_EQ(device.divisions, 0);
}

TEST(wire_lanes, both_come_out_of_what_a_cap_leaves) {
  DividedDevice device;
  std::vector<std::unique_ptr<InstalledCap>> caps;
  caps.push_back(nullptr);  // a native resource
  caps.push_back(std::make_unique<PartOfDevice>(device, 64));
  const WireLanes lanes(device, 24, caps);
  lanes.hold([&] { EXPECT_EQ(device.multiprocessors(Lane::compute), 40); });
  EXPECT_EQ(noted(lanes).provenance.at("wire_multiprocessors"), 24);
}

TEST(wire_lanes, without_overlap_nothing_is_divided_or_said) {
  DividedDevice device;
  const WireLanes lanes(device, 0, {});
  lanes.hold([&] { EXPECT_EQ(device.multiprocessors(Lane::compute), 132); });
  EXPECT_TRUE(noted(lanes).provenance.empty());
  EXPECT_EQ(noted(lanes).reason, "");
}

TEST(wire_lanes, stay_together_with_a_remark_where_the_device_cannot_be_divided) {
  DividedDevice device;
  device.why_not = "the driver has no cuGreenCtxCreate";
  const WireLanes lanes(device, 24, {});
  lanes.hold([&] { EXPECT_EQ(device.multiprocessors(Lane::compute), 132); });
  EXPECT_TRUE(noted(lanes).provenance.empty());
  EXPECT_EQ(noted(lanes).reason,
            "the wire shared SMs with the products, and may have waited for them: the driver has no cuGreenCtxCreate");
}

TEST(wire_lanes, parts_that_were_seen_on_each_others_multiprocessors_are_none) {
  DividedDevice device;
  device.overlapping = 2;
  EXPECT_TRUE(WireLanes(device, 24, {}).apart());
  device.overlapping = 3;
  const WireLanes lanes(device, 24, {});
  EXPECT_FALSE(lanes.apart());
  EXPECT_NE(noted(lanes).reason.find("granted 112 multiprocessors and 20 others"), std::string::npos)
      << noted(lanes).reason;
  EXPECT_EQ(device.divisions, 0);
}

TEST(wire_lanes, parts_that_no_graph_joins_are_none) {
  DividedDevice device;
  device.refuses_graphs = true;
  const WireLanes lanes(device, 24, {});
  EXPECT_FALSE(lanes.apart());
  EXPECT_NE(noted(lanes).reason.find("no such graph"), std::string::npos);
  device.lost = true;
  EXPECT_THROW(WireLanes(device, 24, {}), Error);
}

TEST(wire_lanes, what_a_device_refuses_on_two_parts_is_done_with_the_lanes_together) {
  DividedDevice device;
  WireLanes lanes(device, 24, {});
  std::vector<int> seen;
  lanes.hold_if_taken([&] {
    seen.push_back(device.multiprocessors(Lane::compute));
    if (device.lanes_are_apart()) throw Error(Fault::device, "no such graph", "none");
  });
  EXPECT_EQ(seen, (std::vector<int>{112, 132}));
  EXPECT_FALSE(lanes.apart());
  EXPECT_NE(noted(lanes).reason.find("no such graph"), std::string::npos);
  EXPECT_EQ(device.divisions, 0);
}

TEST(wire_lanes, a_device_that_is_lost_is_not_asked_again) {
  DividedDevice device;
  device.lost = true;
  WireLanes lanes(device, 24, {});
  int runs = 0;
  try {
    lanes.hold_if_taken([&] {
      ++runs;
      throw Error(Fault::device, "a launch failed", "none");
    });
    FAIL() << "the loss was swallowed";
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "the context is lost");
  }
  EXPECT_EQ(runs, 1);
}

// Notes how many multiprocessors products had when a launch was made and whenever it ran.
std::vector<int> seen_when_prepared, seen_when_run;

class Noting final : public Launch {
 public:
  Noting(const Problem& problem, Device& device)
      : device_(device), real_(find_kernel("stream", "cpu_reference").prepare(problem, device, Pace{})) {
    seen_when_prepared.push_back(device.multiprocessors(Lane::compute));
  }
  void run() override {
    seen_when_run.push_back(device_.multiprocessors(Lane::compute));
    real_->run();
  }
  Tensor& output() override { return real_->output(); }

 private:
  Device& device_;
  std::unique_ptr<Launch> real_;
};

// Overlaps where it copies.
const Register<Kernel> kernel{{.name = "wire_lanes_test",
                               .operation = "stream",
                               .dtypes = {Dtype::f32},
                               .wire_multiprocessors = [](const Shape& s) { return s.word("pattern") == "copy" ? 24 : 0; },
                               .prepare = [](const Problem& problem, Device& device, const Pace&) -> std::unique_ptr<Launch> {
                                 return std::make_unique<Noting>(problem, device);
                               }}};

Record record_on(DividedDevice& device, const std::string& pattern) {
  seen_when_prepared.clear();
  seen_when_run.clear();
  CaseGroup group;
  group.operation = "stream";
  group.kernel = "wire_lanes_test";
  group.shape = complete_shape(find_operation("stream"), {{"elements", std::int64_t{1000}}, {"pattern", pattern}});
  group.targets = {"host"};
  group.warm_up_s = 0.0;
  group.sampling.budget_s = 1e9;
  const std::vector<Profile> profiles = load_profiles(CHOKEPOINT_SOURCE_DIR "/configs");
  return run_group(group, device, {profiles, Ceilings{}}).at(0);
}

TEST(wire_lanes, a_launch_that_overlaps_is_prepared_verified_and_timed_with_its_lanes_apart) {
  DividedDevice device;
  const Record record = record_on(device, "copy");
  EXPECT_EQ(record.status, Status::ok) << record.reason;
  EXPECT_EQ(record.provenance.at("wire_multiprocessors"), 20);
  EXPECT_EQ(seen_when_prepared.front(), 112);
  EXPECT_EQ(seen_when_run.front(), 112);
  EXPECT_EQ(device.products_of_timers, std::vector<int>{112});
  EXPECT_EQ(device.divisions, 0);
}

TEST(wire_lanes, a_launch_that_does_not_overlap_has_all_multiprocessors) {
  DividedDevice device;
  const Record record = record_on(device, "triad");
  EXPECT_EQ(record.status, Status::ok) << record.reason;
  EXPECT_FALSE(record.provenance.contains("wire_multiprocessors"));
  EXPECT_EQ(seen_when_prepared.front(), 132);
  EXPECT_EQ(device.products_of_timers, std::vector<int>{132});
}

TEST(wire_lanes, a_graph_that_is_refused_is_timed_together_and_the_record_says_so) {
  DividedDevice device;
  device.refuses_timers = true;
  const Record record = record_on(device, "copy");
  EXPECT_EQ(record.status, Status::ok) << record.reason;
  EXPECT_NE(record.reason.find("no such graph"), std::string::npos) << record.reason;
  EXPECT_FALSE(record.provenance.contains("wire_multiprocessors"));
  EXPECT_EQ(device.products_of_timers, std::vector<int>{132});
}

}  // namespace
}  // namespace chokepoint
