// NVML through a library that answers from a script: what is there is read, what is missing is absent, what goes
// wrong says what to do.
#include "harness/meters/nvml.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "harness/base/error.hpp"
#include "harness/meters/energy.hpp"
#include "harness/meters/meter.hpp"
#include "harness/meters/nvml_instrument.hpp"
#include "tests/fake_nvml/script.hpp"
#include "tests/meters/scripted_nvml.hpp"

namespace chokepoint {
namespace {

std::string error_of(const std::function<void()>& action, std::optional<Fault> fault = std::nullopt) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), fault.value_or(error.fault()));
    return error.what();
  }
  return "no error";
}

TEST(nvml, a_gpu_is_found_by_bus_id_of_any_width_and_by_uuid) {
  const FakeNvmlScript script(
      "[gpu]\nbus = 00000000:3B:00.0\nuuid = GPU-aaa\n"
      "[gpu]\nbus = 00000000:86:00.0\nuuid = GPU-bbb\nname = Second\n");
  const auto nvml = Nvml::open();
  EXPECT_EQ(nvml->gpu_count(), 2);
  EXPECT_EQ(nvml->driver_version(), "580.65.06");
  EXPECT_EQ(nvml->find("GPU-bbb").name(), "Second");
  EXPECT_EQ(nvml->find("0000:86:00.0").uuid(), "GPU-bbb");
  EXPECT_EQ(nvml->find("00000000:3b:00.0").uuid(), "GPU-aaa");
  EXPECT_EQ(nvml->find("GPU-aaa").bus_id(), "00000000:3B:00.0");
  EXPECT_NE(error_of([&] { (void)nvml->find("0000:99:00.0"); }, Fault::device).find("0000:99:00.0"), std::string::npos);
  EXPECT_NE(error_of([&] { (void)nvml->find("GPU-ccc"); }).find("nvidia-smi -L"), std::string::npos);
}

TEST(nvml, readings_come_in_base_units) {
  const FakeNvmlScript script(
      "[gpu]\nsm_mhz = 1755\nmax_sm_mhz = 1980\nmemory_mhz = 2619\nmax_memory_mhz = 2620\ntemperature_c = 61\n"
      "power_w = 412\nmemory_power_w = 77\nlimit_w = 500\ndefault_limit_w = 700\nmig = 0\npersistence = 0\necc = 1\n"
      "processes = 3\nthrottle = 132\nfield269_ns = 2500000000\n");
  const NvmlGpu gpu = Nvml::open()->by_index(0);
  EXPECT_DOUBLE_EQ(*gpu.sm_clock_hz(), 1755e6);
  EXPECT_DOUBLE_EQ(*gpu.max_sm_clock_hz(), 1980e6);
  EXPECT_DOUBLE_EQ(*gpu.memory_clock_hz(), 2619e6);
  EXPECT_DOUBLE_EQ(*gpu.max_memory_clock_hz(), 2620e6);
  EXPECT_DOUBLE_EQ(*gpu.temperature_c(), 61.0);
  EXPECT_DOUBLE_EQ(gpu.instant_power()->w, 412.0);
  EXPECT_DOUBLE_EQ(gpu.average_power()->w, 412.0);
  EXPECT_DOUBLE_EQ(gpu.instant_power(PowerScope::memory)->w, 77.0);
  EXPECT_FALSE(gpu.instant_power(PowerScope::module).has_value());
  EXPECT_DOUBLE_EQ(*gpu.power_limit_w(), 500.0);
  EXPECT_DOUBLE_EQ(*gpu.default_power_limit_w(), 700.0);
  EXPECT_DOUBLE_EQ(gpu.power_limit_range()->least_w, 200.0);
  EXPECT_EQ(gpu.mig_enabled(), false);
  EXPECT_EQ(gpu.persistence_enabled(), false);
  EXPECT_EQ(gpu.ecc_enabled(), true);
  EXPECT_EQ(gpu.compute_processes(), 3);
  EXPECT_EQ(throttle_words(*gpu.throttle_mask()), (std::vector<std::string>{"power_cap", "hw_power_brake"}));
  EXPECT_DOUBLE_EQ(*gpu.slowed_s().sw_thermal, 2.5);
  EXPECT_EQ(gpu.library().nvlink_bandwidth_mode(), 0U);
}

