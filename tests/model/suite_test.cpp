// Suites: shipped files, strict decoding, expansion into shapes.
#include "harness/model/suite.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "harness/base/files.hpp"
#include "harness/model/price.hpp"
#include "harness/model/profile.hpp"
#include "tests/model/config_help.hpp"

namespace chokepoint {
namespace {

const std::vector<ModelShapes>& models() {
  static const std::vector<ModelShapes> shipped = load_models(shipped_configs());
  return shipped;
}

Suite shipped(const std::string& id) { return load_suite(find_suite(shipped_configs(), id)); }

const std::vector<std::string> kShipped = {"ci", "energy", "fidelity", "h800-vs-h100", "kernels", "link-sweep", "quick"};

// Folders of kernels/ with a problem file.
std::set<std::string> operations() {
  std::set<std::string> names;
  const std::string kernels = std::string(CHOKEPOINT_SOURCE_DIR) + "/kernels";
  for (const auto& folder : std::filesystem::directory_iterator(kernels)) {
    const std::string name = folder.path().filename();
    if (std::filesystem::exists(folder.path() / (name + ".cpp"))) names.insert(name);
  }
  return names;
}

// A suite "t" with one case.
Suite suite_of(const std::string& suite_case, const std::string& more = "\"targets\": [\"host\"],") {
  return decode_suite(parse_json(
      "{\"id\": \"t\", \"summary\": \"s\",\n" + more + "\n\"cases\": [\n" + suite_case + "\n]}", "t.json"));
}

std::string fault_of(const std::string& suite_case, const std::string& more = "\"targets\": [\"host\"],") {
  return error_of([&] {
    for (const SuiteCase& one : suite_of(suite_case, more).cases) expand_shapes(one, models());
  });
}

std::string texts(const std::vector<SuiteShape>& shapes) {
  std::string text;
  for (const SuiteShape& shape : shapes) text += shape.label + "(" + shape.shape.text() + ") ";
  return text;
}

TEST(suite, shipped_suites_expand_and_name_known_targets_models_and_operations) {
  const std::vector<Profile> profiles = load_profiles(shipped_configs());
  for (const std::string& id : kShipped) {
    const Suite suite = shipped(id);
    const bool for_a_gpu = id == "energy" || id == "fidelity";
    EXPECT_EQ(suite.device, for_a_gpu ? "cuda:0" : "cpu");
    for (const SuiteCase& one : suite.cases) {
      EXPECT_TRUE(operations().contains(one.operation)) << one.where;
      EXPECT_FALSE(expand_shapes(one, models()).empty()) << one.where;
      for (const std::string& target : one.targets)
        EXPECT_NO_THROW(parse_target(target, profiles)) << one.where;
      EXPECT_TRUE(one.sampling.budget_s && one.sampling.half_width && one.sampling.confidence &&
                  one.sampling.warm_up_s);
    }
  }
}

TEST(suite, quick_has_every_operation_once_on_both_machines) {
  const Suite suite = shipped("quick");
  const std::set<std::string> known = operations();
  EXPECT_TRUE(known.contains("attention") && known.contains("matmul"));
  std::multiset<std::string> expected(known.begin(), known.end());
  expected.insert("attention");  // prefill and decode
  for (const char* device : {"cpu", "cuda"}) {
    std::multiset<std::string> in_suite;
    for (const SuiteCase& one : suite.cases) {
      EXPECT_EQ(one.targets, (std::vector<std::string>{"h100-sxm", "h800-sxm"}));
      EXPECT_EQ(expand_shapes(one, models()).size(), 1U) << one.where;
      if (one.kernels_by_device.contains(device)) in_suite.insert(one.operation);
    }
    EXPECT_EQ(in_suite, expected) << device;
  }
}

TEST(suite, the_link_sweep_has_ten_rates_below_its_base) {
  const std::vector<Profile> profiles = load_profiles(shipped_configs());
  const Suite suite = shipped("link-sweep");
  ASSERT_EQ(suite.targets.size(), 11U);
  EXPECT_EQ(suite.targets[0], "h100-sxm");
  double last = 1e12;
  for (std::size_t i = 1; i < suite.targets.size(); ++i) {
    const double rate = parse_target(suite.targets[i], profiles).overrides.at(Resource::link);
    EXPECT_LT(rate, last);
    last = rate;
  }
  EXPECT_DOUBLE_EQ(parse_target(suite.targets[1], profiles).overrides.at(Resource::link), 450e9);
  EXPECT_DOUBLE_EQ(last, 20e9);
}

TEST(suite, kernels_runs_uncapped_with_the_libraries_beside_our_own) {
  std::set<std::string> kernels;
  for (const SuiteCase& one : shipped("kernels").cases) {
    EXPECT_EQ(one.targets, std::vector<std::string>{"host"});
    kernels.insert(one.kernels.begin(), one.kernels.end());
    for (const auto& [kind, names] : one.kernels_by_device) kernels.insert(names.begin(), names.end());
  }
  EXPECT_EQ(kernels, (std::set<std::string>{"cpu_native", "cpu_reference", "cublas", "cublaslt", "cuda_simple",
                                            "cudnn", "hopper", "onednn", "openblas"}));
}

TEST(suite, lists_are_axes_whose_last_runs_fastest) {
  const Suite suite = suite_of(R"({"operation": "matmul", "dtypes": ["f32"], "kernels": ["k"],
    "shape": {"m": [1, 2], "n": 3, "b_layout": ["nk", "kn"]}})");
  EXPECT_EQ(texts(expand_shapes(suite.cases[0], models())),
            "(b_layout=nk,m=1,n=3) (b_layout=kn,m=1,n=3) (b_layout=nk,m=2,n=3) (b_layout=kn,m=2,n=3) ");
}

TEST(suite, a_model_brings_its_shapes_and_the_case_has_the_last_word) {
  const Suite suite = suite_of(R"({"operation": "matmul", "model": "deepseek-v3", "only": "expert_*",
    "dtypes": ["bf16"], "kernels": ["k"], "shape": {"m": [64, 128], "n": 5}})");
  EXPECT_EQ(texts(expand_shapes(suite.cases[0], models())),
            "deepseek-v3/expert_gate_up(k=7168,m=64,n=5) deepseek-v3/expert_gate_up(k=7168,m=128,n=5) "
            "deepseek-v3/expert_down(k=2048,m=64,n=5) deepseek-v3/expert_down(k=2048,m=128,n=5) ");
  const Suite all = suite_of(
      R"({"operation": "matmul", "model": "deepseek-v3", "dtypes": ["bf16"], "kernels": ["k"], "shape": {"m": 64}})");
  EXPECT_EQ(expand_shapes(all.cases[0], models()).size(), 6U);
}

