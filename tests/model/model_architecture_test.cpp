// Architectures of models: shipped ones agree with their own fragments, mistakes name line and key.
#include "harness/model/model_architecture.hpp"

#include <gtest/gtest.h>

#include "harness/base/files.hpp"
#include "harness/model/model_shapes.hpp"
#include "tests/model/config_help.hpp"
#include "tests/model/shipped_models.hpp"

namespace chokepoint {
namespace {

const Shape* fragment(const ModelShapes& model, const std::string& operation, const std::string& name) {
  if (!model.fragments.contains(operation)) return nullptr;
  for (const ShapeFragment& entry : model.fragments.at(operation))
    if (entry.name == name) return &entry.shape;
  return nullptr;
}

TEST(model_architecture, every_shipped_model_says_what_it_is_built_of) {
  for (const ModelShapes& model : shipped_models()) EXPECT_TRUE(model.architecture.has_value()) << model.id;
}

TEST(model_architecture, attention_agrees_with_the_fragments) {
  for (const ModelShapes& model : shipped_models()) {
    const AttentionArchitecture& attention = model.architecture.value().attention;
    const Shape& prefill = *fragment(model, "attention", "prefill");
    EXPECT_EQ(prefill["heads_q"], attention.heads) << model.id;
    EXPECT_EQ(prefill["heads_kv"], attention.heads_kv) << model.id;
    EXPECT_EQ(prefill["qk_dim"], attention.qk_dim()) << model.id;
    EXPECT_EQ(prefill["v_dim"], attention.v_dim) << model.id;
    EXPECT_EQ(prefill.word("variant") == "mla", attention.kind == AttentionKind::latent) << model.id;
    if (attention.kind != AttentionKind::latent) continue;
    const Shape& decode = *fragment(model, "attention", "decode");
    EXPECT_EQ(decode["qk_dim"], attention.kv_rank + attention.rope_dim) << model.id;
    EXPECT_EQ(decode["v_dim"], attention.kv_rank) << model.id;
    EXPECT_EQ((*fragment(model, "matmul", "q_a_kv_a"))["n"],
              attention.q_rank + attention.kv_rank + attention.rope_dim);
    EXPECT_EQ((*fragment(model, "matmul", "q_b"))["k"], attention.q_rank) << model.id;
  }
}

TEST(model_architecture, experts_agree_with_the_fragments) {
  for (const ModelShapes& model : shipped_models()) {
    const Shape* moe = fragment(model, "moe_layer", "moe");
    const auto& experts = model.architecture.value().experts;
    ASSERT_EQ(moe != nullptr, experts.has_value()) << model.id;
    if (!experts) continue;
    EXPECT_EQ((*moe)["experts"], experts->count) << model.id;
    EXPECT_EQ((*moe)["top_k"], experts->top_k) << model.id;
    EXPECT_EQ((*moe)["intermediate"], experts->intermediate) << model.id;
    EXPECT_EQ((*moe)["shared_experts"], experts->shared) << model.id;
    EXPECT_EQ((*moe)["groups"], experts->groups) << model.id;
    EXPECT_EQ((*moe)["group_limit"], experts->group_limit) << model.id;
  }
}

TEST(model_architecture, figures_nobody_could_check_are_named) {
  EXPECT_EQ(unverified_figures(find_model(shipped_models(), "mixtral-8x7b").architecture.value()),
            std::vector<std::string>{"linear.dtype"});
  EXPECT_TRUE(unverified_figures(find_model(shipped_models(), "deepseek-v3").architecture.value()).empty());
}

TEST(model_architecture, mistakes_name_line_and_key) {
  const auto fault = [](const std::string& id, const std::string& from, const std::string& to) {
    const std::string path = shipped_configs() + "/models/" + id + ".json";
    return error_of([&] { decode_model(parse_json(with(read_file(path), from, to), path)); });
  };
  EXPECT_EQ(fault("deepseek-v3", "x", "x"), "no error");
  EXPECT_TRUE(contains(fault("deepseek-v3", "\"kind\": \"latent\"", "\"kind\": \"latest\""),
                       "did you mean \"latent\"?"));
  EXPECT_TRUE(contains(fault("deepseek-v3", "\"kv_rank\": 512", "\"kv_rank\": 0"),
                       "architecture.attention.kv_rank is 0, but has to be from 1 to"));
  EXPECT_TRUE(contains(fault("deepseek-v3", "\"kv_rank\": 512, ", ""), "kv_rank is missing"));
  EXPECT_TRUE(contains(fault("deepseek-v3", "\"top_k\": 8", "\"top_k\": 300"),
                       "top_k is 300, but has to be from 1 to 256"));
  EXPECT_TRUE(contains(fault("deepseek-v3", "\"group_limit\": 4", "\"group_limit\": 9"), "group_limit is 9"));
  EXPECT_TRUE(contains(fault("deepseek-v3", "\"groups\": 8", "\"groups\": 7"),
                       "groups is 7, which does not divide 256 experts"));
  EXPECT_TRUE(contains(fault("deepseek-v3", "\"dense_layers\": 3", "\"dense_layers\": 0"),
                       "dense is there, but 0 layers"));
  EXPECT_TRUE(contains(fault("llama-3.1-8b", "\"dense_layers\": 32", "\"dense_layers\": 31"),
                       "experts is missing, but 1 layers"));
  EXPECT_TRUE(
      contains(fault("llama-3.1-8b", "\"heads_kv\": 8, \"head_dim\"", "\"heads_kv\": 5, \"head_dim\""),
               "heads_kv is 5, which does not divide 32 heads"));
  EXPECT_TRUE(contains(fault("mixtral-8x7b", "\"unverified\": [\"dtype\"]", "\"unverified\": [\"dtipe\"]"),
                       "names \"dtipe\", which is no figure of this part; did you mean \"dtype\"?"));
  EXPECT_TRUE(
      contains(fault("deepseek-v3", "\"dtype\": \"fp8_e4m3\"", "\"dtype\": \"fp4\""), "dtype is \"fp4\""));
}

}  // namespace
}  // namespace chokepoint
