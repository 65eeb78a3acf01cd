// Records: what is written comes back, and what does not belong is refused.
#include "harness/model/record.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "harness/base/error.hpp"
#include "harness/model/recorded_trace.hpp"

namespace chokepoint {
namespace {

// A different value in every field, so that two exchanged ones show.
Record full() {
  Record record;
  record.run_id = "run-7";
  record.case_id = "matmul/cpu_native/bf16/k=3@h800-sxm#12";
  record.attempt = 3;
  record.operation = "matmul";
  record.kernel = "cpu_native";
  record.shape = Shape{{"k", std::int64_t{3}}, {"b_layout", std::string("nk")}};
  record.dtype = Dtype::fp8_e4m3;
  record.device = {{"kind", "cpu"}, {"name", "machine \"x\""}, {"workers", 2}};
  record.target = "h800-sxm";
  record.basis = Basis::scaled;
  record.status = Status::ok;
  record.reason = "a remark";
  record.dilation = 5800.5;
  CapRecord cap;
  cap.resource = Resource::network;
  cap.target_rate = 40e9;
  cap.target_rate_kind = "derived";
  cap.target_rate_verified = false;
  cap.requested = 6.9e6;
  cap.latency_s = 0.025;
  cap.delivered_before = 1.0;
  cap.delivered_during = 2.0;
  cap.delivered_after = 3.0;
  cap.linearity_error = 0.004;
  cap.ceiling = 5.0;
  cap.headroom = 6.0;
  cap.mechanism = "resource clock";
  cap.busy_share = 0.75;
  cap.status = CapStatus::leaked;
  record.caps = {cap, CapRecord{}};
  record.time = {.median = 1.5,
                 .ci_low = 1.25,
                 .ci_high = 1.75,
                 .mean = 1.6,
                 .mean_ci_low = 1.3,
                 .mean_ci_high = 1.9,
                 .ess = 17.5,
                 .cv = 0.125,
                 .n = 3,
                 .stopped_by = "budget",
                 .regime = "short",
                 .window_s = 9.5,
                 .samples = {1.5, 0.3333333333, 2.5e-9}};
  record.interleave_group = "group";
  record.verification = Verification{0.001, 0.02, true, 8, 9};
  record.work = {1, 2, 3, 4, 5, 6, 7};
  record.energy = {"measured", 55.5, "cpu_package", "rapl", false, 0.25};
  record.energy.gross_j_per_launch = 0.41;
  record.energy.net_j_per_launch = 0.31;
  record.energy.random_error = 0.003;
  record.energy.systematic_error = 0.052;
  record.energy.idle_w = 101.0;
  record.energy.static_share = 0.26;
  record.energy.agreement = 0.012;
  record.energy.window_s = 5.1;
  record.energy.trials = 11;
  record.energy.tick_s = 0.09;
  record.energy.memory_scope_w = 61.0;
  record.energy.flags = {"low_confidence", "suspect"};
  record.energy.systematic_parts = {{"gain", 0.05}, {"alignment", 0.001}, {"lag", 0.0}, {"sampling", 0.002}};
  record.energy.instrument = {{"tick_s", 0.1}, {"counter_lag_s", std::nullopt}, {"counter_read_p99_s", 0.0066}};
  record.energy.conditions = {{"mig_off", true}, {"alone", false}, {"persistence_on", std::nullopt}};
  record.energy.duty = 0.985;
  record.energy.before = {{"temperature_c", 41.0}};
  record.energy.after = {{"temperature_c", 62.0}};
  record.energy.slowed_s = {{"power_cap", 3.5}};
  record.metrics["tokens_per_s"] = {10.0, 9.0, 11.0, "token/s"};
  record.metrics["flop_per_s"] = {10.0, std::nullopt, std::nullopt, "FLOP/s"};
  record.provenance = {{"seed", 18446744073709551615ULL}, {"argv", {"a", "b"}}};
  return record;
}

Record minimal() {
  Record record;
  record.status = Status::failed;
  record.reason = "crashed";
  return record;
}

Record read_back(const Json& json) { return record_from_json(parse_json(json.dump(), "r.jsonl")); }

std::string error_after(const std::function<void(Json&)>& change, const Record& record = full()) {
  Json json = to_json(record);
  change(json);
  try {
    read_back(json);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(record, everything_comes_back) {
  for (const Record& record : {full(), minimal()}) EXPECT_EQ(to_json(read_back(to_json(record))).dump(), to_json(record).dump());
  const Record back = read_back(to_json(full()));
  EXPECT_EQ(back.attempt, 3);
  EXPECT_EQ(back.shape.word("b_layout"), "nk");
  EXPECT_EQ(back.dtype, Dtype::fp8_e4m3);
  EXPECT_EQ(back.basis, Basis::scaled);
  EXPECT_EQ(back.dilation, 5800.5);
  EXPECT_EQ(back.caps[0].resource, Resource::network);
  EXPECT_EQ(back.caps[0].delivered_during, 2.0);
  EXPECT_EQ(back.caps[0].status, CapStatus::leaked);
  EXPECT_FALSE(back.caps[1].delivered_before.has_value());
  EXPECT_EQ(back.time.samples, full().time.samples);
  EXPECT_EQ(back.time.mean_ci_high, 1.9);
  EXPECT_EQ(back.work.network_messages, 7);
  EXPECT_EQ(back.energy.host_joule_per_launch, 0.25);
  EXPECT_EQ(back.energy.gross_j_per_launch, 0.41);
  EXPECT_EQ(back.energy.net_j_per_launch, 0.31);
  EXPECT_EQ(back.energy.random_error, 0.003);
  EXPECT_EQ(back.energy.systematic_error, 0.052);
  EXPECT_EQ(back.energy.idle_w, 101.0);
  EXPECT_EQ(back.energy.static_share, 0.26);
  EXPECT_EQ(back.energy.agreement, 0.012);
  EXPECT_EQ(back.energy.window_s, 5.1);
  EXPECT_EQ(back.energy.trials, 11);
  EXPECT_EQ(back.energy.tick_s, 0.09);
  EXPECT_EQ(back.energy.memory_scope_w, 61.0);
  EXPECT_EQ(back.energy.flags, (std::vector<std::string>{"low_confidence", "suspect"}));
  EXPECT_EQ(back.energy.systematic_parts, full().energy.systematic_parts);
  EXPECT_EQ(back.energy.instrument, full().energy.instrument);
  EXPECT_EQ(back.energy.conditions, full().energy.conditions);
  EXPECT_EQ(back.energy.duty, 0.985);
  EXPECT_EQ(back.energy.before.at("temperature_c"), 41.0);
  EXPECT_EQ(back.energy.after.at("temperature_c"), 62.0);
  EXPECT_EQ(back.energy.slowed_s.at("power_cap"), 3.5);
  EXPECT_EQ(back.metrics.at("tokens_per_s").ci_high, 11.0);
  EXPECT_FALSE(back.metrics.at("flop_per_s").ci_low.has_value());
  EXPECT_EQ(back.verification->rows, 9);
}

TEST(record, what_is_missing_is_null_and_never_zero) {
  const Json json = to_json(minimal());
  for (const char* key : {"median", "ci_low", "ci_high", "mean", "mean_ci_low", "mean_ci_high", "ess", "cv"})
    EXPECT_TRUE(json["time_s"][key].is_null()) << key;
  EXPECT_TRUE(json["basis"].is_null());
  EXPECT_TRUE(json["verification"].is_null());
  EXPECT_TRUE(json["energy"]["power_w"].is_null());
  EXPECT_EQ(json["energy"]["basis"], "absent");
  EXPECT_FALSE(minimal().target_time_s().has_value());
  EXPECT_DOUBLE_EQ(*full().target_time_s(), 1.5 / 5800.5);
}

TEST(record, a_record_written_before_energy_had_error_bars_is_still_read) {
  Json json = to_json(full());
  for (const char* key : {"gross_j_per_launch", "net_j_per_launch", "random_error", "systematic_error", "idle_w",
                          "static_share", "agreement", "window_s", "trials", "tick_s", "memory_scope_w", "flags",
                          "systematic_parts", "instrument", "conditions", "duty", "before", "after", "slowed_s"}) {
    ASSERT_EQ(json["energy"].erase(key), 1U) << key;
  }
  const Record back = read_back(json);
  EXPECT_EQ(back.energy.power_w, 55.5);
  EXPECT_FALSE(back.energy.gross_j_per_launch.has_value());
  EXPECT_FALSE(back.energy.trials.has_value());
  EXPECT_TRUE(back.energy.flags.empty());
  for (const char* key : {"gross_j_per_launch", "random_error", "trials", "tick_s", "memory_scope_w", "systematic_parts",
                          "instrument", "conditions", "duty", "before", "after", "slowed_s"})
    EXPECT_TRUE(to_json(back)["energy"][key].is_null()) << key;
}

TEST(record, samples_are_kept_to_a_tenth_of_a_nanosecond) {
  Record record = full();
  record.time.samples = {1.0 / 3.0, 1.23456789012e-4};
  EXPECT_EQ(to_json(record)["time_s"]["samples"].dump(), "[0.3333333333,0.0001234568]");
  EXPECT_EQ(to_json(read_back(to_json(record))).dump(), to_json(record).dump());
}

TEST(record, a_trace_of_power_comes_back_thinned_and_a_broken_one_is_refused) {
  RecordedTrace trace{.source = "rapl", .load = "sampling", .points = {}, .windows_s = {{0.0, 12.9}}};
  for (int i = 0; i < 130; ++i)
    trace.points.push_back({0.1 * i, 50.0 + i, i == 3 ? std::nullopt : std::optional(1e9), std::nullopt});
  const Json kept = {{"power_trace", to_json(trace)}};
  const std::optional<RecordedTrace> read = power_trace_of(kept);
  ASSERT_TRUE(read);
  ASSERT_EQ(read->points.size(), 44U) << "every third of 130";
  EXPECT_DOUBLE_EQ(read->points[1].power_w, 53.0);
  EXPECT_FALSE(read->points[1].sm_clock_hz) << "not read at that moment";
  EXPECT_TRUE(kept["power_trace"]["temperature_c"].is_null()) << "never read";
  EXPECT_DOUBLE_EQ(read->windows_s.at(0).high, 12.9);
  EXPECT_FALSE(power_trace_of(Json::object()));
  EXPECT_FALSE(power_trace_of({{"power_trace", nullptr}}));
  const auto refused = [&](const std::string& key, const Json& value) {
    Json broken = kept;
    broken["power_trace"][key] = value;
    EXPECT_THROW(power_trace_of(broken), Error) << key << " " << value;
  };
  refused("power_w", {1.0, 2.0});
  refused("power_w", nullptr);
  refused("t_s", std::vector<std::string>(44, "x"));
  refused("windows_s", {{1.0}});
  refused("sm_clock_hz", 5);
  refused("unknown", 5);
  Json backwards = kept;
  std::swap(backwards["power_trace"]["t_s"][0], backwards["power_trace"]["t_s"][1]);
  EXPECT_THROW(power_trace_of(backwards), Error);
}

TEST(record, every_missing_key_is_an_error_that_names_it) {
  const Json json = to_json(full());
  for (const auto& [key, value] : json.items()) {
    if (key == "verification") continue;  // absent where nothing was verified
    EXPECT_NE(error_after([&, &name = key](Json& changed) { changed.erase(name); }).find(key), std::string::npos) << key;
  }
  EXPECT_NE(error_after([](Json& j) { j["time_s"].erase("n"); }).find("time_s.n is missing"), std::string::npos);
  EXPECT_NE(error_after([](Json& j) { j["caps"][1].erase("ceiling"); }).find("caps[1].ceiling is missing"),
            std::string::npos);
}

TEST(record, an_unknown_key_is_an_error_at_every_depth) {
  for (const char* pointer : {"", "/time_s", "/caps/0", "/work", "/energy", "/verification", "/metrics/tokens_per_s"})
    EXPECT_NE(error_after([&](Json& j) { j[Json::json_pointer(pointer)]["median_s"] = 1; }).find("median_s is an unknown key"),
              std::string::npos)
        << pointer;
  EXPECT_EQ(error_after([](Json& j) { j["device"]["more"] = 1, j["provenance"]["more"] = 1; }), "no error");
}

TEST(record, a_word_outside_its_list_is_an_error_that_lists_it) {
  const auto message = [](const char* pointer, const char* word) {
    return error_after([&](Json& j) { j[Json::json_pointer(pointer)] = word; });
  };
  EXPECT_EQ(message("/status", "okay"),
            "r.jsonl:1: status is \"okay\"; write one of ok, invalid, unsupported, skipped, failed");
  EXPECT_NE(message("/basis", "guessed").find("basis is \"guessed\""), std::string::npos);
  EXPECT_NE(message("/caps/0/status", "holds").find("held, missed, leaked, unverified"), std::string::npos);
  EXPECT_NE(message("/caps/0/resource", "disk").find("compute, memory, link, network"), std::string::npos);
  EXPECT_NE(message("/dtype", "f16").find("dtype is \"f16\""), std::string::npos);
  EXPECT_NE(message("/energy/basis", "estimated").find("energy.basis is \"estimated\""), std::string::npos);
  EXPECT_NE(message("/schema", "chokepoint/record/2").find("reads chokepoint/record/1"), std::string::npos);
}

TEST(record, a_wrong_type_is_an_error) {
  for (const char* pointer : {"/run_id", "/attempt", "/dilation", "/time_s/n", "/time_s/samples", "/caps", "/work/flop",
                              "/verification", "/metrics", "/device", "/device/name", "/provenance", "/energy/verified",
                              "/caps/0/target_rate_verified", "/shape/k"})
    EXPECT_NE(error_after([&](Json& j) { j[Json::json_pointer(pointer)] = Json::array({true}); }), "no error") << pointer;
  EXPECT_NE(error_after([](Json& j) { j["time_s"]["samples"][1] = nullptr; }), "no error");
  EXPECT_NE(error_after([](Json& j) { j["dilation"] = 0.0; }), "no error");
}

TEST(record, only_an_ok_record_has_a_basis) {
  EXPECT_NE(error_after([](Json& j) { j["basis"] = nullptr; }).find("basis is missing"), std::string::npos);
  EXPECT_NE(error_after([](Json& j) { j["status"] = "invalid"; }).find("is given for a record that is not ok"),
            std::string::npos);
}

TEST(record, labels_say_how_a_number_was_obtained) {
  Record record = full();
  EXPECT_EQ(label_of(record), "cpu as h800-sxm, 1:5800 (scaled)");
  record.dilation = 1.19;
  EXPECT_EQ(label_of(record), "cpu as h800-sxm, 1:1.19 (scaled)");
  record.device = {{"kind", "cuda"}, {"name", "H100"}};
  record.dilation = 1;
  record.caps[0] = CapRecord{};
  record.caps[0].resource = Resource::link;
  record.caps[0].requested = 160e9;
  record.caps[0].mechanism = "resource clock";
  record.caps[1].mechanism = "native";
  record.basis = Basis::emulated;
  EXPECT_EQ(label_of(record), "H100 as h800-sxm: link 160 GB/s (emulated)");
  record.basis = Basis::measured;
  EXPECT_EQ(label_of(record), "H100 (measured)");
  record.basis = Basis::reported;
  EXPECT_EQ(label_of(record), "h800-sxm (reported)");
  record.basis.reset();
  record.status = Status::invalid;
  EXPECT_EQ(label_of(record), "H100 as h800-sxm (invalid)");
  record.device = nullptr;
  EXPECT_EQ(label_of(record), "device as h800-sxm (invalid)");
}

}  // namespace
}  // namespace chokepoint
