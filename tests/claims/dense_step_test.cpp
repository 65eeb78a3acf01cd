// A dense model's training step: Llama-3.1-405B as its report describes it, and what its link is worth.
#include "harness/claims/dense_step.hpp"

#include <gtest/gtest.h>

#include "harness/base/error.hpp"
#include "harness/model/model_shapes.hpp"

namespace chokepoint {
namespace {

double tokens_per_s_per_gpu_of(const DensePlan& plan, const DenseRates& rates) {
  return tokens_per_s_per_gpu(dense_step({}, plan, rates).step_s, plan.scale());
}

double tflops(const DensePlan& plan, const DenseRates& rates = {}) {
  return tokens_per_s_per_gpu_of(plan, rates) * DenseShape{}.model_flop_per_token(plan.sequence) * 1e-12;
}

// GPU-hours over those of the published run, in percent.
double percent(const DenseRates& rates) {
  return 100.0 * (dense_step({}, {}, rates).step_s / dense_step({}, {}, {}).step_s - 1.0);
}

TEST(dense_step, work_and_size_of_the_405b_model) {
  EXPECT_NEAR(DenseShape{}.parameters(), 405.85e9, 0.01e9);
  EXPECT_NEAR(DenseShape{}.model_flop_per_token(8192), 2524e9, 0.5e9);
  EXPECT_NEAR(DenseShape{}.model_flop_per_token(4096), 2473e9, 0.5e9);
}

TEST(dense_step, the_shape_in_the_models_file_is_the_default) {
  const DenseShape shape =
      dense_shape_of(load_model(std::string(CHOKEPOINT_SOURCE_DIR) + "/configs/models/llama-3.1-405b.json"));
  EXPECT_EQ(shape.layers, DenseShape{}.layers);
  EXPECT_EQ(shape.query_width, DenseShape{}.query_width);
  EXPECT_EQ(shape.kv_width, DenseShape{}.kv_width);
  EXPECT_EQ(shape.parameters(), DenseShape{}.parameters());
}

TEST(dense_step, a_model_with_experts_is_an_error) {
  const ModelShapes model =
      load_model(std::string(CHOKEPOINT_SOURCE_DIR) + "/configs/models/deepseek-v3.json");
  EXPECT_THROW(dense_shape_of(model), Error);
}

TEST(dense_step, parts_of_a_layer_are_the_published_ones) {
  const DenseLayerTimes layer = dense_layer_times({}, {}, {});
  EXPECT_NEAR(layer.gemm_forward_s, 11.0e-3, 0.05e-3);
  EXPECT_NEAR(layer.gemm_backward_s, 22.6e-3, 0.05e-3);
  EXPECT_NEAR(layer.memory_s, 2.2e-3, 1e-9);
  EXPECT_NEAR(layer.transfer_forward_s + layer.transfer_backward_s, 6.5e-3, 0.05e-3);
  EXPECT_NEAR(layer.total_s(), 42.3e-3, 0.05e-3);
}

TEST(dense_step, the_published_run_takes_6_21_s_and_416_tflop_per_s) {
  const DenseStep step = dense_step({}, {}, {});
  EXPECT_NEAR(step.pipeline_s, 5.98, 0.005);
  EXPECT_NEAR(step.data_parallel_s, 0.21, 0.005);
  EXPECT_NEAR(step.step_s, 6.21, 0.005);
  EXPECT_DOUBLE_EQ(step.step_s, step.pipeline_s + step.fill_and_drain_s + step.data_parallel_s);
  EXPECT_NEAR(tokens_per_s_per_gpu_of({}, {}), 165, 0.5);
  EXPECT_NEAR(tflops({}), 416, 0.5);
  EXPECT_NEAR(mfu(tflops({}), 989), 0.421, 0.0005);
}

TEST(dense_step, half_as_many_gpus_with_the_same_batch_reach_447_tflop_per_s) {
  DensePlan plan;
  plan.data_parallel = 64;
  plan.pipeline.micro_batches = 32;
  EXPECT_EQ(plan.scale().gpus, 8192);
  EXPECT_EQ(plan.scale().tokens_per_step, DensePlan{}.scale().tokens_per_step);
  EXPECT_NEAR(tflops(plan), 447, 0.5);
}

TEST(dense_step, the_whole_run_takes_29_2_million_hours) {
  EXPECT_NEAR(gpu_hours(15.6e12, tokens_per_s_per_gpu_of({}, {}), 1.0), 26.3e6, 0.05e6);
  EXPECT_NEAR(gpu_hours(15.6e12, tokens_per_s_per_gpu_of({}, {}), 0.9), 29.2e6, 0.05e6);
  EXPECT_THROW(gpu_hours(15.6e12, 165, 0.0), Error);
}

TEST(dense_step, the_pipeline_takes_what_its_closed_form_says) {
  // Eight chunks per rank, 16 micro-batches, 15 / (8 x 16) of it idle.
  const DenseLayerTimes layer = dense_layer_times({}, {}, {});
  const double head_s = 6 * DenseShape{}.head_parameters() * 8192 / 8 / 620e12;
  const double per_micro_batch_s = (126 * layer.total_s() + head_s) / 16;
  EXPECT_NEAR(dense_step({}, {}, {}).pipeline_s, 16 * per_micro_batch_s * (1 + 15.0 / 128), 1e-6);
}

TEST(dense_step, under_an_h800s_link_it_costs_18_5_percent_more) {
  EXPECT_NEAR(percent({.link_bytes_per_s = 160e9}), 18.5, 0.05);
  EXPECT_NEAR(percent({.link_bytes_per_s = 80e9}), 52, 0.5);
  EXPECT_NEAR(percent({.link_bytes_per_s = 720e9}), -7.4, 0.05);
}

TEST(dense_step, network_and_memory_matter_less) {
  EXPECT_NEAR(percent({.network_bytes_per_s = 22e9}), 3.9, 0.05);
  EXPECT_NEAR(percent({.memory_time_s = 2.2e-3 * 3.35 / 2.0}), 3.3, 0.09);
}

TEST(dense_step, where_half_the_transfers_hide_the_link_costs_half_as_much) {
  const double half = dense_step({}, {}, {.tensor_transfers_shown = 0.5}).step_s;
  const double slow = dense_step({}, {}, {.link_bytes_per_s = 160e9, .tensor_transfers_shown = 0.5}).step_s;
  EXPECT_NEAR(100 * (slow / half - 1), 9.5, 0.6);  // published as 9 to 10
}

// Published as 397 and 435: its attention runs at a rate of its own there, here all products do.
TEST(dense_step, products_at_580_and_660_tflop_per_s) {
  EXPECT_NEAR(tflops({}, {.gemm_flop_per_s = 580e12}), 395.2, 0.1);
  EXPECT_NEAR(tflops({}, {.gemm_flop_per_s = 660e12}), 436.2, 0.1);
  EXPECT_NEAR(tflops({}, {.gemm_flop_per_s = 580e12}), 397, 397 * 0.006);
  EXPECT_NEAR(tflops({}, {.gemm_flop_per_s = 660e12}), 435, 435 * 0.006);
}

TEST(dense_step, ends_of_their_own_save_what_the_head_is_lighter_than_a_layer) {
  const double even_s = dense_step({}, {}, {}).step_s;
  const double apart_s = dense_step({}, {.ends_apart = true}, {}).step_s;
  EXPECT_LT(apart_s, even_s);
  EXPECT_GT(apart_s, 0.99 * even_s);
}

TEST(dense_step, hops_that_show_everywhere_cost_more_than_those_that_fill_and_drain) {
  const DenseStep shown = dense_step({}, {}, {.hops_shown = 1.0});
  EXPECT_EQ(shown.fill_and_drain_s, 0.0);
  EXPECT_GT(shown.step_s, dense_step({}, {}, {}).step_s);
}

std::string refusal(const DensePlan& plan, const DenseRates& rates) {
  try {
    dense_step({}, plan, rates);
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::config);
    return error.message();
  }
  return "";
}

TEST(dense_step, plans_and_rates_that_are_none_are_errors) {
  EXPECT_EQ(refusal({}, {.link_bytes_per_s = 0}), "link rate is 0 and has to be above 0");
  EXPECT_EQ(refusal({}, {.data_transfers_shown = 1.5}), "shown share of data transfers is 1.5");
  EXPECT_EQ(refusal({.pipeline = {Schedule::dualpipe, 16, 32}}, {}),
            "dualpipe overlaps transfers of experts, and this model has none");
  DensePlan plan{.ends_apart = true};
  plan.pipeline.chunks_per_rank = 4;
  EXPECT_EQ(refusal(plan, {}), "126 layers do not fill the 62 chunks between first and last");
  plan = {};
  plan.pipeline.micro_batches = 17;
  EXPECT_NE(refusal(plan, {}), "");
}

}  // namespace
}  // namespace chokepoint
