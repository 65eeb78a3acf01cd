// A GPU's readings beside a run: found by its place on the bus, and a reason instead of numbers where there are none.
#include "harness/run/gpu_energy.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "harness/base/error.hpp"
#include "harness/run/environment.hpp"
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
  EXPECT_EQ(kept.conditions.at("mig_off"), false);
  EXPECT_EQ(kept.conditions.at("persistence_on"), true);
}

TEST(gpu_energy, the_instrument_is_probed_alone_and_told_in_two_lines) {
  const FakeNvmlScript script("[gpu]\nbus = 00000000:3B:00.0\npower_w = 300\ntick_ms = 20\nrefresh_ms = 10\nnoise = 0.01\n");
  GpuEnergy gpu(gpu_at("00000000:3B:00.0"));
  const KeepBusy load = [] {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return LoadStep{1, 0.01};
  };
  const InstrumentFacts facts = gpu.probe(load, {.idle_s = 0.1, .load_s = 0.4});
  EXPECT_NEAR(*facts.tick_s, 0.02, 0.004);
  EXPECT_TRUE(facts.counter_read_p50_s.has_value());
  EXPECT_TRUE(facts.power_read_p99_s.has_value());
  const std::string text = text_of(facts);
  EXPECT_TRUE(text.starts_with("energy counter: tick ")) << text;
  EXPECT_NE(text.find("\ninstant power: refresh "), std::string::npos) << text;
  try {
    GpuEnergy({.kind = "cpu"}).probe(never);
    FAIL() << "a CPU was probed";
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::unsupported);
    EXPECT_NE(error.message().find("no power instrument to probe: no GPU"), std::string::npos) << error.message();
  }
}

TEST(gpu_energy, several_loads_are_refused_together) {
  const FakeNvmlScript script("[gpu]\nbus = 00000000:3B:00.0\nmig = 1\n");
  GpuEnergy gpu(gpu_at("00000000:3b:00.0"));
  const std::vector<KeepBusy> loads = {never, never, never};
  const std::vector<EnergyMeasurement> all = gpu.measure("quick", loads);
  ASSERT_EQ(all.size(), 3U);
  for (const EnergyMeasurement& one : all) EXPECT_NE(one.refusal.find("MIG is on"), std::string::npos);
  EXPECT_TRUE(GpuEnergy({.kind = "cpu"}).measure("quick", loads).empty());
}

Json environment_on(const DeviceFacts& facts) {
  struct Machine final : Device {
    explicit Machine(const DeviceFacts& facts) : facts_(facts) {}
    const DeviceFacts& facts() const override { return facts_; }
    double time_s(const std::function<void()>&) override { return 0; }
    double now_s() override { return 0; }
    const DeviceFacts& facts_;
  };
  return environment_of(Machine(facts), {"chokepoint"});
}

TEST(gpu_energy, the_environment_tells_driver_and_board_and_null_where_nothing_does) {
  const FakeNvmlScript script(
      "driver = 575.57.08\n[gpu]\nbus = 00000000:3B:00.0\nvbios = 96.1\nlimit_w = 650\nmig = 0\npersistence = 1\n"
      "[gpu]\nbus = 00000000:86:00.0\nmissing = vbios limit_w mig persistence\n");
  const Json all = environment_on(gpu_at("00000000:3b:00.0"))["device"]["more"];
  EXPECT_EQ(all["driver"], "575.57.08");
  EXPECT_EQ(all["vbios"], "96.1");
  EXPECT_EQ(all["power_limit_w"], 650.0);
  EXPECT_EQ(all["mig"], false);
  EXPECT_EQ(all["persistence"], true);
  EXPECT_EQ(all["pci_bus_id"], "00000000:3b:00.0") << "what the device says stays";
  const Json few = environment_on(gpu_at("00000000:86:00.0"))["device"]["more"];
  EXPECT_EQ(few["driver"], "575.57.08");
  for (const char* key : {"vbios", "power_limit_w", "mig", "persistence"}) {
    ASSERT_TRUE(few.contains(key)) << key;
    EXPECT_TRUE(few[key].is_null()) << key;
  }
  EXPECT_EQ(program_provenance(gpu_at("00000000:3b:00.0"))["driver"], "575.57.08");
  EXPECT_FALSE(program_provenance({.kind = "cpu"}).contains("driver"));
  EXPECT_NE(program_provenance({.kind = "cpu"})["build"].get<std::string>(), "");
  EXPECT_FALSE(environment_on({.kind = "cpu"})["device"]["more"].contains("driver"));
}

TEST(gpu_energy, without_nvml_the_environment_says_why) {
  ::setenv("CHOKEPOINT_NVML", "/nowhere/libnvidia-ml.so", 1);
  const Json none = environment_on(gpu_at("00000000:3B:00.0"))["device"]["more"];
  EXPECT_TRUE(none["driver"].is_null());
  EXPECT_NE(none["nvml"].get<std::string>().find("does not load"), std::string::npos) << none.dump();
  EXPECT_FALSE(program_provenance(gpu_at("00000000:3B:00.0")).contains("driver"));
  ::unsetenv("CHOKEPOINT_NVML");
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
  measured.instrument.counter_read_p99_s = 0.0066;
  measured.duty = 0.991;
  measured.before = {{"temperature_c", 41.0}};
  measured.after = {{"temperature_c", 62.0}};
  measured.slowed_s = {{"power_cap", 2.0}};
  measured.conditions = {{"alone", true}};
  measured.flags = {"low_confidence"};
  Energy kept;
  keep_energy(measured, true, kept);
  EXPECT_EQ(kept.basis, "measured_under_cap");
  EXPECT_EQ(kept.scope, "gpu_board");
  EXPECT_EQ(kept.power_w, 400.0);
  EXPECT_DOUBLE_EQ(*kept.systematic_error, 0.053);
  EXPECT_EQ(kept.systematic_parts,
            (Readings{{"gain", 0.05}, {"alignment", 0.001}, {"lag", 0.002}, {"sampling", 0.0}}));
  EXPECT_EQ(kept.tick_s, 0.1);
  EXPECT_EQ(kept.instrument.at("tick_s"), 0.1);
  EXPECT_EQ(kept.instrument.at("counter_read_p99_s"), 0.0066);
  EXPECT_EQ(kept.duty, 0.991);
  EXPECT_EQ(kept.before.at("temperature_c"), 41.0);
  EXPECT_EQ(kept.after.at("temperature_c"), 62.0);
  EXPECT_EQ(kept.slowed_s.at("power_cap"), 2.0);
  EXPECT_EQ(kept.conditions.at("alone"), true);
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