TEST(nvml, every_bit_of_the_throttle_mask_has_a_word) {
  EXPECT_TRUE(throttle_words(0).empty());
  EXPECT_EQ(throttle_words(0x1ff),
            (std::vector<std::string>{"idle", "applications_clocks", "power_cap", "hw_slowdown", "sync_boost",
                                      "sw_thermal", "hw_thermal", "hw_power_brake", "display_clocks"}));
  EXPECT_EQ(throttle_words(1ULL << 40), (std::vector<std::string>{"bit_40"}));
}

TEST(nvml, what_the_gpu_lacks_is_absent) {
  const FakeNvmlScript script(
      "[gpu]\nmissing = energy fields sm_mhz temperature_c throttle limit_w mig persistence ecc processes vbios\n");
  const NvmlGpu gpu = Nvml::open()->by_index(0);
  EXPECT_FALSE(gpu.energy_j().has_value());
  EXPECT_FALSE(gpu.instant_power().has_value());
  EXPECT_FALSE(gpu.average_power().has_value());
  EXPECT_FALSE(gpu.sm_clock_hz().has_value());
  EXPECT_FALSE(gpu.temperature_c().has_value());
  EXPECT_FALSE(gpu.throttle_mask().has_value());
  EXPECT_FALSE(gpu.power_limit_w().has_value());
  EXPECT_FALSE(gpu.mig_enabled().has_value());
  EXPECT_FALSE(gpu.persistence_enabled().has_value());
  EXPECT_FALSE(gpu.ecc_enabled().has_value());
  EXPECT_FALSE(gpu.compute_processes().has_value());
  EXPECT_FALSE(gpu.vbios_version().has_value());
  EXPECT_FALSE(gpu.slowed_s().power_cap.has_value());
  EXPECT_TRUE(gpu.memory_clock_hz().has_value());
}

TEST(nvml, energy_comes_from_a_field_where_the_counter_call_is_missing) {
  for (const char* missing : {"energy", "energy field191"}) {
    const FakeNvmlScript script(std::string("[gpu]\nmissing = ") + missing + "\n");
    const auto joule = Nvml::open()->by_index(0).energy_j();
    ASSERT_TRUE(joule.has_value()) << missing;
    EXPECT_NEAR(*joule, 1e4, 100.0);  // the fake starts at 10 kJ
  }
  const FakeNvmlScript script("[gpu]\nmissing = energy field191 field83\n");
  EXPECT_FALSE(Nvml::open()->by_index(0).energy_j().has_value());
}

TEST(nvml, a_field_that_an_old_driver_has_never_heard_of_is_absent) {
  const FakeNvmlScript script("[gpu]\nunknown = field186 field269\n");
  const NvmlGpu gpu = Nvml::open()->by_index(0);
  EXPECT_FALSE(gpu.instant_power().has_value());
  EXPECT_FALSE(gpu.slowed_s().sw_thermal.has_value());
  EXPECT_TRUE(gpu.average_power().has_value());
}

TEST(nvml, a_field_is_read_in_whatever_type_it_comes) {
  for (int type = 0; type <= 6; ++type) {
    // Sixteen bits hold 65 W in milliwatts.
    const FakeNvmlScript script("[gpu]\npower_w = 60\nvalue_type = " + std::to_string(type) + "\n");
    EXPECT_DOUBLE_EQ(Nvml::open()->by_index(0).instant_power()->w, 60.0) << type;
  }
}

TEST(nvml, trouble_is_one_line_with_a_remedy) {
  {
    const FakeNvmlScript script("init_code = 9\n");
    EXPECT_EQ(error_of([] { (void)Nvml::open(); }, Fault::device),
              "NVML cannot start: Driver Not Loaded (code 9); load the NVIDIA kernel driver (`nvidia-smi` must work)");
  }
  {
    const FakeNvmlScript script("[gpu]\nlost_after_s = 0\n");
    const NvmlGpu gpu = Nvml::open()->by_index(0);
    EXPECT_NE(error_of([&] { (void)gpu.energy_j(); }, Fault::device).find("fell off the bus"), std::string::npos);
  }
  ::setenv("CHOKEPOINT_NVML", "/nowhere/libnvidia-ml.so", 1);
  EXPECT_NE(error_of([] { (void)Nvml::open(); }, Fault::device).find("/nowhere/libnvidia-ml.so does not load"),
            std::string::npos);
  ::unsetenv("CHOKEPOINT_NVML");
}

