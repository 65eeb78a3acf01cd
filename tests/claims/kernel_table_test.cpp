// Kernel rows: published figures come out of the shipped files, records take their place, other machines
// scale.
#include "harness/claims/kernel_table.hpp"

#include <gtest/gtest.h>

#include "harness/base/error.hpp"
#include "harness/base/files.hpp"
#include "harness/claims/kernel_records.hpp"
#include "harness/claims/kernel_scaling.hpp"
#include "harness/claims/kernel_siblings.hpp"
#include "tests/claims/models.hpp"
#include "tests/model/config_help.hpp"

namespace chokepoint {
namespace {

const std::vector<Profile>& profiles() {
  static const std::vector<Profile> shipped = load_profiles(configs_folder());
  return shipped;
}

// Rows of one file alone.
KernelTable table_of(const std::string& id, const std::string& machine = "h800-sxm") {
  std::vector<KernelFile> chosen;
  for (const KernelFile& file : shipped_kernel_files())
    if (file.id == id) chosen.push_back(file);
  return {machine, chosen};
}

Shape product(std::int64_t m, std::int64_t n, std::int64_t k) { return {{"m", m}, {"n", n}, {"k", k}}; }
Shape groups_of(std::int64_t groups, std::int64_t n) { return {{"groups", groups}, {"n", n}}; }

double tflop_per_s(const KernelTable& table, const char* operation, const Shape& shape,
                   Dtype dtype = Dtype::fp8_e4m3) {
  return flop_per_s_of(table.at(operation, shape, dtype)).value() / 1e12;
}

TEST(kernel_table, the_trace_has_its_published_rates) {
  const KernelTable trace = table_of("h800_deepseek-v3_trace");
  const auto forward = [&](std::int64_t n, std::int64_t k) {
    return tflop_per_s(trace, "matmul", product(4096, n, k));
  };
  const auto gradient = [&](std::int64_t n, std::int64_t k) {
    return tflop_per_s(trace, "matmul_weight_gradient", product(4096, n, k));
  };
  const Shape core = {{"mode", "prefill"}, {"context", std::int64_t{4096}}};
  // as published, of times rounded to a microsecond
  for (const auto& [rate, expected] :
       {std::pair{forward(1536, 7168), 867},
        {forward(576, 7168), 626},
        {forward(24576, 1536), 854},
        {forward(32768, 512), 570},
        {forward(7168, 16384), 1087},
        {forward(4096, 7168), 940},
        {forward(7168, 2048), 865},
        {forward(16384, 7168), 1042},
        {forward(1536, 24576), 931},
        {forward(512, 32768), 627},
        {gradient(7168, 16384), 638},
        {gradient(24576, 1536), 687},
        {gradient(32768, 512), 616},
        {gradient(1536, 7168), 673},
        {gradient(576, 7168), 497},
        {tflop_per_s(trace, "grouped_matmul", groups_of(4, 4096)), 1030},
        {tflop_per_s(trace, "matmul", product(4096, 256, 7168), Dtype::bf16), 342},
        {tflop_per_s(trace, "attention", core, Dtype::bf16), 556},
        {tflop_per_s(trace, "attention_backward", core, Dtype::bf16), 420}})
    EXPECT_TRUE(near_relative(rate, expected, 0.009)) << expected;
  EXPECT_TRUE(near_relative(
      tflop_per_s(trace, "attention_backward", {{"alone", std::int64_t{1}}}, Dtype::bf16), 473, 0.002));
  EXPECT_TRUE(trace.at("matmul", product(4096, 1536, 7168), Dtype::fp8_e4m3).in_place);
  EXPECT_EQ(trace.at("matmul", product(4096, 1536, 7168), Dtype::fp8_e4m3).sms, 112);
}

// DeepGEMM's own GB/s column counts fp8 inputs and bf16 outputs.
TEST(kernel_table, deepgemm_moves_the_bytes_it_states) {
  const KernelTable first = table_of("h800_deepgemm_2025-02-26");
  const KernelRow& row = first.at("matmul", product(4096, 7168, 16384), Dtype::fp8_e4m3);
  EXPECT_NEAR(flop_per_s_of(row).value(), 1358e12, 1);
  EXPECT_TRUE(near_relative(memory_bytes_of(row).value() / time_s_of(row).value(), 343e9, 0.012));
  const KernelRow& masked =
      first.at("masked_matmul", {{"groups", std::int64_t{4}}, {"n", std::int64_t{7168}}}, Dtype::fp8_e4m3);
  EXPECT_TRUE(near_relative(memory_bytes_of(masked).value() / time_s_of(masked).value(), 2047e9, 0.012));
}

// 64 sequences of 4096: 84 us by FLOP at 865 TFLOP/s, 90 us by bytes at 3.35 TB/s, 155 us measured.
TEST(kernel_table, absorbed_decode_runs_at_471_tflop_and_1_95_tb_per_second) {
  const KernelTable infersim = table_of("h800_infersim");
  const KernelRow& row = infersim.at(
      "attention", {{"mode", "decode"}, {"batch", std::int64_t{64}}, {"context", std::int64_t{4096}}},
      Dtype::bf16);
  EXPECT_NEAR(time_s_of(row).value() * 1e6, 155, 0.5);
  EXPECT_NEAR(flop_per_s_of(row).value() / 1e12, 471, 1);
  EXPECT_NEAR(flop_of(row).value() / 865e12 * 1e6, 84.4, 0.1);
  const double cached = 64.0 * 4096 * 1152;  // its bytes count queries and outputs too
  EXPECT_NEAR(cached / 3.35e12 * 1e6, 90, 0.5);
  EXPECT_NEAR(cached / time_s_of(row).value() / 1e12, 1.95, 0.005);
  EXPECT_TRUE(near_relative(memory_bytes_of(row).value(), cached + 64.0 * 128 * (576 + 512) * 2, 1e-12));
}

TEST(kernel_table, of_several_sources_the_one_with_priority_counts_and_rows_alone_before_rows_in_place) {
  const KernelTable all("h800-sxm", shipped_kernel_files());
  const KernelRow& row = all.at("matmul", product(4096, 7168, 16384), Dtype::fp8_e4m3);
  EXPECT_NE(row.source.find("InferSim"), std::string::npos);
  EXPECT_FALSE(row.in_place);
  // only DeepGEMM has this one: its first release
  EXPECT_NEAR(tflop_per_s(all, "matmul", product(4096, 32768, 512)), 590, 0.01);
  EXPECT_EQ(KernelTable("h20", shipped_kernel_files()).find("dispatch", {}, Dtype::fp8_e4m3), nullptr);
}

TEST(kernel_table, rates_of_transfers_say_whether_they_are_logical) {
  const KernelTable table("h800-sxm", shipped_kernel_files());
  const KernelRow& row =
      table.at("dispatch", {{"ranks", std::int64_t{64}}, {"tokens", std::int64_t{4096}}}, Dtype::fp8_e4m3);
  EXPECT_EQ(row.value, 46e9);  // the first release
  EXPECT_TRUE(row.logical);
  EXPECT_FALSE(time_s_of(row).has_value());
}

TEST(kernel_table, between_rows_time_is_linear_and_outside_it_is_held_or_grows_in_proportion) {
  const KernelTable table = table_of("h800_infersim");
  const auto us = [&](std::int64_t batch, std::int64_t context) {
    const Shape shape = {{"mode", "decode"}, {"batch", batch}, {"context", context}};
    return table.between("attention", shape, Dtype::bf16, {"batch", "context"}).time_s * 1e6;
  };
  EXPECT_NEAR(us(64, 4096), 155.153, 1e-6);
  EXPECT_NEAR(us(64, 6144), (155.153 + 288.668) / 2, 1e-6);
  EXPECT_NEAR(us(96, 4096), (155.153 + 292.023) / 2, 1e-6);
  EXPECT_NEAR(us(96, 6144), (us(64, 6144) + us(128, 6144)) / 2, 1e-6);
  EXPECT_NEAR(us(8, 4096), us(16, 4096), 1e-6);
  EXPECT_NEAR(us(512, 4096), 2 * us(256, 4096), 1e-6);
  EXPECT_NEAR(us(64, 32768), 2 * us(64, 16384), 1e-6);
}

const Register<Operation> scaled_product{
    {.name = "kernel_table_test",
     .fields = {{.name = "m"},
                {.name = "b_layout", .words = {"nk", "kn"}},
                {.name = "scaling", .words = {"128x128", "tensor"}, .unsaid_fallback = true}}}};

// Published rows of fp8 products are of the usual scales, and do not say so.
TEST(kernel_table, a_record_of_unusual_scales_is_another_kernel) {
  const auto row_of = [](const Shape& shape, Grade grade, double value) {
    return KernelRow{.operation = "kernel_table_test",
                     .shape = shape,
                     .dtype = Dtype::fp8_e4m3,
                     .value = value,
                     .unit = "s",
                     .machine = "h800-sxm",
                     .grade = grade};
  };
  const Shape published = {{"m", std::int64_t{4}}};
  Shape usual = published;
  usual.set("b_layout", "nk");
  Shape unusual = usual;
  unusual.set("scaling", "tensor");
  KernelTable table("h800-sxm", {{.rows = {row_of(published, Grade::c, 3.0)}}});
  table.add_measured(row_of(unusual, Grade::a, 1.0));
  EXPECT_EQ(table.time_s("kernel_table_test", published, Dtype::fp8_e4m3), 3.0);
  table.add_measured(row_of(usual, Grade::a, 2.0));
  EXPECT_EQ(table.time_s("kernel_table_test", published, Dtype::fp8_e4m3), 2.0);
  EXPECT_EQ(table.time_s("kernel_table_test", unusual, Dtype::fp8_e4m3), 1.0);
}

TEST(kernel_table, a_missing_row_is_named) {
  const KernelTable table("h800-sxm", shipped_kernel_files());
  const std::string fault = error_of([&] { table.at("matmul", product(1, 2, 3), Dtype::bf16); });
  EXPECT_TRUE(contains(fault, "no kernel row for matmul k=3,m=1,n=2 in bf16 on h800-sxm"));
}

Record record_of(double time_s) {
  Record record;
  record.case_id = "matmul/mine/x";
  record.run_id = "r";
  record.operation = "matmul";
  record.kernel = "mine";
  record.shape = {
      {"m", std::int64_t{4096}}, {"n", std::int64_t{7168}}, {"k", std::int64_t{16384}}, {"b_layout", "nk"}};
  record.dtype = Dtype::fp8_e4m3;
  record.device = {{"kind", "cuda"}, {"name", "NVIDIA H100 80GB HBM3"}};
  record.target = "host";
  record.status = Status::ok;
  record.basis = Basis::measured;
  record.time.median = time_s;
  record.time.ci_low = 0.9 * time_s;
  record.time.ci_high = 1.1 * time_s;
  record.work.flop = 2.0 * 4096 * 7168 * 16384;
  record.work.memory_bytes = 243.3e6;
  return record;
}

const Profile& h800_profile() { return find_profile(profiles(), "h800-sxm"); }

TEST(kernel_table, a_record_takes_the_place_of_published_rows_and_the_change_is_kept) {
  KernelTable table("h800-sxm", shipped_kernel_files());
  const MeasuredRows measured = measured_rows({record_of(700e-6)}, h800_profile(), profiles());
  ASSERT_EQ(measured.rows.size(), 1U);
  EXPECT_EQ(measured.rows[0].grade, Grade::b);  // an H100's, for an H800
  EXPECT_NEAR(measured.rows[0].low_s.value(), 630e-6, 1e-12);
  table.add_measured(measured.rows[0], MeasuredUse::all);
  EXPECT_NEAR(table.time_s("matmul", product(4096, 7168, 16384), Dtype::fp8_e4m3), 700e-6, 1e-12);
  EXPECT_NE(
      table.at("matmul", product(4096, 7168, 16384), Dtype::fp8_e4m3).source.find("record matmul/mine/x"),
      std::string::npos);
  ASSERT_EQ(table.replacements().size(), 3U);  // InferSim and two of DeepGEMM; the trace's row in place stays
  for (const Replacement& replacement : table.replacements())
    EXPECT_NEAR(replacement.change, 700e-6 / time_s_of(replacement.published).value() - 1.0, 1e-12);
  EXPECT_NE(table_of("h800_deepseek-v3_trace").find("matmul", product(4096, 7168, 16384), Dtype::fp8_e4m3),
            nullptr);
}

TEST(kernel_table, of_two_records_the_better_grade_and_then_the_faster_one_counts) {
  const auto time_after = [](std::vector<Record> records) {
    KernelTable table("h800-sxm", shipped_kernel_files());
    for (const KernelRow& row : measured_rows(records, h800_profile(), profiles()).rows)
      table.add_measured(row, MeasuredUse::all);
    EXPECT_EQ(table.replacements().size(), 3U);
    EXPECT_NEAR(table.replacements()[0].change,
                time_s_of(table.replacements()[0].measured).value() /
                        time_s_of(table.replacements()[0].published).value() -
                    1.0,
                1e-12);
    return table.time_s("matmul", product(4096, 7168, 16384), Dtype::fp8_e4m3);
  };
  EXPECT_NEAR(time_after({record_of(700e-6), record_of(650e-6), record_of(680e-6)}), 650e-6, 1e-12);
  Record own = record_of(720e-6);
  own.device["name"] = "NVIDIA H800";
  EXPECT_NEAR(time_after({record_of(650e-6), own}), 720e-6, 1e-12);
  EXPECT_NEAR(time_after({own, record_of(650e-6)}), 720e-6, 1e-12);
}

TEST(kernel_table, records_that_cannot_stand_for_the_machine_are_left_out_with_a_reason) {
  const auto reason = [](auto change) {
    Record record = record_of(1e-3);
    change(record);
    const MeasuredRows measured = measured_rows({record}, h800_profile(), profiles());
    return measured.left_out.empty() ? std::string("taken") : measured.left_out[0].reason;
  };
  EXPECT_EQ(reason([](Record&) {}), "taken");
  EXPECT_EQ(reason([](Record& r) { r.status = Status::invalid; }), "its status is invalid");
  EXPECT_EQ(reason([](Record& r) { r.operation = "moe_layer"; }),
            "moe_layer is no single kernel of the table");
  EXPECT_EQ(reason([](Record& r) { r.basis = Basis::scaled; }), "its basis is scaled: other silicon");
  EXPECT_EQ(reason([](Record& r) { r.device["name"] = "AMD EPYC"; }),
            "no profile names the device \"AMD EPYC\"");
  EXPECT_EQ(reason([](Record& r) { r.device["name"] = "NVIDIA A100-SXM4-80GB"; }),
            "a100-sxm-80gb is sm_80, not sm_90");
  EXPECT_EQ(reason([](Record& r) { r.target = "h20"; }), "it plays h20");
  EXPECT_EQ(reason([](Record& r) {
              r.target = "h800-sxm";
              r.basis = Basis::emulated;
            }),
            "taken");
}

TEST(kernel_table, shipped_records_of_an_h100_replace_published_rows_of_the_h800) {
  KernelTable table("h800-sxm", shipped_kernel_files());
  const std::string folder = std::string(CHOKEPOINT_SOURCE_DIR) + "/results/2026-11-26_h100_kernels";
  const std::vector<Record> records = read_record_files({folder});
  EXPECT_EQ(records.size(), 84U);
  for (const KernelRow& row : measured_rows(records, h800_profile(), profiles()).rows)
    table.add_measured(row, MeasuredUse::all);
  EXPECT_GT(table.replacements().size(), 10U);
  for (const Replacement& replacement : table.replacements()) EXPECT_EQ(replacement.measured.grade, Grade::b);
}

// Published alone: 649.1 us (InferSim) and two slower builds; 1.1 x 649.1 = 714.0.
TEST(kernel_table, a_much_slower_record_leaves_the_published_row_and_is_named_beside_it) {
  const auto after = [](double time_s) {
    KernelTable table("h800-sxm", shipped_kernel_files());
    for (const KernelRow& row : measured_rows({record_of(time_s)}, h800_profile(), profiles()).rows)
      table.add_measured(row);
    return table;
  };
  const KernelTable comparable = after(710e-6), slow = after(720e-6);
  const auto found_s = [](const KernelTable& table) {
    return table.time_s("matmul", product(4096, 7168, 16384), Dtype::fp8_e4m3);
  };
  EXPECT_NEAR(found_s(comparable), 710e-6, 1e-12);
  EXPECT_TRUE(comparable.slower().empty());
  EXPECT_NEAR(found_s(slow), 649.13e-6, 1e-9);
  EXPECT_TRUE(slow.replacements().empty());
  ASSERT_EQ(slow.slower().size(), 1U);
  EXPECT_NEAR(slow.slower()[0].change, 720.0 / 649.13 - 1.0, 1e-6);
}

TEST(kernel_table, of_several_providers_the_fastest_is_compared) {
  KernelTable table("h800-sxm", shipped_kernel_files());
  for (const double time_s : {3000e-6, 680e-6, 900e-6})
    for (const KernelRow& row : measured_rows({record_of(time_s)}, h800_profile(), profiles()).rows)
      table.add_measured(row);
  EXPECT_NEAR(table.time_s("matmul", product(4096, 7168, 16384), Dtype::fp8_e4m3), 680e-6, 1e-12);
  KernelTable slow("h800-sxm", shipped_kernel_files());
  for (const double time_s : {3000e-6, 800e-6, 900e-6})
    for (const KernelRow& row : measured_rows({record_of(time_s)}, h800_profile(), profiles()).rows)
      slow.add_measured(row);
  ASSERT_EQ(slow.slower().size(), 1U);
  EXPECT_NEAR(slow.slower()[0].measured.value, 800e-6, 1e-12);
}

// 5000 rows are between published ones of 4096 and 8192 (649.1 and 1310 us): about 795 us.
TEST(kernel_table, a_slow_record_at_a_size_nobody_published_does_not_bend_the_curve) {
  KernelTable table("h800-sxm", shipped_kernel_files());
  Record record = record_of(3000e-6);
  record.shape.set("m", std::int64_t{5000});
  for (const KernelRow& row : measured_rows({record}, h800_profile(), profiles()).rows) table.add_measured(row);
  const KernelTime time = table.between("matmul", product(5000, 7168, 16384), Dtype::fp8_e4m3, {"m"});
  EXPECT_NEAR(time.time_s, 795e-6, 5e-6);
  EXPECT_EQ(table.slower().size(), 1U);
  record.time.median = 800e-6;
  for (const KernelRow& row : measured_rows({record}, h800_profile(), profiles()).rows) table.add_measured(row);
  EXPECT_NEAR(table.between("matmul", product(5000, 7168, 16384), Dtype::fp8_e4m3, {"m"}).time_s, 800e-6, 1e-12);
}

TEST(kernel_table, shipped_records_stand_where_they_are_comparable_and_slow_ones_are_kept_apart) {
  KernelTable table("h800-sxm", shipped_kernel_files());
  const std::string folder = std::string(CHOKEPOINT_SOURCE_DIR) + "/results/2026-11-26_h100_kernels";
  for (const KernelRow& row : measured_rows(read_record_files({folder}), h800_profile(), profiles()).rows)
    table.add_measured(row);
  EXPECT_GT(table.replacements().size(), 1U);
  EXPECT_GT(table.slower().size(), 5U);
  const Shape decode = {{"mode", "decode"}, {"batch", std::int64_t{128}}, {"context", std::int64_t{4096}},
                        {"qk_dim", std::int64_t{576}}};
  EXPECT_EQ(table.at("attention", decode, Dtype::bf16).grade, Grade::c) << "a decode three times as slow";
}

KernelMachine hopper(double sms, double clock_hz, double memory) {
  return {
      .sms = sms, .flop_per_s_per_sm = 4096.0 * clock_hz, .clock_hz = clock_hz, .memory_bytes_per_s = memory};
}

TEST(kernel_scaling, compute_bound_time_follows_sms_and_clock) {
  const KernelMachine full = hopper(132, 1.8e9, 3.35e12), part = hopper(112, 1.8e9, 3.35e12),
                      slow = hopper(132, 0.9e9, 3.35e12);
  // 5e11 FLOP over 1e8 bytes: 5000 per byte, the ridge is at 291
  EXPECT_NEAR(scaled_time(1e-3, 5e11, 1e8, full, part).time_s, 132e-3 / 112, 1e-12);
  EXPECT_NEAR(scaled_time(1e-3, 5e11, 1e8, full, slow).time_s, 2e-3, 1e-12);
  EXPECT_EQ(scaled_time(1e-3, 5e11, 1e8, full, part).branch, ScaledBy::compute);
  // until its bytes take longer
  EXPECT_EQ(scaled_time(1e-3, 5e11, 1e8, full, hopper(132, 1.8e9, 5e10)).branch, ScaledBy::memory);
}

TEST(kernel_scaling, memory_bound_time_follows_memory_at_the_share_it_had) {
  const KernelMachine from = hopper(132, 1.8e9, 4.8e12), to = hopper(112, 1.8e9, 2.4e12);
  const ScaledTime scaled = scaled_time(1e-3, 1e10, 2.4e9, from, to);  // half of the rate, before and after
  EXPECT_EQ(scaled.branch, ScaledBy::memory);
  EXPECT_NEAR(scaled.time_s, 2e-3, 1e-12);
  EXPECT_THROW(scaled_time(0.0, 1e10, 1e9, from, to), Error);
}

TEST(kernel_siblings, a_machine_with_rows_of_its_own_keeps_them_at_every_size) {
  const KernelTable own("h800-sxm", shipped_kernel_files()),
      with = kernel_table_for(h800_profile(), shipped_kernel_files(), profiles());
  for (const std::int64_t m :
       {64, 4096, 8192})  // an H20 has measured 8192 rows of this product, the H800 has not
    EXPECT_EQ(own.between("matmul", product(m, 32768, 512), Dtype::fp8_e4m3, {"m"}).time_s,
              with.between("matmul", product(m, 32768, 512), Dtype::fp8_e4m3, {"m"}).time_s);
}

TEST(kernel_siblings, an_h100_has_the_h800s_kernels_and_its_transfers_between_nodes) {
  const KernelTable table = kernel_table_for(find_profile(profiles(), "h100-sxm"), shipped_kernel_files(), profiles());
  const KernelRow& row = table.at("matmul", product(4096, 7168, 16384), Dtype::fp8_e4m3);
  EXPECT_NEAR(time_s_of(row).value(), 649.13e-6, 1e-12);
  EXPECT_TRUE(contains(row.note, "of h800-sxm"));
  EXPECT_EQ(
      table.at("dispatch", {{"ranks", std::int64_t{64}}, {"tokens", std::int64_t{4096}}}, Dtype::fp8_e4m3)
          .value,
      46e9);
  EXPECT_EQ(
      table.find("dispatch", {{"ranks", std::int64_t{8}}, {"tokens", std::int64_t{4096}}}, Dtype::fp8_e4m3),
      nullptr);
  const Shape core = {{"mode", "decode"}, {"batch", std::int64_t{64}}, {"context", std::int64_t{4096}}};
  EXPECT_NEAR(table.time_s("attention", core, Dtype::bf16), 155.153e-6,
              1e-12);  // the H800's, not the H20's scaled
}

TEST(kernel_siblings, an_h20_keeps_its_own_rows_and_takes_the_rest_scaled) {
  const KernelTable table = kernel_table_for(find_profile(profiles(), "h20"), shipped_kernel_files(), profiles());
  EXPECT_NEAR(table.time_s("matmul", product(4096, 1536, 7168), Dtype::fp8_e4m3), 346.89e-6, 1e-12);
  const KernelRow& o = table.at("matmul", product(4096, 7168, 16384), Dtype::fp8_e4m3);
  EXPECT_TRUE(
      near_relative(time_s_of(o).value(), 649.13e-6 * 1979 / 296, 0.001));  // peaks of 1979 and 296 TFLOP/s
  EXPECT_TRUE(contains(o.note, "scaled by compute"));
}

TEST(kernel_file, mistakes_name_line_and_key) {
  const std::string path = configs_folder() + "/kernels/h800_deepep_2025-02-24.json", text = read_file(path);
  const auto fault = [&](const std::string& from, const std::string& to) {
    return error_of([&] { decode_kernel_file(parse_json(with(text, from, to), path)); });
  };
  EXPECT_EQ(fault("x", "x"), "no error");
  EXPECT_TRUE(contains(fault("\"grade\": \"C\"", "\"grade\": \"A\""),
                       "grade is \"A\"; write C (published) or D (estimated)"));
  EXPECT_TRUE(
      contains(fault("\"counts\": \"logical\"", "\"counts\": \"logicl\""), "did you mean \"logical\"?"));
  EXPECT_TRUE(contains(fault(", \"counts\": \"logical\"", ""), "counts is missing"));
  EXPECT_TRUE(contains(fault("\"unit\": \"GB/s\"", "\"unit\": \"GiB/s\""), "unit is \"GiB/s\""));
  EXPECT_TRUE(contains(fault("\"operation\": \"dispatch\"", "\"operation\": \"dispach\""),
                       "did you mean \"dispatch\"?"));
  EXPECT_TRUE(contains(fault("\"value\": 153", "\"value\": 0"), "value"));
  EXPECT_TRUE(contains(fault("\"value\": 153", "\"valu\": 153"), "value is missing"));
  EXPECT_TRUE(contains(fault("\"unit\": \"GB/s\", \"counts\": \"logical\"", "\"unit\": \"TFLOP/s\""),
                       "does not tell the work of dispatch"));
}

TEST(kernel_file, damaged_files_give_an_error_or_rows_never_a_crash) {
  for (const KernelFile& file : shipped_kernel_files())
    EXPECT_GT(
        rejected_mutations(read_json(file.path), 200, [](const JsonFile& json) { decode_kernel_file(json); }),
        50)
        << file.id;
}

}  // namespace
}  // namespace chokepoint
