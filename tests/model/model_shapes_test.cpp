// Model shapes: shipped values against the models' published sizes, strict decoding.
#include "harness/model/model_shapes.hpp"

#include <gtest/gtest.h>

#include "harness/base/files.hpp"
#include "tests/model/config_help.hpp"
#include "tests/model/shipped_models.hpp"

namespace chokepoint {
namespace {

const ModelShapes& model_of(const std::string& id) { return find_model(shipped_models(), id); }

const Shape& shape_of(const std::string& model, const std::string& operation, const std::string& name) {
  for (const ShapeFragment& fragment : model_of(model).fragments.at(operation))
    if (fragment.name == name) return fragment.shape;
  throw std::string("no such fragment");
}

double weights(const std::string& model, std::initializer_list<const char*> names) {
  double sum = 0;
  for (const char* name : names) {
    const Shape& shape = shape_of(model, "matmul", name);
    sum += static_cast<double>(shape["n"]) * static_cast<double>(shape["k"]);
  }
  return sum;
}

double embedding(const ModelShapes& model) {
  return static_cast<double>(model.vocabulary) * static_cast<double>(model.hidden);
}

TEST(model_shapes, nine_models_are_shipped) {
  std::vector<std::string> ids;
  for (const ModelShapes& model : shipped_models()) ids.push_back(model.id);
  EXPECT_EQ(ids, (std::vector<std::string>{"deepseek-v3", "deepseek-v3-mini", "gpt-oss-120b", "kimi-k2",
                                           "llama-3.1-405b", "llama-3.1-70b", "llama-3.1-8b",
                                           "mixtral-8x7b", "qwen3-235b-a22b"}));
}

// The six N x K of DeepGEMM's table.
TEST(model_shapes, deepseek_v3_has_its_six_matmuls) {
  std::string text;
  for (const ShapeFragment& fragment : model_of("deepseek-v3").fragments.at("matmul"))
    text += fragment.shape.text() + " ";
  EXPECT_EQ(text, "k=7168,n=2112 k=1536,n=24576 k=512,n=32768 k=16384,n=7168 k=7168,n=4096 k=2048,n=7168 ");
}

TEST(model_shapes, deepseek_v3_routes_to_8_of_256_experts_in_4_of_8_groups) {
  EXPECT_EQ(shape_of("deepseek-v3", "moe_layer", "moe").text(),
            "experts=256,group_limit=4,groups=8,hidden=7168,intermediate=2048,routed_scaling_milli=2500,"
            "scoring=sigmoid,"
            "shared_experts=1,top_k=8");
  EXPECT_EQ(shape_of("deepseek-v3", "attention", "decode").text(),
            "heads_kv=1,heads_q=128,mode=decode,qk_dim=576,scale_dim=192,v_dim=512,variant=mla");
  EXPECT_EQ(shape_of("deepseek-v3", "attention", "prefill").text(),
            "causal=1,heads_kv=128,heads_q=128,mode=prefill,qk_dim=192,v_dim=128,variant=mla");
}

// total = layers x attention + dense layers x 3 x hidden x 18432 + other layers x (257 experts + router) + 2
// embeddings.
TEST(model_shapes, deepseek_v3_adds_up_to_671_billion_parameters) {
  const ModelShapes& model = model_of("deepseek-v3");
  const double attention = weights(model.id, {"q_a_kv_a", "q_b", "kv_b", "o"});
  const double expert = weights(model.id, {"expert_gate_up", "expert_down"});
  const double router = 256.0 * 7168, dense = 3.0 * 7168 * 18432;
  const double total = 61 * attention + 3 * dense + 58 * (257 * expert + router) + 2 * embedding(model);
  const double active = 61 * attention + 3 * dense + 58 * (9 * expert + router) + 2 * embedding(model);
  EXPECT_NEAR(total, model.parameters->value, 0.01e9);
  EXPECT_NEAR(model.parameters->value, 671e9, 0.5e9);
  EXPECT_NEAR(active, model.active_parameters->value, 0.01e9);
  EXPECT_EQ(model.layers, 61);
  EXPECT_EQ(model.dense_layers, 3);
}

TEST(model_shapes, llama_and_mixtral_add_up_to_their_names) {
  for (const auto& [id, name] : {std::pair{"llama-3.1-8b", 8e9}, std::pair{"llama-3.1-70b", 70e9},
                                 std::pair{"llama-3.1-405b", 405e9}}) {
    const ModelShapes& model = model_of(id);
    const double total = static_cast<double>(model.layers) * weights(id, {"qkv", "o", "gate_up", "down"}) +
                         2 * embedding(model);
    EXPECT_NEAR(total, model.parameters->value, 0.005e9 + 0.0001 * total) << id;
    EXPECT_NEAR(total, name, 0.01 * name) << id;
    const Shape& mlp = shape_of(id, "tp_block", "mlp");
    EXPECT_EQ(2 * mlp["intermediate"], shape_of(id, "matmul", "gate_up")["n"]);
    EXPECT_EQ(mlp["hidden"], model.hidden);
    EXPECT_EQ(mlp["gated"], 1);
  }
  const ModelShapes& mixtral = model_of("mixtral-8x7b");
  const double attention = weights(mixtral.id, {"qkv", "o"}) + 8 * 4096,
               expert = weights(mixtral.id, {"expert_gate_up", "expert_down"});
  EXPECT_NEAR(32 * (attention + 8 * expert) + 2 * embedding(mixtral), mixtral.parameters->value, 0.01e9);
  EXPECT_NEAR(32 * (attention + 2 * expert) + 2 * embedding(mixtral), mixtral.active_parameters->value,
              0.01e9);
  EXPECT_FALSE(mixtral.parameters->verified);
  EXPECT_FALSE(mixtral.fragments.at("attention")[0].verified);
}

TEST(model_shapes, norms_span_the_residual_stream) {
  for (const std::string id : {"deepseek-v3", "deepseek-v3-mini", "llama-3.1-8b", "llama-3.1-405b"}) {
    const Shape& norm = shape_of(id, "rms_norm", "pre_norm");
    EXPECT_EQ(norm["hidden"], model_of(id).hidden) << id;
    EXPECT_EQ(norm["residual"], 1) << id;
    EXPECT_EQ(norm["epsilon_nano"], id.starts_with("llama") ? 10'000 : 1'000) << id;
  }
}

TEST(model_shapes, the_small_deepseek_keeps_the_ratios_it_claims) {
  const Shape &mini = shape_of("deepseek-v3-mini", "moe_layer", "moe"),
              &full = shape_of("deepseek-v3", "moe_layer", "moe");
  for (const char* field :
       {"intermediate", "top_k", "shared_experts", "groups", "group_limit", "routed_scaling_milli"})
    EXPECT_EQ(mini[field], full[field]) << field;
  EXPECT_EQ(mini.word("scoring"), full.word("scoring"));
  EXPECT_LT(mini["experts"], full["experts"]);
  EXPECT_LT(mini["hidden"], full["hidden"]);
  EXPECT_EQ(mini["experts"] % mini["groups"], 0);
  for (const char* name : {"prefill", "decode"})
    for (const char* field : {"qk_dim", "v_dim"})
      EXPECT_EQ(shape_of("deepseek-v3-mini", "attention", name)[field],
                shape_of("deepseek-v3", "attention", name)[field]);
  const std::int64_t hidden = mini["hidden"];
  EXPECT_EQ(shape_of("deepseek-v3-mini", "matmul", "expert_gate_up").text(),
            "k=" + std::to_string(hidden) + ",n=4096");
  EXPECT_EQ(shape_of("deepseek-v3-mini", "matmul", "expert_down").text(),
            "k=2048,n=" + std::to_string(hidden));
  EXPECT_EQ(model_of("deepseek-v3-mini").kept_ratios.size(), 5U);
}

TEST(model_shapes, matmuls_of_attention_fit_its_heads) {
  for (const ModelShapes& model : shipped_models()) {
    const Shape& prefill = shape_of(model.id, "attention", "prefill");
    const Shape& o = shape_of(model.id, "matmul", "o");
    EXPECT_EQ(o["k"], prefill["heads_q"] * prefill["v_dim"]) << model.id;
    EXPECT_EQ(o["n"], model.hidden) << model.id;
    if (prefill.word("variant") == "gqa")
      EXPECT_EQ(shape_of(model.id, "matmul", "qkv")["n"],
                (prefill["heads_q"] + 2 * prefill["heads_kv"]) * prefill["qk_dim"])
          << model.id;
    else
      EXPECT_EQ(shape_of(model.id, "matmul", "q_b")["n"], prefill["heads_q"] * 192) << model.id;
  }
}

TEST(model_shapes, mistakes_in_a_file_name_line_and_key) {
  const std::string path = shipped_configs() + "/models/llama-3.1-8b.json", text = read_file(path);
  const auto fault = [&](const std::string& from, const std::string& to) {
    return error_of([&] { decode_model(parse_json(with(text, from, to), path)); });
  };
  EXPECT_EQ(fault("x", "x"), "no error");
  EXPECT_TRUE(contains(fault("\"layers\": 32", "\"layers\": 0"), "layers is 0, but has to be at least 1"));
  EXPECT_TRUE(contains(fault("\"dense_layers\": 32", "\"dense_layers\": 33"),
                       "dense_layers is 33, but there are 32 layers"));
  EXPECT_TRUE(contains(fault("\"n\": 6144", "\"n\": -1"),
                       ":18: shapes.matmul[0].shape.n is -1, but has to be at least 0"));
  EXPECT_TRUE(contains(fault("\"n\": 6144", "\"n\": 1.5"), "not a whole number"));
  EXPECT_TRUE(contains(fault("\"name\": \"o\"", "\"name\": \"qkv\""), "is \"qkv\" for the second time"));
  EXPECT_TRUE(contains(fault("{\"n\": 6144, \"k\": 4096}", "{}"), "shapes.matmul[0].shape is empty"));
  EXPECT_TRUE(contains(fault("\"hidden\": 4096", "\"hiden\": 4096"),
                       "hidden is missing; add it (there is \"hiden\")"));
  EXPECT_TRUE(contains(fault("\"id\": \"llama-3.1-8b\"", "\"id\": \"llama\""),
                       "but the file is called llama-3.1-8b"));
  EXPECT_TRUE(contains(error_of([] { model_of("deepseek-v4"); }), "did you mean \"deepseek-v3\"?"));
}

TEST(model_shapes, damaged_files_give_an_error_or_a_model_never_a_crash) {
  for (const ModelShapes& model : shipped_models()) {
    const int rejected =
        rejected_mutations(read_json(model.path), 500, [](const JsonFile& file) { decode_model(file); });
    EXPECT_GT(rejected, 100) << model.id;
    EXPECT_LT(rejected, 500) << model.id;
  }
}

}  // namespace
}  // namespace chokepoint