TEST(nvml, mig_refuses_energy_and_says_how_to_go_on) {
  const FakeNvmlScript script("[gpu]\nbus = 00000000:3B:00.0\nmig = 1\n");
  const std::string text = error_of([] { NvmlInstrument instrument(Nvml::open()->by_index(0)); }, Fault::unsupported);
  EXPECT_NE(text.find("MIG is on for GPU 00000000:3B:00.0"), std::string::npos) << text;
  EXPECT_NE(text.find("nvidia-smi -i 00000000:3B:00.0 -mig 0"), std::string::npos) << text;
}

TEST(nvml, conditions_that_do_not_hold_come_with_their_remedy) {
  const FakeNvmlScript script(
      "[gpu]\nmig = 1\npersistence = 0\nprocesses = 2\nlimit_w = 500\nthrottle = 32\nmissing = energy field83 field191\n"
      "[gpu]\n[gpu]\nmissing = mig persistence processes limit_w throttle\n");
  const auto nvml = Nvml::open();
  for (const EnergyCondition& condition : energy_conditions(nvml->by_index(0)))
    EXPECT_EQ(condition.holds, false) << condition.name;
  for (const EnergyCondition& condition : energy_conditions(nvml->by_index(1)))
    EXPECT_EQ(condition.holds, true) << condition.name << ": " << condition.text;
  for (const EnergyCondition& condition : energy_conditions(nvml->by_index(2)))
    EXPECT_EQ(condition.holds, condition.name == "energy_counter" ? std::optional(true) : std::nullopt) << condition.name;
}

TEST(nvml, labels_and_conditions_that_cannot_be_read_are_absent_and_no_error) {
  const FakeNvmlScript script("clock = script\n[gpu]\nlost_after_s = 1\n");
  ScriptedNvml board(Nvml::open()->by_index(0));
  board.sleep_s(2.0);
  for (const Readings& readings : {board.state(), board.slowed_s()}) {
    EXPECT_GE(readings.size(), 3U);
    for (const auto& [name, value] : readings) EXPECT_FALSE(value.has_value()) << name;
  }
  for (const EnergyCondition& condition : energy_conditions(Nvml::open()->by_index(0)))
    EXPECT_EQ(condition.holds, std::nullopt) << condition.name;
  EXPECT_THROW(board.energy_j(), Error);
}

TEST(nvml, conditions_go_into_json_with_what_is_unknown_as_null) {
  const FakeNvmlScript script("[gpu]\nprocesses = 2\nmissing = mig\n");
  EXPECT_EQ(answers_json(by_name(energy_conditions(Nvml::open()->by_index(0)))).dump(),
            R"({"alone":false,"energy_counter":true,"mig_off":null,"no_thermal_slowdown":true,"persistence_on":true,)"
            R"("power_limit_default":true})");
}

TEST(nvml, doctor_has_a_line_with_and_without_the_library) {
  const EnergyMeter* meter = Registry<EnergyMeter>::instance().find("nvml");
  ASSERT_NE(meter, nullptr);
  {
    const FakeNvmlScript script("[gpu]\npersistence = 0\n[gpu]\nmig = 1\nmissing = field186 energy field83 field191\n");
    const std::string text = meter->describe();
    EXPECT_NE(text.find("driver 580.65.06"), std::string::npos) << text;
    EXPECT_NE(text.find("instant power; persistence mode is off"), std::string::npos) << text;
    EXPECT_NE(text.find("no instant power; MIG is on"), std::string::npos) << text;
    EXPECT_NE(text.find("energy counter absent, and no instant power"), std::string::npos) << text;
  }
  {
    const FakeNvmlScript script("[gpu]\nmissing = energy field83 field191\n");
    EXPECT_TRUE(meter->describe().ends_with(
        ": instant power; energy counter absent: joules come from integrated instant power"));
  }
  ::setenv("CHOKEPOINT_NVML", "/nowhere/libnvidia-ml.so", 1);
  EXPECT_NE(meter->describe().find("install the NVIDIA driver"), std::string::npos);
  ::unsetenv("CHOKEPOINT_NVML");
}

