// Choices of configurations as files: what was written is read again, and one mistake is one clear error.
#include "harness/model/tuning.hpp"

#include <gtest/gtest.h>

#include "harness/base/error.hpp"
#include "harness/base/files.hpp"

namespace chokepoint {
namespace {

TuningFile file_with_two() {
  TuningFile file{.path = "configs/tuning/fast-gpu-9_matmul_hopper.json",
                  .device = "Fast GPU (9)",
                  .operation = "matmul",
                  .kernel = "hopper"};
  file.put({.shape = {{"m", 64}, {"n", 128}, {"b_layout", "kn"}},
            .dtype = Dtype::bf16,
            .configuration = "cuts=3,tile=low",
            .planned = "cuts=1,tile=low",
            .time_ratio = 0.9,
            .time_ratio_interval = Interval{0.88, 0.93},
            .tried = 11,
            .undecided = 3,
            .untried = 2,
            .run_id = "abc",
            .records = {"one", "two"}});
  file.put({.shape = {{"m", 65}},
            .dtype = Dtype::bf16,
            .configuration = "cuts=1,tile=low",
            .planned = "cuts=1,tile=low",
            .run_id = "abc"});
  return file;
}

JsonFile written(const TuningFile& file) { return parse_json(to_json(file).dump(2), file.path); }

std::string message_of(const JsonFile& file) {
  try {
    decode_tuning(file);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// The message after `change` to the first choice.
template <class Change>
std::string message_after(const Change& change) {
  JsonFile file = written(file_with_two());
  change(file.value["choices"][0]);
  return message_of(parse_json(file.value.dump(2), file.path));
}

TEST(tuning, what_is_written_is_read_again) {
  const TuningFile before = file_with_two(), after = decode_tuning(written(before));
  EXPECT_EQ(to_json(after), to_json(before));
  const TunedChoice* found = after.find({{"m", 64}, {"n", 128}, {"b_layout", "kn"}}, Dtype::bf16);
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->configuration, "cuts=3,tile=low");
  EXPECT_EQ(found->records.size(), 2U);
  EXPECT_EQ(found->undecided, 3);
  EXPECT_FALSE(after.choices[1].time_ratio);
}

TEST(tuning, a_choice_is_for_one_device_kernel_shape_and_dtype) {
  const TuningBook book({file_with_two()});
  const Shape shape{{"m", 65}};
  EXPECT_NE(book.find("Fast GPU (9)", "matmul", "hopper", shape, Dtype::bf16), nullptr);
  EXPECT_EQ(book.find("Fast GPU (8)", "matmul", "hopper", shape, Dtype::bf16), nullptr);
  EXPECT_EQ(book.find("Fast GPU (9)", "matmul", "cublaslt", shape, Dtype::bf16), nullptr);
  EXPECT_EQ(book.find("Fast GPU (9)", "attention", "hopper", shape, Dtype::bf16), nullptr);
  EXPECT_EQ(book.find("Fast GPU (9)", "matmul", "hopper", shape, Dtype::f32), nullptr);
  EXPECT_EQ(book.find("Fast GPU (9)", "matmul", "hopper", {{"m", 66}}, Dtype::bf16), nullptr);
}

TEST(tuning, a_second_choice_takes_the_place_of_the_first) {
  TuningFile file = file_with_two();
  file.put({.shape = {{"m", 65}}, .dtype = Dtype::bf16, .configuration = "x", .planned = "x"});
  EXPECT_EQ(file.choices.size(), 2U);
  EXPECT_EQ(file.find({{"m", 65}}, Dtype::bf16)->configuration, "x");
}

TEST(tuning, a_mistake_is_an_error_with_file_line_key_and_remedy) {
  EXPECT_NE(message_after([](Json& choice) { choice["shape"] = "m"; }).find("shape is \"m\""), std::string::npos);
  EXPECT_NE(message_after([](Json& choice) { choice["dtype"] = "fp4"; }).find("dtype is \"fp4\""), std::string::npos);
  EXPECT_NE(message_after([](Json& choice) { choice["time_ratio"] = nullptr; }).find("time_ratio is missing"),
            std::string::npos);
  EXPECT_NE(message_after([](Json& choice) { choice["time_ratio"]["value"] = 0.5; }).find("outside of its interval"),
            std::string::npos);
  EXPECT_NE(message_after([](Json& choice) { choice["tried"] = -1; }).find("tried is -1"), std::string::npos);
  EXPECT_NE(message_after([](Json& choice) { choice.erase("run_id"); }).find("run_id"), std::string::npos);
  EXPECT_NE(message_after([](Json& choice) { choice["cuts"] = 3; }).find("cuts"), std::string::npos);
  const std::string where = message_after([](Json& choice) { choice["configuration"] = " "; });
  EXPECT_NE(where.find("fast-gpu-9_matmul_hopper.json:"), std::string::npos) << where;
  JsonFile twice = written(file_with_two());
  twice.value["choices"].push_back(twice.value["choices"][0]);
  EXPECT_NE(message_of(parse_json(twice.value.dump(2), twice.path)).find("second choice"), std::string::npos);
}

TEST(tuning, a_file_is_called_what_it_is_about) {
  JsonFile file = written(file_with_two());
  file.path = "configs/tuning/other.json";
  EXPECT_NE(message_of(parse_json(file.text, file.path)).find("the file is called other"), std::string::npos);
  EXPECT_EQ(tuning_stem("NVIDIA H100 80GB HBM3", "attention", "hopper"), "nvidia-h100-80gb-hbm3_attention_hopper");
}

TEST(tuning, shipped_files_are_read_and_no_folder_means_no_choices) {
  load_tuning(CHOKEPOINT_SOURCE_DIR "/configs");
  EXPECT_EQ(load_tuning("/nowhere").file_for("a", "b", "c"), nullptr);
}

}  // namespace
}  // namespace chokepoint
