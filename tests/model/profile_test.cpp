// Profiles and targets: shipped values, strict decoding, rates by level, targets with replaced rates.
#include "harness/model/profile.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "harness/base/files.hpp"
#include "tests/model/config_help.hpp"

namespace chokepoint {
namespace {

const std::vector<Profile>& shipped_profiles() {
  static const std::vector<Profile> profiles = load_profiles(shipped_configs());
  return profiles;
}

const Profile& profile_of(const std::string& id) { return find_profile(shipped_profiles(), id); }

std::string profile_path(const std::string& id) { return shipped_configs() + "/profiles/" + id + ".json"; }

std::string profile_error_with(const std::string& from, const std::string& to) {
  return error_of(
      [&] { decode_profile(parse_json(with(read_file(profile_path("h20")), from, to), profile_path("h20"))); });
}

// Every object with a "value", wherever it stands in the file.
void for_each_figure(const Json& json, const std::function<void(const Json&)>& visit) {
  if (json.is_object() && json.contains("value")) visit(json);
  if (json.is_structured())
    for (const Json& inner : json) for_each_figure(inner, visit);
}

TEST(profile, the_eight_machines_are_shipped) {
  std::vector<std::string> ids;
  for (const Profile& profile : shipped_profiles()) ids.push_back(profile.id);
  EXPECT_EQ(ids, (std::vector<std::string>{"a100-sxm-80gb", "a800-sxm", "b200-sxm", "h100-pcie", "h100-sxm",
                                           "h20", "h200-sxm", "h800-sxm"}));
}

// Expected: the maker's sheets and the measurements named in each file, halved to one direction where both
// are counted.
TEST(profile, links_are_rates_per_direction) {
  const struct {
    const char* id;
    double datasheet, achieved;  // achieved 0: absent
  } expected[] = {{"h100-sxm", 450e9, 370e9}, {"h800-sxm", 200e9, 160e9},  {"h200-sxm", 450e9, 367.2e9},
                  {"h20", 450e9, 0},          {"a100-sxm-80gb", 300e9, 0}, {"a800-sxm", 200e9, 0},
                  {"b200-sxm", 900e9, 0},     {"h100-pcie", 300e9, 0}};
  for (const auto& [id, datasheet, achieved] : expected) {
    const Rates& link = profile_of(id).link;
    EXPECT_DOUBLE_EQ(link.datasheet->value, datasheet) << id;
    EXPECT_EQ(link.datasheet->unit, "B/s");
    EXPECT_EQ(link.achieved.has_value(), achieved > 0) << id;
    if (link.achieved) {
      EXPECT_DOUBLE_EQ(link.achieved->value, achieved) << id;
    }
  }
}

TEST(profile, an_h800_is_an_h100_but_for_link_and_fp64) {
  const Profile &h100 = profile_of("h100-sxm"), &h800 = profile_of("h800-sxm");
  for (Dtype dtype : {Dtype::bf16, Dtype::fp8_e4m3}) {
    EXPECT_EQ(target_rate(h800, Resource::compute, dtype).value,
              target_rate(h100, Resource::compute, dtype).value);
    EXPECT_EQ(target_rate(h800, Resource::compute, dtype).kind, "derived");
    EXPECT_EQ(target_rate(h100, Resource::compute, dtype).kind, "measured");
  }
  for (Resource resource : {Resource::memory, Resource::network})
    EXPECT_EQ(target_rate(h800, resource, Dtype::bf16).value, target_rate(h100, resource, Dtype::bf16).value);
  EXPECT_EQ(target_rate(h800, Resource::compute, Dtype::f32).value,
            target_rate(h100, Resource::compute, Dtype::f32).value);
  EXPECT_DOUBLE_EQ(target_rate(h800, Resource::link, Dtype::bf16).value, 160e9);
  EXPECT_DOUBLE_EQ(target_rate(h800, Resource::compute, Dtype::f64).value, 1e12);
  EXPECT_FALSE(target_rate(h800, Resource::compute, Dtype::f64).verified);
  EXPECT_DOUBLE_EQ(target_rate(h100, Resource::compute, Dtype::f64).value, 33.5e12);
  EXPECT_EQ(latency(h800, Resource::link)->value, latency(h100, Resource::link)->value);
  EXPECT_EQ(h100.architecture, h800.architecture);
}

TEST(profile, shipped_figures_are_the_published_ones_in_base_units) {
  const Profile& h100 = profile_of("h100-sxm");
  EXPECT_DOUBLE_EQ(h100.compute.at(Dtype::bf16).datasheet->value, 989e12);
  EXPECT_DOUBLE_EQ(h100.compute.at(Dtype::bf16).achieved->value, 794.5e12);
  EXPECT_DOUBLE_EQ(h100.compute.at(Dtype::fp8_e4m3).datasheet->value, 1979e12);
  EXPECT_DOUBLE_EQ(h100.compute.at(Dtype::fp8_e4m3).achieved->value, 1402.6e12);
  EXPECT_DOUBLE_EQ(h100.compute.at(Dtype::f32).datasheet->value, 67e12);
  EXPECT_DOUBLE_EQ(h100.memory.datasheet->value, 3350e9);
  EXPECT_DOUBLE_EQ(h100.memory.achieved->value, 3000e9);
  EXPECT_DOUBLE_EQ(h100.network.datasheet->value, 50e9);
  EXPECT_DOUBLE_EQ(h100.network.achieved->value, 40e9);
  EXPECT_DOUBLE_EQ(h100.link_latency->value, 3.33e-6);
  EXPECT_DOUBLE_EQ(h100.network_latency->value, 2.8e-6);
  EXPECT_DOUBLE_EQ(h100.all_in->value, 1730);
  EXPECT_DOUBLE_EQ(h100.sm_count->value, 132);
  EXPECT_DOUBLE_EQ(h100.memory_size->value, 80e9);
  EXPECT_DOUBLE_EQ(h100.l2_size->value, 50e6);
  EXPECT_DOUBLE_EQ(h100.boost_clock->value, 1830e6);
  EXPECT_DOUBLE_EQ(profile_of("h200-sxm").memory.achieved->value, 4300e9);
  EXPECT_DOUBLE_EQ(profile_of("h20").compute.at(Dtype::bf16).datasheet->value, 148e12);
  EXPECT_DOUBLE_EQ(profile_of("b200-sxm").compute.at(Dtype::bf16).achieved->value, 1745e12);
  EXPECT_DOUBLE_EQ(profile_of("a100-sxm-80gb").memory.datasheet->value, 2039e9);
}

// bf16 peak = SMs x clock x 4096 FLOP per SM and clock: three figures of different sources have to agree.
TEST(profile, hopper_peaks_follow_from_clocks_and_sms) {
  for (const char* id : {"h100-sxm", "h800-sxm", "h200-sxm"}) {
    const Profile& profile = profile_of(id);
    EXPECT_NEAR(profile.sm_count->value * profile.boost_clock->value * 4096,
                profile.compute.at(Dtype::bf16).datasheet->value, 0.001 * 989e12)
        << id;
    EXPECT_NEAR(2 * profile.compute.at(Dtype::bf16).datasheet->value,
                profile.compute.at(Dtype::fp8_e4m3).datasheet->value, 2e12)
        << id;
  }
}

TEST(profile, board_power_is_known_for_every_machine) {
  const std::map<std::string, double> tdp_w = {{"h100-sxm", 700}, {"h100-pcie", 350}, {"h800-sxm", 700},
                                               {"h20", 400},      {"h200-sxm", 700},  {"a100-sxm-80gb", 400},
                                               {"a800-sxm", 400}, {"b200-sxm", 1000}};
  for (const Profile& profile : shipped_profiles())
    EXPECT_EQ(power(profile)->value, tdp_w.at(profile.id)) << profile.id;
  EXPECT_FALSE(power(profile_of("h800-sxm"))->verified);
  EXPECT_FALSE(power(profile_of("a800-sxm"))->verified);
}

TEST(profile, nothing_is_achieved_beyond_its_datasheet) {
  const auto check = [](const Rates& rates, const std::string& what) {
    if (rates.datasheet && rates.achieved) {
      EXPECT_LT(rates.achieved->value, rates.datasheet->value) << what;
    }
  };
  for (const Profile& profile : shipped_profiles()) {
    for (const auto& [dtype, rates] : profile.compute) check(rates, profile.id);
    for (const Rates* rates : {&profile.memory, &profile.link, &profile.network}) check(*rates, profile.id);
  }
}

TEST(profile, every_figure_has_unit_kind_and_source_and_weak_ones_are_flagged) {
  int figures = 0, unverified = 0;
  for (const Profile& profile : shipped_profiles())
    for_each_figure(read_json(profile.path).value, [&](const Json& figure) {
      ++figures;
      for (const char* key : {"unit", "kind", "source"})
        EXPECT_TRUE(figure.contains(key)) << profile.id << figure;
      const std::string source = figure.at("source");
      EXPECT_GE(source.size(), 20U) << profile.id << figure;
      const bool verified = figure.value("verified", true);
      unverified += verified ? 0 : 1;
      for (const char* weak :
           {"from memory", "second-hand", "blogs", "one user", "not recorded", "not listed"})
        if (contains(source, weak)) {
          EXPECT_FALSE(verified) << profile.id << figure;
        }
    });
  EXPECT_GT(figures, 100);
  EXPECT_GT(unverified, 20);
}

TEST(profile, a_rate_nobody_published_is_an_error_and_no_other_dtype_stands_in) {
  EXPECT_EQ(error_of([] { target_rate(profile_of("h100-pcie"), Resource::network, Dtype::bf16); }),
            "profile h100-pcie has no rate for network; add resources.network.datasheet or "
            "resources.network.achieved to " +
                profile_path("h100-pcie") + ", or name it in the target: h100-pcie@network=...");
  EXPECT_TRUE(
      contains(error_of([] { target_rate(profile_of("a100-sxm-80gb"), Resource::compute, Dtype::fp8_e4m3); }),
               "has no rate for compute in fp8_e4m3; add resources.compute.fp8_e4m3.datasheet"));
  EXPECT_THROW(target_rate(profile_of("h100-sxm"), Resource::compute, Dtype::i32), Error);
}

TEST(profile, the_kind_tells_a_datasheet_rate_from_an_achieved_one) {
  EXPECT_EQ(target_rate(profile_of("h20"), Resource::memory, Dtype::bf16).kind, "datasheet");
  EXPECT_EQ(target_rate(profile_of("h20"), Resource::memory, Dtype::bf16).value, 4000e9);
  EXPECT_EQ(target_rate(profile_of("h100-sxm"), Resource::compute, Dtype::f32).kind, "datasheet");
  for (const Profile& profile : shipped_profiles())
    for (const Rates* rates : {&profile.memory, &profile.link, &profile.network}) {
      if (rates->datasheet) {
        EXPECT_EQ(rates->datasheet->kind, "datasheet") << profile.id;
      }
      if (rates->achieved) {
        EXPECT_NE(rates->achieved->kind, "datasheet") << profile.id;
      }
    }
  EXPECT_FALSE(latency(profile_of("h100-sxm"), Resource::memory));
  EXPECT_FALSE(latency(profile_of("a100-sxm-80gb"), Resource::link));
}

TEST(profile, an_unknown_id_gets_the_nearest_one) {
  EXPECT_EQ(error_of([] { profile_of("h100-sxn"); }),
            "profile \"h100-sxn\" is not known; did you mean \"h100-sxm\"?");
}

TEST(profile, mistakes_in_a_file_name_line_and_key) {
  EXPECT_EQ(profile_error_with("x", "x"), "no error");
  EXPECT_TRUE(contains(profile_error_with("\"sm_count\"", "\"sm_cuont\""),
                       "h20.json:46: sm_cuont is an unknown key; did you mean \"sm_count\"?"));
  EXPECT_TRUE(contains(profile_error_with("\"id\": \"h20\"", "\"id\": \"h21\""),
                       "id is \"h21\", but the file is called h20"));
  EXPECT_TRUE(contains(
      profile_error_with("148, \"unit\": \"TFLOP/s\"", "148, \"unit\": \"TFLOPS\""),
      "h20.json:9: resources.compute.bf16.datasheet.unit is \"TFLOPS\", which does not measure in FLOP/s"));
  EXPECT_TRUE(contains(profile_error_with("\"kind\": \"datasheet\"", "\"kind\": \"measured\""),
                       "is \"measured\" for a datasheet figure"));
  EXPECT_TRUE(contains(profile_error_with("\"kind\": \"datasheet\"", "\"kind\": \"guess\""), "kind is \"guess\""));
  EXPECT_TRUE(
      contains(profile_error_with("\"datasheet\": {", "\"achieved\": {"), "is \"datasheet\" for an achieved figure"));
  EXPECT_TRUE(contains(profile_error_with("\"bf16\"", "\"bf61\""),
                       "bf61 is not a dtype that machines are rated in; did you mean \"bf16\"?"));
  EXPECT_TRUE(contains(profile_error_with("\"value\": 148", "\"value\": 0"), "value is 0, but has to be above 0"));
  EXPECT_TRUE(contains(profile_error_with("\"value\": 148", "\"value\": 1e300"), "beyond what a number holds"));
  EXPECT_TRUE(contains(profile_error_with("\"unit\": \"us\"", "\"unit\": \"GB/s\""), "does not measure in s"));
  EXPECT_TRUE(
      contains(profile_error_with("\"unit\": \"TFLOP/s\"", "\"unit\": \"e3TFLOP/s\""), "does not measure in FLOP/s"));
  EXPECT_TRUE(contains(profile_error_with("\"power_w\"", "\"power\""), "power_w is missing; add it"));
}

TEST(profile, the_hash_is_of_the_file_as_it_lies_there) {
  const std::string text = read_file(profile_path("h20"));
  EXPECT_NE(decode_profile(parse_json(text + "\n", profile_path("h20"))).hash, profile_of("h20").hash);
  EXPECT_EQ(decode_profile(parse_json(text, profile_path("h20"))).hash, profile_of("h20").hash);
  EXPECT_EQ(profile_of("h20").hash.size(), 64U);
}

TEST(profile, damaged_files_give_an_error_or_a_profile_never_a_crash) {
  for (const Profile& profile : shipped_profiles()) {
    const int rejected = rejected_mutations(read_json(profile.path), 400, [](const JsonFile& file) {
      const Profile decoded = decode_profile(file);
      for (Resource resource : {Resource::memory, Resource::link}) target_rate(decoded, resource, Dtype::bf16);
    });
    EXPECT_GT(rejected, 100) << profile.id;
    EXPECT_LT(rejected, 400) << profile.id;
  }
  std::string nested(200000, '[');
  EXPECT_THROW(decode_profile(parse_json(nested, "h20.json")), Error);
}

TEST(target, a_text_names_the_host_a_profile_or_a_profile_with_rates_replaced) {
  EXPECT_TRUE(parse_target("host", shipped_profiles()).is_host());
  const Target plain = parse_target("h800-sxm", shipped_profiles());
  EXPECT_DOUBLE_EQ(target_rate(plain, Resource::link, Dtype::bf16).value, 160e9);
  const Target changed = parse_target("h100-sxm@link=160GB/s+compute=400TFLOP/s", shipped_profiles());
  EXPECT_EQ(changed.id, "h100-sxm@link=160GB/s+compute=400TFLOP/s");
  EXPECT_EQ(changed.profile->id, "h100-sxm");
  EXPECT_DOUBLE_EQ(target_rate(changed, Resource::link, Dtype::bf16).value, 160e9);
  EXPECT_EQ(target_rate(changed, Resource::link, Dtype::bf16).kind, "override");
  EXPECT_DOUBLE_EQ(target_rate(changed, Resource::compute, Dtype::f32).value, 400e12);
  EXPECT_DOUBLE_EQ(target_rate(changed, Resource::memory, Dtype::bf16).value, 3000e9);
}

TEST(target, a_rate_in_the_text_fills_a_gap_of_the_profile) {
  const Target target = parse_target("h100-pcie@network=25GB/s", shipped_profiles());
  EXPECT_DOUBLE_EQ(target_rate(target, Resource::network, Dtype::bf16).value, 25e9);
}

TEST(target, mistakes_are_named) {
  const auto fault = [](const std::string& text) { return error_of([&] { parse_target(text, shipped_profiles()); }); };
  EXPECT_EQ(fault("h80-sxm"), "target \"h80-sxm\" is no profile; did you mean \"h800-sxm\"?");
  EXPECT_TRUE(contains(fault("hots"), "did you mean \"host\"?"));
  EXPECT_TRUE(contains(fault("host@link=1GB/s"), "runs uncapped"));
  EXPECT_TRUE(contains(fault("h100-sxm@link"), "\"link\" does not set a resource's rate"));
  EXPECT_TRUE(contains(fault("h100-sxm@"), "does not set a resource's rate"));
  EXPECT_TRUE(contains(fault("h100-sxm@nvlink=1GB/s"), "\"nvlink=1GB/s\" does not set a resource's rate"));
  EXPECT_TRUE(contains(fault("h100-sxm@link=160"), "not a positive rate in B/s"));
  EXPECT_TRUE(contains(fault("h100-sxm@compute=160GB/s"), "not a positive rate in FLOP/s"));
  EXPECT_TRUE(contains(fault("h100-sxm@link=0GB/s"), "not a positive rate"));
  EXPECT_TRUE(contains(fault("h100-sxm@link=1e305GB/s"), "beyond what a number holds"));
  EXPECT_TRUE(contains(fault("h100-sxm@link=1GB/s+link=2GB/s"), "sets link twice"));
  EXPECT_NE(fault(""), "no error");
  EXPECT_TRUE(contains(error_of([] {
                         target_rate(Target{"host", std::nullopt, {}}, Resource::link, Dtype::bf16);
                       }),
                       "has no rates: it is the machine as it is"));
}

}  // namespace
}  // namespace chokepoint
