// Operations per token: published figures, and sums done by hand.
#include "harness/claims/op_model.hpp"

#include <gtest/gtest.h>

#include "harness/base/error.hpp"
#include "harness/claims/op_model_functions.hpp"
#include "tests/claims/models.hpp"

namespace chokepoint {
namespace {

constexpr double kTokens = 4096;

// 64 GPUs share 256 experts: 4 on each.
std::vector<ModelOp> v3_training() { return training_ops(v3(), {.expert_ranks = 64}); }

double millions(const std::vector<ModelOp>& ops, const char* name, LayerKind layer = LayerKind::expert) {
  return find_op(ops, name, layer, OpPhase::forward).active_parameters / 1e6;
}

double gflop(const std::vector<ModelOp>& ops, const char* name) {
  return find_op(ops, name, LayerKind::expert, OpPhase::forward).flop_per_token / 1e9;
}

double megabytes(const std::vector<ModelOp>& ops, const char* name) {
  return find_op(ops, name, LayerKind::expert, OpPhase::forward).bytes_per_token * kTokens / 1e6;
}

double train(const char* id, double seq, bool causal, bool mtp) {
  return op_model_value(shipped_model(id), "train_gflop_per_token",
                        {{"seq", seq}, {"causal", causal ? 1.0 : 0.0}, {"mtp", mtp ? 1.0 : 0.0}});
}

// DeepSeek-V3 report: 250 GFLOP per token; NVIDIA's 338 TFLOP/s at 1297 tokens/s are 260.6 with the
// prediction layer.
TEST(op_model, deepseek_v3_needs_250_gflop_per_training_token) {
  EXPECT_NEAR(train("deepseek-v3", 4096, true, false), 250.45, 0.005);
  EXPECT_NEAR(train("deepseek-v3", 4096, false, false), 281.15, 0.005);
  EXPECT_NEAR(train("deepseek-v3", 4096, true, true), 260.64, 0.005);
  EXPECT_NEAR(train("deepseek-v3", 4096, false, true), 291.85, 0.005);
}

TEST(op_model, llama_405b_needs_2473_gflop_at_4096_and_2524_at_8192) {
  EXPECT_NEAR(train("llama-3.1-405b", 4096, true, false), 2473, 0.5);
  EXPECT_NEAR(train("llama-3.1-405b", 8192, true, false), 2524, 0.5);
  EXPECT_NEAR(op_model_value(shipped_model("llama-3.1-405b"), "six_n_gflop_per_token", {}), 2435, 0.5);
}

// The trap: counting scores that causal attention never makes adds 12 %, the prediction layer 4 %.
TEST(op_model, causal_and_prediction_are_told_apart) {
  const double causal = train("deepseek-v3", 4096, true, false);
  EXPECT_NEAR(train("deepseek-v3", 4096, false, false) / causal, 1.123, 0.001);
  EXPECT_NEAR(train("deepseek-v3", 4096, true, true) / causal, 1.041, 0.001);
}

TEST(op_model, deepseek_v3_has_671_billion_parameters_of_which_37_are_active) {
  EXPECT_NEAR(parameters(v3()) / 1e9, 671.03, 0.005);
  EXPECT_NEAR(active_parameters(v3()) / 1e9, 37.55, 0.005);
  EXPECT_NEAR(active_parameters(v3(), false) / 1e9, 36.62, 0.005);
  EXPECT_NEAR((parameters(v3(), true) - parameters(v3())) / 1e9, 11.61,
              0.005);  // of the prediction layer alone
}

TEST(op_model, parameters_of_all_models_are_those_their_files_state) {
  for (const char* id : {"deepseek-v3", "llama-3.1-405b", "llama-3.1-70b", "llama-3.1-8b", "mixtral-8x7b",
                         "qwen3-235b-a22b", "kimi-k2", "gpt-oss-120b"}) {
    const ModelShapes& model = shipped_model(id);
    EXPECT_TRUE(near_relative(parameters(model), model.parameters.value().value, 2e-4)) << id;
    if (model.active_parameters) {
      EXPECT_TRUE(near_relative(active_parameters(model), model.active_parameters->value, 5e-4)) << id;
    }
  }
}

TEST(op_model, every_matrix_of_deepseek_v3_has_its_size) {
  const std::vector<ModelOp> ops = v3_training();
  EXPECT_NEAR(millions(ops, "q_a"), 11.010, 0.001);
  EXPECT_NEAR(millions(ops, "q_b"), 37.749, 0.001);
  EXPECT_NEAR(millions(ops, "kv_a"), 4.129, 0.001);
  EXPECT_NEAR(millions(ops, "kv_b"), 16.777, 0.001);
  EXPECT_NEAR(millions(ops, "o"), 117.441, 0.001);
  EXPECT_NEAR(millions(ops, "router"), 1.835, 0.001);
  EXPECT_NEAR(millions(ops, "shared_gate_up") + millions(ops, "shared_down"), 44.040, 0.001);
  EXPECT_NEAR(millions(ops, "routed_gate_up") + millions(ops, "routed_down"), 8 * 44.040, 0.01);
  EXPECT_NEAR(millions(ops, "gate_up", LayerKind::dense) + millions(ops, "down", LayerKind::dense), 396.36,
              0.01);
  EXPECT_NEAR(millions(ops, "head", LayerKind::ends), 926.68, 0.01);
}

TEST(op_model, every_matrix_of_deepseek_v3_has_its_work) {
  const std::vector<ModelOp> ops = v3_training();
  for (const auto& [name, expected] : {std::pair{"q_a", 0.0220},
                                       {"q_b", 0.0755},
                                       {"kv_a", 0.0083},
                                       {"kv_b", 0.0336},
                                       {"o", 0.2349},
                                       {"router", 0.0037},
                                       {"attention_core", 0.1678}})
    EXPECT_NEAR(gflop(ops, name), expected, 0.00006) << name;
  EXPECT_NEAR(gflop(ops, "routed_gate_up") + gflop(ops, "routed_down") + gflop(ops, "shared_gate_up") +
                  gflop(ops, "shared_down"),
              0.7927, 0.0001);
  EXPECT_NEAR(find_op(ops, "head", LayerKind::ends, OpPhase::forward).flop_per_token / 1e9, 1.8534, 0.0001);
}

TEST(op_model, attention_runs_2_6_times_its_forward_work_backward_and_counts_twice) {
  const std::vector<ModelOp> ops = v3_training();
  const ModelOp& forward = find_op(ops, "attention_core", LayerKind::expert, OpPhase::forward);
  const ModelOp& backward = find_op(ops, "attention_core", LayerKind::expert, OpPhase::backward_input);
  EXPECT_DOUBLE_EQ(backward.flop_per_token / forward.flop_per_token,
                   2.6);  // (3 x 192 + 2 x 128) / (192 + 128)
  EXPECT_DOUBLE_EQ(backward.model_flop_per_token / forward.flop_per_token, 2.0);
}

// One layer, one micro-batch of 4096 tokens, TFLOP: forward, input gradient with recomputation, weight
// gradient.
TEST(op_model, a_layer_of_deepseek_v3_runs_17_3_tflop_per_micro_batch) {
  const std::vector<ModelOp> ops = v3_training();
  const auto tflop = [&](LayerKind layer, OpPhase phase) {
    return layer_flop_per_token(ops, layer, phase) * kTokens / 1e12;
  };
  const auto backward = [&](LayerKind layer) {
    return tflop(layer, OpPhase::backward_input) + tflop(layer, OpPhase::recompute);
  };
  EXPECT_NEAR(tflop(LayerKind::expert, OpPhase::forward), 5.48, 0.005);
  EXPECT_NEAR(backward(LayerKind::expert), 7.03, 0.005);
  EXPECT_NEAR(tflop(LayerKind::expert, OpPhase::backward_weight), 4.795, 0.0005);
  EXPECT_NEAR(tflop(LayerKind::expert, OpPhase::recompute), 0.447, 0.0005);
  EXPECT_NEAR(tflop(LayerKind::dense, OpPhase::forward), 5.47, 0.005);
  EXPECT_NEAR(backward(LayerKind::dense), 7.01, 0.006);
  EXPECT_NEAR(tflop(LayerKind::dense, OpPhase::backward_weight), 4.78, 0.005);
  for (const OpPhase phase : {OpPhase::forward, OpPhase::backward_input, OpPhase::backward_weight})
    EXPECT_NEAR(tflop(LayerKind::ends, phase), 7.59, 0.005);
  const double executed = op_model_value(v3(), "layer_executed_gflop_per_token", {});
  EXPECT_NEAR(executed, 4.225, 0.0005);
  EXPECT_NEAR(executed * kTokens / 1e3, 17.30, 0.01);
}

// Inputs and weights in fp8, outputs in bf16; 32,768 rows and 4 local experts in the routed products.
TEST(op_model, forward_products_of_deepseek_v3_move_their_bytes) {
  const std::vector<ModelOp> ops = v3_training();
  for (const auto& [name, expected] : {std::pair{"q_a", 53},
                                       {"kv_a", 38},
                                       {"q_b", 245},
                                       {"kv_b", 287},
                                       {"o", 243},
                                       {"shared_gate_up", 92},
                                       {"shared_down", 82},
                                       {"routed_gate_up", 621},
                                       {"routed_down", 596},
                                       {"attention_core", 671}})
    EXPECT_NEAR(megabytes(ops, name), expected, 0.5) << name;
  // bf16 in (58.7 + 3.7), f32 out (4.2)
  EXPECT_NEAR(megabytes(ops, "router"), 66.6, 0.05);
}

// A GPU of DeepSeek-V3's run holds two chunks of four layers and 4 of 256 experts of each: 1.409 and 1.864
// billion.
TEST(op_model, a_gpu_of_the_published_run_holds_3_27_billion_parameters) {
  double experts = 0.0, rest = 0.0;
  for (const ModelOp& op : v3_training())
    if (op.layer == LayerKind::expert) (op.name.starts_with("routed_") ? experts : rest) += op.parameters;
  EXPECT_NEAR(2 * 4 * experts / 64 / 1e9, 1.409, 0.0005);
  EXPECT_NEAR(2 * 4 * rest / 1e9, 1.864, 0.0005);
  EXPECT_NEAR(2 * 4 * (experts / 64 + rest) / 1e9, 3.27, 0.005);
}

TEST(op_model, a_token_caches_70272_bytes_in_deepseek_v3_and_516096_in_llama_405b) {
  EXPECT_EQ(kv_bytes_per_token(v3()), 70'272);
  EXPECT_EQ(kv_bytes_per_token(shipped_model("llama-3.1-405b")), 516'096);
  EXPECT_EQ(kv_bytes_per_token(shipped_model("llama-3.1-70b")),
            327'680);  // as Qwen2.5-72B: 80 layers, 8 heads of 128
}

// Per sequence and layer: 2 x 128 heads x context x (576 + 512) FLOP over 576 x 2 bytes per cached token.
TEST(op_model, absorbed_decode_of_deepseek_v3_does_242_flop_per_cached_byte) {
  const auto core = [](double context) {
    return find_op(decode_ops(v3(), {.context = context}), "attention_core", LayerKind::expert,
                   OpPhase::forward);
  };
  EXPECT_NEAR(core(4096).flop_per_token / 1e9, 1.141, 0.0005);
  EXPECT_NEAR(core(4989).flop_per_token / 1e9, 1.390, 0.0005);
  EXPECT_NEAR(core(4096).bytes_per_token / 1e6, 4.72, 0.005);
  EXPECT_NEAR(core(4989).bytes_per_token / 1e6, 5.75, 0.005);
  EXPECT_NEAR(core(4096).flop_per_token / core(4096).bytes_per_token, 241.8, 0.05);
}

TEST(op_model, decode_projections_do_as_much_as_training_ones) {
  const std::vector<ModelOp> ops = decode_ops(v3(), {});
  double sum = 0.0;
  for (const char* name : {"q_a", "q_b", "kv_a", "absorb_k", "absorb_v", "o"}) sum += gflop(ops, name);
  EXPECT_NEAR(sum, 0.374, 0.0005);
  EXPECT_NEAR(find_op(ops, "absorb_k", LayerKind::expert, OpPhase::forward).parameters * 2 / 1e6, 16.8,
              0.05);  // bytes
}

TEST(op_model, windows_cut_what_a_token_attends_to) {
  const ModelShapes& model = shipped_model("gpt-oss-120b");
  const std::vector<ModelOp> ops = prefill_ops(model, {.sequence = 4096});
  const ModelOp& all = find_op(ops, "attention_core", LayerKind::expert, OpPhase::forward);
  const ModelOp& windowed = find_op(ops, "attention_core_windowed", LayerKind::expert, OpPhase::forward);
  EXPECT_EQ(all.count, 18);
  EXPECT_EQ(windowed.count, 18);
  // 128 x (1 - 128 / 8192) tokens against 2048
  EXPECT_NEAR(windowed.flop_per_token / all.flop_per_token, 126.0 / 2048, 1e-12);
  const double cached = find_op(decode_ops(model, {.context = 4096}), "attention_core_windowed",
                                LayerKind::expert, OpPhase::forward)
                            .bytes_per_token;
  EXPECT_EQ(cached, 2 * 8 * 64 * 2 * 128);
}

TEST(op_model, functions_name_what_is_wrong_with_a_question) {
  const auto fault = [](const char* function, const OpModelArguments& arguments,
                        const char* id = "deepseek-v3") {
    try {
      op_model_value(shipped_model(id), function, arguments);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_NE(fault("train_gflop_per_tokn", {}).find("did you mean \"train_gflop_per_token\"?"),
            std::string::npos);
  EXPECT_NE(fault("train_gflop_per_token", {{"sequ", 1}}).find("did you mean \"seq\"?"), std::string::npos);
  EXPECT_NE(
      fault("train_gflop_per_token", {{"seq", 0}}).find("seq is 0, but has to be a whole number from 1"),
      std::string::npos);
  EXPECT_NE(fault("train_gflop_per_token", {{"causal", 2}}).find("causal is 2"), std::string::npos);
  EXPECT_NE(fault("parameters", {{"mtp", 1}}, "mixtral-8x7b").find("predicts no further tokens"),
            std::string::npos);
}

}  // namespace
}  // namespace chokepoint