TEST(suite, defaults_are_the_suites_and_a_case_overrides_field_by_field) {
  const Suite suite = decode_suite(
      parse_json(R"({"id": "t", "summary": "s", "targets": ["host"], "prices": "2025-02_deepseek",
    "sampling": {"budget_s": 7, "half_width": 0.03}, "cases": [
    {"operation": "stream", "dtypes": ["f32"], "kernels": ["k"], "shape": {"elements": 8}},
    {"operation": "stream", "dtypes": ["f32", "bf16"], "kernels": ["a", "b"], "shape": {"elements": 8}, "seed": 9,
     "distribution": "uniform", "targets": ["h20"], "sampling": {"half_width": 0.2, "warm_up_s": 0}}]})",
                 "t.json"));
  const SuiteCase &plain = suite.cases[0], &own = suite.cases[1];
  EXPECT_EQ(plain.seed, 1U);
  EXPECT_EQ(plain.distribution, "normal");
  EXPECT_EQ(plain.targets, std::vector<std::string>{"host"});
  EXPECT_EQ(plain.sampling.budget_s, 7);
  EXPECT_EQ(plain.sampling.half_width, 0.03);
  EXPECT_FALSE(plain.sampling.confidence);
  EXPECT_EQ(own.seed, 9U);
  EXPECT_EQ(own.distribution, "uniform");
  EXPECT_EQ(own.targets, std::vector<std::string>{"h20"});
  EXPECT_EQ(own.dtypes, (std::vector<Dtype>{Dtype::f32, Dtype::bf16}));
  EXPECT_EQ(own.sampling.budget_s, 7);
  EXPECT_EQ(own.sampling.half_width, 0.2);
  EXPECT_EQ(own.sampling.warm_up_s, 0);
  EXPECT_EQ(own.where, "t.json:4");
  EXPECT_EQ(suite.prices, "2025-02_deepseek");
}

