// Base: units, words, digests, dtypes, arrays, random numbers, JSON decoding, the pool.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <stdexcept>

#include "harness/base/dtype.hpp"
#include "harness/base/error.hpp"
#include "harness/base/files.hpp"
#include "harness/base/gpu_driver.hpp"
#include "harness/base/gpu_error.hpp"
#include "harness/base/json.hpp"
#include "harness/base/parallel.hpp"
#include "harness/base/random.hpp"
#include "harness/base/strings.hpp"
#include "harness/base/tensor.hpp"
#include "harness/base/units.hpp"

namespace chokepoint {
namespace {

template <class Body>
std::string error_of(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(units, rates_are_read_with_decimal_prefixes) {
  EXPECT_DOUBLE_EQ(parse_rate("450GB/s", "B/s"), 450e9);
  EXPECT_DOUBLE_EQ(parse_rate("1.5 TB/s", "B/s"), 1.5e12);
  EXPECT_DOUBLE_EQ(parse_rate("989TFLOP/s", "FLOP/s"), 989e12);
  EXPECT_DOUBLE_EQ(parse_rate("7B/s", "B/s"), 7);
  for (const char* bad : {"", "GB/s", "450", "450Gb/s", "-1GB/s", "0GB/s", "nanGB/s", "infB/s"})
    EXPECT_THROW(parse_rate(bad, "B/s"), Error) << bad;
}

TEST(units, durations_and_sizes_are_read) {
  EXPECT_DOUBLE_EQ(parse_duration_s("60s"), 60);
  EXPECT_DOUBLE_EQ(parse_duration_s("250ms"), 0.25);
  EXPECT_DOUBLE_EQ(parse_duration_s("2min"), 120);
  EXPECT_THROW(parse_duration_s("0s"), Error);
  EXPECT_THROW(parse_duration_s("3 parsecs"), Error);
  EXPECT_EQ(parse_integer("8K"), 8192);
  EXPECT_EQ(parse_integer("-3"), -3);
  EXPECT_THROW(parse_integer("8k"), Error);
  EXPECT_THROW(parse_integer("9223372036854775807G"), Error);
}

TEST(units, shares_are_read_with_and_without_percent) {
  EXPECT_DOUBLE_EQ(parse_share("2%"), 0.02);
  EXPECT_DOUBLE_EQ(parse_share("0.5 %"), 0.005);
  EXPECT_DOUBLE_EQ(parse_share("0.02"), 0.02);
  for (const char* wrong : {"much", "-1%", "2 percent", "2%%", "nan"}) EXPECT_THROW(parse_share(wrong), Error) << wrong;
}

TEST(units, numbers_are_shown_with_three_digits_and_a_prefix) {
  EXPECT_EQ(with_unit(1.2345e9, "B/s"), "1.23 GB/s");
  EXPECT_EQ(with_unit(999.9e6, "B/s"), "1.00 GB/s");
  EXPECT_EQ(with_unit(12, "FLOP/s"), "12.0 FLOP/s");
  EXPECT_EQ(with_unit(0, "B"), "0.00 B");
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(with_unit(infinity, "B/s"), "inf B/s");
  EXPECT_EQ(with_unit(-infinity, ""), "-inf");
  EXPECT_EQ(duration_text(infinity), "inf s");
  EXPECT_EQ(duration_text(0.000123), "123 us");
  EXPECT_EQ(duration_text(2), "2.00 s");
}

TEST(strings, an_unknown_word_gets_the_nearest_known_one) {
  const std::vector<std::string> known = {"tokens", "hidden", "top_k"};
  EXPECT_EQ(nearest_word("token", known), "tokens");
  EXPECT_EQ(nearest_word("topk", known), "top_k");
  EXPECT_EQ(nearest_word("h800", std::vector<std::string>{"h20", "h800-sxm"}), "h800-sxm");
  EXPECT_EQ(nearest_word("completely", known), "");
  EXPECT_EQ(suggestion("hiden", known), "did you mean \"hidden\"?");
}

TEST(strings, globs_match_whole_texts) {
  EXPECT_TRUE(glob_matches("matmul*", "matmul/cpu_native"));
  EXPECT_TRUE(glob_matches("*native*", "matmul/cpu_native@h100"));
  EXPECT_TRUE(glob_matches("a?c", "abc"));
  EXPECT_FALSE(glob_matches("a?c", "ac"));
  EXPECT_FALSE(glob_matches("matmul", "matmul/x"));
  EXPECT_TRUE(glob_matches("*", ""));
}

TEST(strings, sha256_has_the_values_of_the_standard) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(dtype, bf16_rounds_to_nearest_even) {
  EXPECT_EQ(bf16_from_float(1.0F), 0x3f80);
  EXPECT_EQ(bf16_from_float(1.0F + 0x1p-8F), 0x3f80);                // tie, to even
  EXPECT_EQ(bf16_from_float(1.0F + 0x1p-7F + 0x1p-8F), 0x3f82);      // tie, to even, upwards
  EXPECT_EQ(bf16_from_float(1.0F + 0x1p-8F + 0x1p-20F), 0x3f81);     // above the tie
  EXPECT_TRUE(std::isnan(float_from_bf16(bf16_from_float(std::nanf("")))));
  EXPECT_TRUE(std::isinf(float_from_bf16(bf16_from_float(std::numeric_limits<float>::max()))));
}

TEST(dtype, every_fp8_value_survives_the_round_trip) {
  for (int bits = 0; bits < 256; ++bits) {
    const float value = float_from_fp8_e4m3(static_cast<std::uint8_t>(bits));
    if (std::isnan(value)) continue;
    EXPECT_EQ(fp8_e4m3_from_float(value), bits);
  }
}

TEST(dtype, fp8_has_the_values_of_the_standard_and_rounds_to_nearest_even) {
  EXPECT_EQ(float_from_fp8_e4m3(0x7e), 448.0F);
  EXPECT_EQ(float_from_fp8_e4m3(0x01), 0x1p-9F);
  EXPECT_EQ(float_from_fp8_e4m3(0x08), 0x1p-6F);
  EXPECT_TRUE(std::isnan(float_from_fp8_e4m3(0x7f)));
  EXPECT_EQ(float_from_fp8_e4m3(fp8_e4m3_from_float(1000.0F)), 448.0F);
  EXPECT_EQ(float_from_fp8_e4m3(fp8_e4m3_from_float(-1e-9F)), 0.0F);
  for (int bits = 0; bits < 0x7d; ++bits) {  // between neighbours: nearer one; at the middle: the even one
    const float low = float_from_fp8_e4m3(static_cast<std::uint8_t>(bits));
    const float high = float_from_fp8_e4m3(static_cast<std::uint8_t>(bits + 1));
    EXPECT_EQ(fp8_e4m3_from_float(low + (high - low) * 0.49F), bits);
    EXPECT_EQ(fp8_e4m3_from_float(low + (high - low) * 0.51F), bits + 1);
    EXPECT_EQ(fp8_e4m3_from_float(low + (high - low) * 0.5F), bits % 2 == 0 ? bits : bits + 1);
  }
}

TEST(tensor, copies_are_deep_and_poison_shows) {
  Tensor a("a", {3, 5}, Dtype::bf16);
  a.set(7, 1.5);
  Tensor b = a;
  b.set(7, 2.0);
  EXPECT_EQ(a.at(7), 1.5);
  EXPECT_EQ(b.at(7), 2.0);
  b.poison();
  EXPECT_TRUE(std::isnan(b.at(0)) && std::isnan(b.at(14)));
  EXPECT_THROW(a.as<float>(), Error);
  EXPECT_THROW(Tensor("huge", {1LL << 40, 1LL << 40}, Dtype::f32), Error);
}

TEST(random, the_same_seed_gives_the_same_numbers_and_roles_differ) {
  Tensor a("a", {1001}, Dtype::f32), again("a", {1001}, Dtype::f32), b("b", {1001}, Dtype::f32);
  fill(a, "normal", 7);
  fill(again, "normal", 7);
  fill(b, "normal", 7);
  int equal = 0;
  for (int i = 0; i < 1001; ++i) {
    EXPECT_EQ(a.at(i), again.at(i));
    equal += a.at(i) == b.at(i) ? 1 : 0;
  }
  EXPECT_LT(equal, 5);
}

TEST(random, normal_numbers_have_mean_0_and_deviation_1) {
  Tensor a("a", {200000}, Dtype::f32);
  fill(a, "normal", 3);
  double sum = 0, squares = 0;
  for (std::int64_t i = 0; i < a.count(); ++i) sum += a.at(i), squares += a.at(i) * a.at(i);
  EXPECT_NEAR(sum / 200000, 0, 0.01);
  EXPECT_NEAR(squares / 200000, 1, 0.015);
  EXPECT_NE(error_of([&] { fill(a, "normall", 3); }).find("did you mean \"normal\""), std::string::npos);
}

TEST(json, an_unknown_key_names_its_line_and_the_nearest_key) {
  const JsonFile file = parse_json("{\n \"cases\": [\n  {\"shape\": 1},\n  {\"shape\": 2,\n   \"shap\": 3}]}", "s.json");
  Fields fields(file);
  std::vector<Fields> cases = fields.objects("cases");
  cases[1].integer("shape");
  EXPECT_EQ(error_of([&] { cases[1].finish(); }),
            "s.json:5: cases[1].shap is an unknown key; did you mean \"shape\"?");
}

TEST(json, wrong_types_are_named) {
  const JsonFile file = parse_json("{\"a\": \"x\", \"b\": 1.5, \"c\": [1], \"d\": 0, \"e\": 1}", "f.json");
  Fields fields(file);
  EXPECT_NE(error_of([&] { fields.number("a"); }).find("f.json:1: a is a string, not a number"), std::string::npos);
  EXPECT_NE(error_of([&] { fields.integer("b"); }).find("not a whole number"), std::string::npos);
  EXPECT_NE(error_of([&] { fields.object("c"); }).find("is an array, not an object"), std::string::npos);
  EXPECT_NE(error_of([&] { fields.positive("d"); }).find("has to be above 0"), std::string::npos);
  EXPECT_NE(error_of([&] { fields.text("z"); }).find("is missing"), std::string::npos);
}

TEST(json, a_key_written_twice_in_one_object_is_refused) {
  EXPECT_EQ(error_of([] { parse_json("{\"a\": {\"b\": 1}, \"c\": [{\"b\": 1}, {\"b\": 2, \"b\": 3}]}", "x.json"); }),
            "x.json: the key \"b\" is written twice in one object; keep one of them");
  EXPECT_EQ(error_of([] { parse_json("{\"a\": {\"b\": 1}, \"b\": [{\"a\": 1}, {\"a\": 2}]}", "x.json"); }), "no error");
}

TEST(json, the_known_keys_are_named_once_each) {
  const JsonFile file = parse_json("{\"zzzzzz\": 1}", "f.json");
  Fields fields(file);
  fields.maybe_positive("alpha");
  fields.maybe_positive("beta");
  fields.maybe_positive("alpha");
  EXPECT_NE(error_of([&] { fields.finish(); }).find("known: alpha, beta"), std::string::npos);
}

TEST(json, broken_text_names_line_and_column) {
  EXPECT_NE(error_of([] { parse_json("{\n  \"a\": ,\n}", "x.json"); }).find("line 2, column"), std::string::npos);
  EXPECT_NE(error_of([] { parse_json("{\"a\": 1e999}", "x.json"); }).find("x.json: not valid JSON"), std::string::npos);
}

TEST(json, broken_text_never_crashes) {  // a small fuzz: mutations of a valid file, recorded seed
  const std::string valid = R"({"a":[1,2,{"b":"c\"d"}],"e":{"f":null,"g":-1.5e3}})";
  for (std::uint64_t round = 0; round < 20000; ++round) {
    std::string text = valid;
    for (std::uint64_t edit = 0; edit < 1 + round % 4; ++edit)
      text[random_below(1, round, 2 * edit, text.size())] =
          static_cast<char>(random_below(1, round, 2 * edit + 1, 256));
    for (const char* pointer : {"/a/2/b", "/e/g", "/x", "/a/9", ""}) line_of(text, pointer);
    try {
      const JsonFile file = parse_json(text, "fuzz");
      Fields fields(file);
      fields.maybe_objects("a");
      fields.finish();
    } catch (const Error&) {
    }
  }
}

