// A GPU's readings beside a run: found by its place on the bus, and a reason instead of numbers where there are none.
#include "harness/run/gpu_energy.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

#include "harness/base/error.hpp"
#include "tests/fake_nvml/script.hpp"

namespace chokepoint {
namespace {

DeviceFacts gpu_at(const char* bus_id) { return {.kind = "cuda", .name = "H100", .more = {{"pci_bus_id", bus_id}}}; }

LoadStep never() { throw Error(Fault::device, "the load ran", "it should not have"); }

TEST(gpu_energy, the_gpu_on_the_devices_place_on_the_bus_is_watched) {
  const FakeNvmlScript script(
      "[gpu]\nbus = 00000000:3B:00.0\npower_w = 100\n[gpu]\nbus = 00000000:86:00.0\npower_w = 640\nthrottle = 4\n");
  GpuEnergy gpu(gpu_at("00000000:86:00.0"));
  EXPECT_EQ(gpu.why_not(), "");
  const Json clocks = gpu.watch()->stop();
  EXPECT_DOUBLE_EQ(clocks["power_w"]["max"].get<double>(), 640.0);
  EXPECT_EQ(clocks["throttle_reasons"].dump(), R"(["power_cap"])");
}

TEST(gpu_energy, mig_costs_the_joules_and_not_the_case) {
  const FakeNvmlScript script("[gpu]\nbus = 00000000:3B:00.0\nmig = 1\n");
  GpuEnergy gpu(gpu_at("00000000:3b:00.0"));
  const std::optional<EnergyMeasurement> energy = gpu.measure("quick", never);
  ASSERT_TRUE(energy.has_value());
  EXPECT_FALSE(energy->gross_j_per_launch.has_value());
  EXPECT_NE(energy->refusal.find("MIG is on"), std::string::npos) << energy->refusal;
  Energy kept;
  kept.basis = "provisioned";
  keep_energy(*energy, false, kept);
  EXPECT_EQ(kept.basis, "provisioned");
  ASSERT_EQ(kept.flags.size(), 1U);
  EXPECT_TRUE(kept.flags[0].starts_with("refused: MIG is on")) << kept.flags[0];
}

TEST(gpu_energy, a_missing_library_or_gpu_is_a_refusal_that_says_so) {
  {
    const FakeNvmlScript script("[gpu]\nbus = 00000000:3B:00.0\n");
    GpuEnergy gpu(gpu_at("00000000:99:00.0"));
    EXPECT_EQ(gpu.watch(), nullptr);
    EXPECT_NE(gpu.measure("quick", never)->refusal.find("00000000:99:00.0"), std::string::npos);
  }
  ::setenv("CHOKEPOINT_NVML", "/nowhere/libnvidia-ml.so", 1);
  EXPECT_NE(GpuEnergy(gpu_at("00000000:3B:00.0")).measure("quick", never)->refusal.find("does not load"),
            std::string::npos);
  ::unsetenv("CHOKEPOINT_NVML");
}

TEST(gpu_energy, a_device_that_is_no_gpu_has_no_such_readings) {
  GpuEnergy gpu({.kind = "cpu"});
  EXPECT_EQ(gpu.watch(), nullptr);
  EXPECT_FALSE(gpu.measure("quick", never).has_value());
}

TEST(gpu_energy, what_the_load_throws_is_not_taken_for_a_reading) {
  const FakeNvmlScript script("[gpu]\nbus = 00000000:3B:00.0\n");
  GpuEnergy gpu(gpu_at("00000000:3B:00.0"));
  EXPECT_THROW(gpu.measure("quick", never), Error);
}

TEST(gpu_energy, a_measured_energy_keeps_its_error_bars_and_its_basis) {
  EnergyMeasurement measured;
  measured.gross_j_per_launch = 0.4;
  measured.power_w = 400.0;
  measured.random_error = 0.003;
  measured.systematic = Systematic{0.05, 0.001, 0.002};
  measured.trials.resize(3);
  measured.instrument.tick_s = 0.1;
  measured.flags = {"low_confidence"};
  Energy kept;
  keep_energy(measured, true, kept);
  EXPECT_EQ(kept.basis, "measured_under_cap");
  EXPECT_EQ(kept.scope, "gpu_board");
  EXPECT_EQ(kept.power_w, 400.0);
  EXPECT_DOUBLE_EQ(*kept.systematic_error, 0.053);
  EXPECT_EQ(kept.trials, 3);
  EXPECT_FALSE(kept.net_j_per_launch.has_value());
  EXPECT_EQ(kept.source, "nvml energy counter");
  keep_energy(measured, false, kept);
  EXPECT_EQ(kept.basis, "measured");
  measured.flags = {"no_counter", "no_second_opinion"};
  keep_energy(measured, false, kept);
  EXPECT_EQ(kept.source, "nvml instant power");
}

}  // namespace
}  // namespace chokepoint