EnergyMeasurement through_nvml(ScriptedNvml& board, const char* profile) {
  const InstrumentFacts facts = probe_instrument(board, board.load(), {}, &board);
  return measure_energy(board, facts, energy_settings(profile), board.load(), &board);
}

constexpr const char* kBoardOfToday =
    "clock = script\nread_us = 2400\n[gpu]\npower_w = 400\ntick_ms = 100\nlag_ms = 100\nrefresh_ms = 100\n";

// What boards of the H100 class do: a counter that moves every 100 ms, tells what was 100 ms ago and takes 2.4 ms to read.
TEST(nvml, constant_400_w_come_back_within_a_fifth_of_a_percent_through_the_shared_object) {
  const FakeNvmlScript script(kBoardOfToday);
  for (const char* profile : {"quick", "standard", "publish"})
    for (const double phase_s : {0.0, 0.013, 0.037, 0.071, 0.099}) {
      ScriptedNvml board(Nvml::open()->by_index(0));
      board.sleep_s(1.0 + phase_s);
      const EnergyMeasurement energy = through_nvml(board, profile);
      ASSERT_EQ(energy.refusal, "") << profile;
      EXPECT_NEAR(*energy.power_w, 400.0, 0.8) << profile << phase_s;
      EXPECT_NEAR(*energy.gross_j_per_launch, 0.4, 0.0008) << profile << phase_s;
      for (const EnergyTrial& trial : energy.trials) EXPECT_TRUE(trial.by_counter);
      EXPECT_NEAR(*energy.idle_w, 400.0, profile == std::string("quick") ? 2.0 : 0.8) << profile << phase_s;
      EXPECT_NEAR(*energy.instrument.tick_s, 0.1, 0.002);
      EXPECT_NEAR(*energy.instrument.counter_read_p50_s, 0.0024, 1e-6);
      EXPECT_LT(*energy.agreement, 0.002);
    }
}

TEST(nvml, a_step_from_idle_shows_the_lag_and_leaves_the_joules_right_through_the_shared_object) {
  for (const double lag_ms : {0.0, 100.0, 250.0}) {
    const FakeNvmlScript script(std::string(kBoardOfToday) + "lag_ms = " + std::to_string(lag_ms) +
                                "\npower_lag_ms = 50\nnoise = 0.01\nfield74_share = 0.25\nfield269_ns = 7e9\n");
    ScriptedNvml board(Nvml::open()->by_index(0));
    board.idle_w = 100.0;
    board.sleep_s(1.0);
    const EnergyMeasurement energy = through_nvml(board, "standard");
    ASSERT_EQ(energy.refusal, "");
    EXPECT_NEAR(*energy.power_w, 400.0, 0.8) << lag_ms;
    EXPECT_NEAR(*energy.idle_w, 100.0, 0.8) << lag_ms;
    EXPECT_NEAR(*energy.instrument.counter_lag_s, 1e-3 * lag_ms, 0.02);
    EXPECT_NEAR(*energy.instrument.power_refresh_s, 0.1, 0.01);
    // A quarter of five loads of 1.5 s, a window of 5 s, up to 4 ticks and 0.3 s each.
    EXPECT_NEAR(*energy.slowed_s.at("power_cap"), 0.25 * 5.0 * 7.2, 0.3);
    EXPECT_EQ(energy.slowed_s.at("sw_thermal"), 0.0) << "what was before the load is not of the load";
    EXPECT_EQ(energy.before.at("temperature_c"), 45.0);
    EXPECT_EQ(energy.after.at("sm_clock_hz"), 1980e6);
    EXPECT_TRUE(energy.flags.empty());
  }
}