TEST(gpu_driver, a_missing_driver_an_old_one_and_no_gpu_are_three_lines_with_three_remedies) {
  const GpuFault missing = fault_of_discovery(35, "insufficient", {.driver = 0, .runtime = 13020});
  const GpuFault old = fault_of_discovery(35, "insufficient", {.driver = 12040, .runtime = 13020});
  const GpuFault none = fault_of_discovery(100, "no device", {.driver = 13020, .runtime = 13020});
  EXPECT_EQ(missing.what, "no NVIDIA driver is loaded, and this build needs one for CUDA 13.2");
  EXPECT_EQ(old.what, "the NVIDIA driver is for CUDA 12.4, older than the 13.2 of this build");
  EXPECT_EQ(none.what, "the NVIDIA driver is there and shows no GPU (100)");
  EXPECT_EQ(missing.remedy.find("install the NVIDIA driver"), 0U);
  EXPECT_EQ(old.remedy.find("update the driver to one for CUDA 13.2"), 0U);
  EXPECT_EQ(none.remedy.find("check CUDA_VISIBLE_DEVICES"), 0U);
  for (const GpuFault& fault : {missing, old, none}) {
    EXPECT_NE(fault.remedy.find("--device cpu"), std::string::npos);
    EXPECT_EQ((fault.what + fault.remedy).find('\n'), std::string::npos);
  }
}

