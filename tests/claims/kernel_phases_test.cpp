// Phases of a training step from single kernels, and what a step of DeepSeek-V3 comes to with them.
#include "harness/claims/kernel_phases.hpp"

#include <gtest/gtest.h>

#include "harness/base/error.hpp"
#include "harness/claims/throughput.hpp"
#include "harness/claims/trace_phases.hpp"
#include "harness/claims/train_step.hpp"
#include "tests/claims/models.hpp"

namespace chokepoint {
namespace {

const KernelTable& h800_table() {
  static const KernelTable table("h800-sxm", shipped_kernel_files());
  return table;
}

StepMachine h800_step_machine() {
  return step_machine(load_profile(configs_folder() + "/profiles/h800-sxm.json"));
}

const StepParts& v3_parts() {
  static const StepParts parts =
      step_parts(h800_table(), shipped_model("deepseek-v3"), StepPlan{}, h800_step_machine());
  return parts;
}

TrainingPhases v3_phases(const KernelPhaseFactors& factors = {}) {
  return phases_from_kernels(v3_parts(), h800_step_machine(), factors);
}

double hours_per_trillion(const TrainingPhases& phases) {
  TrainStep step(dsv3_train_plan());
  return gpu_hours_per_trillion_tokens(step.run(phases), kDsv3Scale);
}

TEST(kernel_phases, a_machine_splits_its_sms) {
  EXPECT_EQ(h800_step_machine().sms, 132);
  EXPECT_EQ(h800_step_machine().compute_sms, 112);
  EXPECT_EQ(h800_step_machine().memory_bytes_per_s, 3.35e12);
  EXPECT_EQ(h800_step_machine().network_bytes_per_s, 50e9);
  EXPECT_THROW(step_machine(load_profile(configs_folder() + "/profiles/h800-sxm.json"), 132), Error);
}

// Products alone (73.1 + 243.9 + 34.5 + 232.9 + 649.1 us) and attention (1104.7 us), on 112 of 132 SMs
// and 1.06 times as long; the router in place (44 us); 640 kB of traffic per token at 0.58 x 3.35 TB/s.
TEST(kernel_phases, forward_attention_is_the_sum_of_its_kernels) {
  const double alone_us = 73.091 + 243.915 + 34.493 + 2.0 * 4096 * 32768 * 512 / 590e6 + 649.13 + 1104.692;
  const double traffic_us = 640e3 * 4096 / (3.35e12 * 0.58) * 1e6;
  EXPECT_NEAR(v3_phases().expert_layer.attention.forward_s * 1e6, alone_us * 132 / 112 * 1.06 + traffic_us,
              0.01);
}

TEST(kernel_phases, forward_mlp_is_the_sum_of_its_kernels) {
  const double alone_us = 169.08 + 98.102 + 1409 + 812.365;
  const double traffic_us = 650e3 * 4096 / (3.35e12 * 0.58) * 1e6;
  EXPECT_NEAR(v3_phases().expert_layer.mlp.forward_s * 1e6, alone_us * 132 / 112 * 1.06 + 44 + traffic_us,
              0.01);
}

TEST(kernel_phases, kernels_measured_in_place_are_not_stretched_again) {
  // weight gradients of attention: 1507 + 450 + 223 + 134 + 68 us, from the trace
  EXPECT_NEAR(v3_phases().expert_layer.attention.weight_s * 1e6, 2382, 0.01);
  EXPECT_NEAR(v3_phases({.compute_in_place = 1.5}).expert_layer.attention.weight_s * 1e6, 2382, 0.01);
}

TEST(kernel_phases, transfers_take_the_bytes_of_the_slower_wire) {
  const ExpertLayerTimes layer = v3_phases().expert_layer;
  EXPECT_NEAR(layer.dispatch_forward_s * 1e3, 105.97e6 / (50e9 * 0.8 * 0.75) * 1e3, 0.001);
  EXPECT_NEAR(layer.combine_forward_s * 1e3, 205.52e6 / (50e9 * 0.8 * 0.75) * 1e3, 0.001);
  EXPECT_EQ(layer.combine_backward_s,
            layer.dispatch_forward_s);  // gradients of what was combined are dispatched
  EXPECT_EQ(layer.dispatch_backward_s, layer.combine_forward_s);
}

TEST(kernel_phases, phases_are_within_a_tenth_of_the_trace_except_products_that_ran_faster_alone) {
  const ExpertLayerTimes kernels = v3_phases().expert_layer, trace = trace_phases().expert_layer;
  EXPECT_TRUE(near_relative(kernels.attention.forward_s, trace.attention.forward_s, 0.10));
  EXPECT_TRUE(near_relative(kernels.mlp.forward_s, trace.mlp.forward_s, 0.10));
  EXPECT_TRUE(near_relative(kernels.mlp.backward_input_s, trace.mlp.backward_input_s, 0.10));
  EXPECT_TRUE(near_relative(kernels.attention.backward_input_s, trace.attention.backward_input_s, 0.10));
}

// Worked out elsewhere from the same kernels: 160.0K, and 176.3K with imbalance 1.10, 1.10 in place and 0.52
// of memory's rate. The second names no source for weight gradients and attention's backward; here they are
// the trace's, which have their place in them already and do not grow with the factor. That leaves it 3.5 %
// lower. Computed a second time apart from this program: growing too they give 171.7K, and with heads and
// projection 172.9K; nothing that keeps the 160.0K reaches 176.3K.
TEST(kernel_phases, deepseek_v3_takes_160_thousand_gpu_hours_per_trillion_tokens_from_single_kernels) {
  EXPECT_TRUE(near_relative(hours_per_trillion(v3_phases()), 160.0e3, 0.005));
  const KernelPhaseFactors priors = {
      .compute_in_place = 1.10, .traffic_efficiency = 0.52, .expert_imbalance = 1.10};
  EXPECT_TRUE(near_relative(hours_per_trillion(v3_phases(priors)), 170.2e3, 0.002));
  EXPECT_TRUE(near_relative(hours_per_trillion(v3_phases(priors)), 176.3e3, 0.04));
}

// The trap: products and attention alone end at 137K, 24 % below the 180K that were published.
TEST(kernel_phases, without_memory_traffic_a_quarter_of_the_step_is_missing) {
  EXPECT_NEAR(hours_per_trillion(v3_phases({.traffic_efficiency = 1e9})), 136.7e3, 500);
}

TEST(kernel_phases, every_row_that_was_used_is_named) {
  EXPECT_GT(v3_parts().sources.size(), 20U);
  for (const KernelRow* row : v3_parts().sources) EXPECT_FALSE(row->source.empty());
}

TEST(kernel_phases, a_missing_row_is_named) {
  try {
    step_parts(KernelTable("h20", shipped_kernel_files()), shipped_model("deepseek-v3"), StepPlan{},
               h800_step_machine());
    FAIL() << "an H20 has no rows for this";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("no kernel row"), std::string::npos) << error.what();
  }
  EXPECT_THROW(step_parts(h800_table(), shipped_model("llama-3.1-8b"), StepPlan{}, h800_step_machine()),
               Error);
}

TEST(kernel_phases, a_plan_that_does_not_fit_says_why) {
  const auto parts = [](const StepPlan& plan) {
    return step_parts(h800_table(), shipped_model("deepseek-v3"), plan, h800_step_machine());
  };
  EXPECT_THROW(parts({.tokens = 0}), Error);
  EXPECT_THROW(parts({.placement = {.nodes = 64, .gpus_per_node = 8}}), Error);  // more GPUs than experts
  EXPECT_THROW(parts({.nodes_per_token = 0}), Error);
  EXPECT_THROW(parts({.nodes_per_token = 9}), Error);
}

TEST(kernel_phases, the_shipped_rows_of_the_trace_are_the_phases_others_use) {
  const auto ms = [](const char* part) {
    return time_s_of(h800_table().at("layer_part", {{"part", part}}, Dtype::fp8_e4m3)).value() * 1e3;
  };
  const TrainingPhases trace = trace_phases();
  EXPECT_NEAR(ms("attention_forward"), trace.expert_layer.attention.forward_s * 1e3, 1e-9);
  EXPECT_NEAR(ms("attention_backward_input"), trace.expert_layer.attention.backward_input_s * 1e3, 1e-9);
  EXPECT_NEAR(ms("attention_weight"), trace.expert_layer.attention.weight_s * 1e3, 1e-9);
  EXPECT_NEAR(ms("mlp_forward"), trace.expert_layer.mlp.forward_s * 1e3, 1e-9);
  EXPECT_NEAR(ms("mlp_backward_input"), trace.expert_layer.mlp.backward_input_s * 1e3, 1e-9);
  EXPECT_NEAR(ms("mlp_weight"), trace.expert_layer.mlp.weight_s * 1e3, 1e-9);
  EXPECT_NEAR(ms("dispatch_forward"), trace.expert_layer.dispatch_forward_s * 1e3, 1e-9);
  EXPECT_NEAR(ms("dispatch_backward"), trace.expert_layer.dispatch_backward_s * 1e3, 1e-9);
  EXPECT_NEAR(ms("combine_forward"), trace.expert_layer.combine_forward_s * 1e3, 1e-9);
  EXPECT_NEAR(ms("combine_backward"), trace.expert_layer.combine_backward_s * 1e3, 1e-9);
  EXPECT_NEAR(ms("sync"), trace.expert_layer.sync_s * 1e3, 1e-9);
  EXPECT_NEAR(ms("head_forward"), trace.head.forward_s * 1e3, 1e-9);
  EXPECT_NEAR(ms("dense_backward_input"), trace.dense_mlp.backward_input_s * 1e3, 1e-9);
  EXPECT_NEAR(ms("projection"), trace.projection.forward_s * 1e3, 1e-9);
  EXPECT_NEAR(ms("optimizer"), trace.optimizer_s * 1e3, 1e-9);
  EXPECT_NEAR(ms("hop"), trace.hop_s * 1e3, 1e-9);
}

}  // namespace
}  // namespace chokepoint