TEST(suite, mistakes_in_a_case_name_line_and_key) {
  const std::string head = R"({"operation": "matmul", "dtypes": ["f32"], "kernels": ["k"])";
  EXPECT_EQ(fault_of(head + R"(, "shape": {"m": 1}})"), "no error");
  EXPECT_TRUE(contains(fault_of(head + "}"), "t.json:4: cases[0] has neither a shape nor a model"));
  EXPECT_TRUE(
      contains(fault_of(head + R"(, "shape": {"m": 1}})", ""), "has no target, and neither has the suite"));
  EXPECT_TRUE(contains(fault_of(head + R"(, "shape": {"m": -4}})"), "cases[0].shape.m is -4"));
  EXPECT_TRUE(contains(fault_of(head + R"(, "shape": {"m": [1, -4]}})"), "cases[0].shape.m[1] is -4"));
  EXPECT_TRUE(contains(fault_of(head + R"(, "shape": {"m": 1.5}})"), "is 1.5, not a whole number"));
  EXPECT_TRUE(contains(fault_of(head + R"(, "shape": {"m": true}})"),
                       "is a boolean, not a whole number or a word; write 0 or 1"));
  EXPECT_TRUE(contains(fault_of(head + R"(, "shape": {"m": []}})"), "is an empty list"));
  EXPECT_TRUE(contains(fault_of(head + R"(, "shape": {"m": [2, 2]}})"), "is in the list already"));
  EXPECT_TRUE(contains(fault_of(head + R"(, "shape": {"m": 9223372036854775808}})"), "is too large"));
  EXPECT_TRUE(contains(fault_of(head + R"(, "shape": {"m": {"a": 1}}})"),
                       "is a object, not a whole number or a word"));
  EXPECT_TRUE(contains(fault_of(head + R"(, "shpae": {"m": 1}, "shape": {"m": 1}})"),
                       "shpae is an unknown key; did you mean \"shape\"?"));
  EXPECT_TRUE(contains(fault_of(head + R"(, "shape": {"m": 1}, "seed": -1})"), "seed is -1"));
  EXPECT_TRUE(contains(fault_of(head + R"(, "shape": {"m": 1}, "distribution": "norml"})"),
                       "did you mean \"normal\"?"));
  EXPECT_TRUE(contains(fault_of(head + R"(, "shape": {"m": 1}, "sampling": {"half_width": 1}})"),
                       "has to lie between 0 and 1"));
  EXPECT_TRUE(contains(fault_of(head + R"(, "shape": {"m": 1}, "sampling": {"confidence": 0.5}})"),
                       "has to lie between 0.5 and 1"));
  EXPECT_TRUE(
      contains(fault_of(head + R"(, "shape": {"m": 1}, "sampling": {"warm_up_s": -1}})"), "warm_up_s is -1"));
  EXPECT_TRUE(contains(fault_of(head + R"(, "shape": {"m": 1}, "only": "o"})"), "there is no model"));
  EXPECT_TRUE(
      contains(fault_of(R"({"operation": "x", "dtypes": ["f33"], "kernels": ["k"], "shape": {"m": 1}})"),
               "t.json:4: cases[0].dtypes[0] is \"f33\"; did you mean \"f32\"?"));
  EXPECT_TRUE(
      contains(fault_of(R"({"operation": "x", "dtypes": ["i32"], "kernels": ["k"], "shape": {"m": 1}})"),
               "is \"i32\""));
  EXPECT_TRUE(contains(fault_of(R"({"operation": "x", "dtypes": [], "kernels": ["k"], "shape": {"m": 1}})"),
                       "dtypes is an empty list"));
  EXPECT_TRUE(
      contains(fault_of(R"({"operation": "x", "dtypes": ["f32"], "kernels": ["k", "k"], "shape": {"m": 1}})"),
               "is \"k\" for the second time"));
  EXPECT_TRUE(contains(fault_of(""), "cases is an empty list"));
}