TEST(gpu_driver, other_codes_keep_their_text_number_and_remedy) {
  const GpuFault fault = fault_of_discovery(803, "system has unsupported display driver", {.driver = 13020, .runtime = 13020});
  EXPECT_EQ(fault.what, "CUDA: system has unsupported display driver (803)");
  EXPECT_EQ(fault.remedy, remedy_for_gpu(803));
  EXPECT_EQ(fault_of_discovery(35, "odd", {.driver = 13020, .runtime = 13000}).what, "CUDA: odd (35)");
}

TEST(files, an_append_after_a_cut_line_starts_a_new_line) {
  const std::string path = "/tmp/chokepoint_base_test." + std::to_string(::getpid());
  std::ofstream(path) << "{\"a\":1}\n{\"b\":";
  append_line(path, "{\"c\":3}");
  EXPECT_EQ(read_file(path), "{\"a\":1}\n{\"b\":\n{\"c\":3}\n");
  std::filesystem::remove(path);
  EXPECT_NE(error_of([] { read_file("/nowhere/at/all"); }).find("cannot read /nowhere/at/all: No such file"),
            std::string::npos);
  EXPECT_NE(error_of([] { append_line("/dev/full", "x"); }).find("No space left"), std::string::npos);
}

TEST(parallel, every_index_is_visited_once_and_exceptions_arrive) {
  std::vector<std::atomic<int>> seen(10007);
  parallel_for(10007, 13, [&](std::int64_t begin, std::int64_t end, int worker) {
    EXPECT_LT(worker, parallel_workers());
    for (std::int64_t i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
  });
  for (const auto& count : seen) EXPECT_EQ(count, 1);
  EXPECT_THROW(parallel_for(100, 1, [](std::int64_t begin, std::int64_t, int) {
                 if (begin == 50) throw std::runtime_error("x");
               }),
               std::runtime_error);
  int nested = 0;
  parallel_for(1, 1, [&](std::int64_t, std::int64_t, int) {
    parallel_for(5, 1, [&](std::int64_t, std::int64_t, int) { ++nested; });
  });
  EXPECT_EQ(nested, 5);
}

}  // namespace
}  // namespace chokepoint