TEST(nvml, constant_400_w_without_a_counter_are_integrated_over_time_and_flagged) {
  const FakeNvmlScript script(std::string(kBoardOfToday) + "missing = energy field83 field191\n");
  ScriptedNvml board(Nvml::open()->by_index(0));
  const EnergyMeasurement energy = through_nvml(board, "quick");
  ASSERT_EQ(energy.refusal, "");
  EXPECT_NEAR(*energy.power_w, 400.0, 0.8);
  EXPECT_NEAR(*energy.gross_j_per_launch, 0.4, 0.0008);
  EXPECT_NEAR(*energy.idle_w, 400.0, 0.8);
  EXPECT_EQ(std::count(energy.flags.begin(), energy.flags.end(), "no_counter"), 1);
  EXPECT_EQ(std::count(energy.flags.begin(), energy.flags.end(), "constant_power"), 1);
  EXPECT_EQ(std::count(energy.flags.begin(), energy.flags.end(), "no_second_opinion"), 1);
}

TEST(nvml, a_gain_within_the_sensors_bound_stays_within_the_error_bar_through_the_shared_object) {
  const FakeNvmlScript script(std::string(kBoardOfToday) + "gain = 1.045\n");
  ScriptedNvml board(Nvml::open()->by_index(0));
  const EnergyMeasurement energy = through_nvml(board, "quick");
  EXPECT_NEAR(*energy.power_w, 418.0, 0.9);
  EXPECT_GT(energy.systematic->total(), 0.045);
  EXPECT_LT(energy.systematic->without_gain(), 0.01);
  EXPECT_LT(*energy.random_error, 0.002);
}

// Busy from the end of one slice to the end of the next, however late it wakes.
KeepBusy slices_of(NvmlInstrument& instrument) {
  return [&instrument, finished_s = instrument.now_s()]() mutable {
    instrument.sleep_s(0.01);
    const double busy_s = instrument.now_s() - finished_s;
    finished_s += busy_s;
    return LoadStep{10, busy_s};
  };
}

// In real time: constant 400 W through threads, a ticking and lagging counter and the real clock.
TEST(nvml, constant_power_comes_back_through_the_whole_chain) {
  const FakeNvmlScript script("[gpu]\npower_w = 400\ntick_ms = 10\nlag_ms = 10\nrefresh_ms = 5\n");
  NvmlInstrument instrument(Nvml::open()->by_index(0));
  EnergySettings settings{.window_s = 0.4, .trials = 2, .lead_in_s = 0.1, .lead_out_s = 0.05, .rest_s = 0.0, .idle_s = 0.0};
  const EnergyMeasurement energy = measure_energy(instrument, {.tick_s = 0.01}, settings, slices_of(instrument));
  ASSERT_EQ(energy.refusal, "");
  // A busy machine delays polls; the bound of the alignment, from the polls as they came, says by how much.
  EXPECT_NEAR(*energy.power_w / 400.0, 1.0, std::max(0.002, energy.systematic->without_gain()));
  EXPECT_LT(*energy.agreement, 0.05);
  EXPECT_GT(*energy.duty, 0.98);
}

// In real time too: what a virtual machine's driver gives, from the probe to the joules.
TEST(nvml, constant_power_comes_back_without_a_counter) {
  const FakeNvmlScript script(
      "[gpu]\npower_w = 400\nrefresh_ms = 10\nnoise = 0.01\nmissing = energy field83 field191\n");
  NvmlInstrument instrument(Nvml::open()->by_index(0));
  const InstrumentFacts facts = probe_instrument(instrument, slices_of(instrument), {.idle_s = 0.1, .load_s = 0.3});
  EXPECT_FALSE(facts.tick_s.has_value());
  EXPECT_GE(*facts.power_refresh_s, 0.005);
  const EnergySettings settings{.window_s = 1.2, .trials = 2, .lead_in_s = 0.1, .lead_out_s = 0.2, .rest_s = 0.0, .idle_s = 0.3};
  const EnergyMeasurement energy = measure_energy(instrument, facts, settings, slices_of(instrument));
  ASSERT_EQ(energy.refusal, "");
  EXPECT_NEAR(*energy.power_w / 400.0, 1.0, std::max(0.005, energy.systematic->sampling));
  EXPECT_GT(energy.systematic->total(), 0.05);
  EXPECT_TRUE(energy.trials[0].off_average.has_value());
  EXPECT_TRUE(energy.idle_w.has_value());
  EXPECT_EQ(std::count(energy.flags.begin(), energy.flags.end(), "no_counter"), 1);
}

}  // namespace
}  // namespace chokepoint