TEST(suite, models_and_globs_that_match_nothing_are_errors_with_the_line) {
  const std::string tail = R"(, "dtypes": ["f32"], "kernels": ["k"]})";
  EXPECT_EQ(fault_of(R"({"operation": "matmul", "model": "deepseek-v33")" + tail),
            "t.json:4: model \"deepseek-v33\" is not known; did you mean \"deepseek-v3\"?");
  EXPECT_TRUE(contains(fault_of(R"({"operation": "tp_block", "model": "deepseek-v3")" + tail),
                       "t.json:4: model deepseek-v3 has no shapes for tp_block; add shapes.tp_block to "));
  EXPECT_TRUE(contains(fault_of(R"({"operation": "matmul", "model": "deepseek-v3", "only": "q_bb")" + tail),
                       "only \"q_bb\" matches no matmul shape of model deepseek-v3; did you mean \"q_b\"?"));
}

TEST(suite, a_case_with_too_many_shapes_is_refused_before_they_are_made) {
  std::string list = "[0";
  for (int i = 1; i < 1000; ++i) list += "," + std::to_string(i);
  list += "]";
  EXPECT_TRUE(contains(fault_of(R"({"operation": "x", "dtypes": ["f32"], "kernels": ["k"], "shape": {"a": )" +
                                list + ", \"b\": " + list + ", \"c\": " + list + "}}"),
                       "more than 10000 shapes; shorten a list"));
}

TEST(suite, a_suite_is_found_by_id_or_path) {
  EXPECT_EQ(find_suite(shipped_configs(), "quick"), shipped_configs() + "/suites/quick.json");
  EXPECT_EQ(find_suite(shipped_configs(), "./mine.json"), "./mine.json");
  EXPECT_TRUE(contains(error_of([] { find_suite(shipped_configs(), "quik"); }),
                       "suite \"quik\" is not known; did you mean \"quick\"?"));
  EXPECT_TRUE(
      contains(error_of([] { find_suite("/nowhere", "quick"); }), "cannot read the folder /nowhere/suites"));
}

TEST(suite, damaged_files_give_an_error_or_a_suite_never_a_crash) {
  const std::vector<Profile> profiles = load_profiles(shipped_configs());
  for (const std::string& id : kShipped) {
    const JsonFile valid = read_json(find_suite(shipped_configs(), id));
    const int rejected = rejected_mutations(valid, 800, [&](const JsonFile& file) {
      for (const SuiteCase& one : decode_suite(file).cases) {
        expand_shapes(one, models());
        for (const std::string& target : one.targets) parse_target(target, profiles);
      }
    });
    EXPECT_GT(rejected, 200) << id;
    EXPECT_LT(rejected, 800) << id;
  }
  std::string nested = R"({"operation": "x", "dtypes": ["f32"], "kernels": ["k"], "shape": {"m": )";
  nested += std::string(100000, '[') + std::string(100000, ']') + "}}";
  EXPECT_TRUE(contains(fault_of(nested), "is a array, not a whole number or a word"));
}

}  // namespace
}  // namespace chokepoint
