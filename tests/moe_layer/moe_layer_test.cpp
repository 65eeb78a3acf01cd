// Is the problem what its definition says: inputs, chosen experts, reference, work, refusals?
#include "kernels/moe_layer/moe_layer.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "tests/kernels/check.hpp"

namespace chokepoint::moe {
namespace {

const Operation& operation() { return find_operation("moe_layer"); }

std::unique_ptr<Problem> make(const std::string& shape, Dtype dtype, const InputSpec& input = {}) {
  return operation().make(complete_shape(operation(), parse_shape(shape)), dtype, input);
}

std::vector<double> full_reference(const Problem& problem) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(problem.output_rows()));
  std::iota(rows.begin(), rows.end(), 0);
  return problem.reference(rows);
}

// ---- A second reference: straight from the arrays by role, as a numpy user would write it ----

struct Arrays {
  std::map<std::string, const Tensor*> by_role;
  explicit Arrays(const Problem& problem) {
    for (const Tensor* tensor : problem.inputs()) by_role[tensor->role()] = tensor;
  }
  bool has(const std::string& role) const { return by_role.contains(role); }
  // Element of a stack of matrices, with the block scale where there is one.
  double at(const std::string& role, std::int64_t index, std::int64_t row, std::int64_t col,
            std::int64_t rows, std::int64_t cols) const {
    const double value = by_role.at(role)->at((index * rows + row) * cols + col);
    if (!has(role + "_scale")) return value;
    const std::int64_t row_blocks = (rows + 127) / 128, col_blocks = (cols + 127) / 128;
    return value * by_role.at(role + "_scale")->at((index * row_blocks + row / 128) * col_blocks + col / 128);
  }
};

std::vector<double> q(std::vector<double> values) {
  for (std::size_t begin = 0; begin < values.size(); begin += 128) {
    const std::size_t end = std::min(values.size(), begin + 128);
    float largest = 1e-4F;
    for (std::size_t i = begin; i < end; ++i)
      largest = std::max(largest, std::abs(static_cast<float>(values[i])));
    const float scale = largest / 448.0F;
    for (std::size_t i = begin; i < end; ++i)
      values[i] = float_from_fp8_e4m3(fp8_e4m3_from_float(static_cast<float>(values[i]) / scale)) *
                  static_cast<double>(scale);
  }
  return values;
}

std::vector<double> mlp(const Arrays& arrays, const std::string& up, const std::string& down,
                        std::int64_t index, std::int64_t width, std::vector<double> x, bool fp8) {
  const auto hidden = std::ssize(x);
  if (fp8) x = q(x);
  std::vector<double> h;
  for (std::int64_t i = 0; i < width; ++i) {
    double gate = 0, linear = 0;
    for (std::int64_t j = 0; j < hidden; ++j) {
      gate += arrays.at(up, index, i, j, 2 * width, hidden) * x[static_cast<std::size_t>(j)];
      linear += arrays.at(up, index, width + i, j, 2 * width, hidden) * x[static_cast<std::size_t>(j)];
    }
    h.push_back(gate / (1 + std::exp(-gate)) * linear);
  }
  if (fp8) h = q(h);
  std::vector<double> y(x.size(), 0.0);
  for (std::int64_t j = 0; j < hidden; ++j)
    for (std::int64_t i = 0; i < width; ++i)
      y[static_cast<std::size_t>(j)] +=
          arrays.at(down, index, j, i, hidden, width) * h[static_cast<std::size_t>(i)];
  return y;
}

std::vector<double> plain_layer(const Problem& problem, const Shape& shape, bool fp8) {
  const Arrays arrays(problem);
  const std::vector<Tensor> extras = problem.extras();
  const std::int64_t tokens = shape["tokens"], hidden = shape["hidden"], experts = shape["experts"],
                     top_k = shape["top_k"];
  const std::int64_t local = experts / shape["ep"], width = shape["intermediate"];
  std::vector<double> output;
  for (std::int64_t token = 0; token < tokens; ++token) {
    std::vector<double> x, scores, sum(static_cast<std::size_t>(hidden), 0.0);
    for (std::int64_t j = 0; j < hidden; ++j) x.push_back(arrays.by_role.at("x")->at(token * hidden + j));
    double total = 0, chosen = 0;
    for (std::int64_t e = 0; e < experts; ++e) {
      double logit = 0;
      for (std::int64_t j = 0; j < hidden; ++j)
        logit += arrays.by_role.at("gate_weight")->at(e * hidden + j) * x[static_cast<std::size_t>(j)];
      scores.push_back(shape.word("scoring") == "sigmoid" ? 1 / (1 + std::exp(-logit)) : std::exp(logit));
      total += scores.back();
    }
    if (shape.word("scoring") == "softmax")
      for (double& score : scores) score /= total;
    for (std::int64_t k = 0; k < top_k; ++k)
      chosen += scores[static_cast<std::size_t>(extras[0].at(token * top_k + k))];
    for (std::int64_t k = 0; k < top_k; ++k) {
      const auto expert = static_cast<std::int64_t>(extras[0].at(token * top_k + k));
      const double weight = scores[static_cast<std::size_t>(expert)] / chosen *
                            static_cast<double>(shape["routed_scaling_milli"]) / 1000;
      EXPECT_NEAR(extras[1].at(token * top_k + k), weight, 1e-6);
      const std::vector<double> y = mlp(arrays, "w_gate_up", "w_down", expert % local, width, x, fp8);
      for (std::size_t j = 0; j < sum.size(); ++j) sum[j] += weight * y[j];
    }
    if (arrays.has("shared_down")) {
      const std::vector<double> y =
          mlp(arrays, "shared_gate_up", "shared_down", 0, shape["shared_experts"] * width, x, fp8);
      for (std::size_t j = 0; j < sum.size(); ++j) sum[j] += y[j];
    }
    output.insert(output.end(), sum.begin(), sum.end());
  }
  return output;
}

TEST(moe_layer, the_reference_is_the_definition_written_out) {
  for (const char* text :
       {"tokens=3,hidden=10,intermediate=6,experts=4,top_k=2",
        "tokens=2,hidden=140,intermediate=130,experts=4,top_k=3,ep=2,shared_experts=2,routing=random",
        "tokens=5,hidden=9,intermediate=7,experts=8,top_k=4,ep=8,node_size=2,groups=4,group_limit=2,"
        "scoring=sigmoid,routing=random,routed_scaling_milli=2500,shared_experts=1"}) {
    const Shape shape = complete_shape(operation(), parse_shape(text));
    for (Dtype dtype : operation().dtypes) {
      SCOPED_TRACE(std::string(text) + " " + std::string(to_string(dtype)));
      const auto problem = operation().make(shape, dtype, {});
      const std::vector<double> expected = plain_layer(*problem, shape, dtype == Dtype::fp8_e4m3);
      const std::vector<double> reference = full_reference(*problem);
      ASSERT_EQ(reference.size(), expected.size());
      for (std::size_t i = 0; i < reference.size(); ++i) ASSERT_NEAR(reference[i], expected[i], 1e-9) << i;
    }
  }
}

TEST(moe_layer, one_row_of_the_reference_is_that_row_of_all) {
  const auto problem = make("tokens=7,hidden=12,intermediate=5,experts=4,top_k=2,ep=2", Dtype::bf16);
  const std::vector<double> all = full_reference(*problem);
  const std::int64_t rows[] = {5, 2};
  const std::vector<double> some = problem->reference(rows);
  ASSERT_EQ(some.size(), 24U);
  for (std::size_t i = 0; i < 12; ++i) {
    EXPECT_NEAR(some[i], all[5 * 12 + i], 1e-12);
    EXPECT_NEAR(some[12 + i], all[2 * 12 + i], 1e-12);
  }
}

TEST(moe_layer, the_gates_choice_is_the_top_k_and_clear) {
  for (const char* scoring : {"softmax", "sigmoid"}) {
    const Shape shape = complete_shape(
        operation(),
        parse_shape(std::string("tokens=300,hidden=24,intermediate=2,experts=64,top_k=8,groups=8,"
                                "group_limit=4,routing=random,scoring=") +
                    scoring));
    const auto problem = operation().make(shape, Dtype::f32, {.seed = 5});
    const Arrays arrays(*problem);
    const std::vector<Tensor> extras = problem->extras();
    GateRule rule{.scoring = std::string(scoring) == "sigmoid" ? Scoring::sigmoid : Scoring::softmax,
                  .experts = 64,
                  .top_k = 8,
                  .groups = 8,
                  .group_limit = 4};
    for (std::int64_t token = 0; token < 300; ++token) {
      std::vector<double> logits(64), selection(64);
      for (std::int64_t e = 0; e < 64; ++e)
        for (std::int64_t j = 0; j < 24; ++j)
          logits[static_cast<std::size_t>(e)] +=
              arrays.by_role.at("gate_weight")->at(e * 24 + j) * arrays.by_role.at("x")->at(token * 24 + j);
      gate_scores<double>(rule, logits, selection);
      for (std::size_t e = 0; e < 64 && arrays.has("gate_bias"); ++e)
        selection[e] += arrays.by_role.at("gate_bias")->at(static_cast<std::int64_t>(e));
      std::vector<std::int32_t> ids(8);
      choose<double>(rule, selection, ids);
      for (std::int64_t k = 0; k < 8; ++k)
        ASSERT_EQ(extras[0].at(token * 8 + k), ids[static_cast<std::size_t>(k)]);
      ASSERT_GE(choice_margin<double>(rule, selection), kClearMargin) << "token " << token;
    }
  }
}

TEST(moe_layer, inputs_of_zeros_choose_the_first_experts) {
  const auto problem = make("tokens=3,hidden=8,intermediate=4,experts=8,top_k=2,routing=random", Dtype::f32,
                            {.seed = 1, .distribution = "zeros"});
  const Tensor ids = problem->extras()[0];
  EXPECT_EQ(ids.at(4), 0);
  EXPECT_EQ(ids.at(5), 1);
}

TEST(moe_layer, seeds_change_the_inputs_and_leave_imposed_choices) {
  const std::string shape = "tokens=16,hidden=8,intermediate=4,experts=8,top_k=2";
  const auto a = make(shape, Dtype::f32, {.seed = 1}), b = make(shape, Dtype::f32, {.seed = 2});
  EXPECT_NE(a->inputs()[0]->at(0), b->inputs()[0]->at(0));
  for (std::int64_t i = 0; i < 32; ++i) EXPECT_EQ(a->extras()[0].at(i), b->extras()[0].at(i));
  const auto c = make(shape + ",routing=random", Dtype::f32, {.seed = 1});
  const auto d = make(shape + ",routing=random", Dtype::f32, {.seed = 2});
  int differ = 0;
  for (std::int64_t i = 0; i < 32; ++i) differ += c->extras()[0].at(i) != d->extras()[0].at(i) ? 1 : 0;
  EXPECT_GT(differ, 4);
}

TEST(moe_layer, clones_have_the_same_values_elsewhere) {
  const auto problem =
      make("tokens=4,hidden=8,intermediate=4,experts=4,top_k=2,shared_experts=1", Dtype::fp8_e4m3);
  const auto clone = problem->clone();
  EXPECT_NE(problem->inputs()[0]->data(), clone->inputs()[0]->data());
  EXPECT_EQ(full_reference(*problem), full_reference(*clone));
  EXPECT_EQ(problem->inputs().size(), 10U);  // x, gate_weight, four weights with scales
}

// ---- Work, by hand ----

Work work(const std::string& shape, Dtype dtype) {
  return operation().work(complete_shape(operation(), parse_shape(shape)), dtype);
}

TEST(moe_layer, work_of_one_rank_is_counted_by_hand) {
  // Every token uses all 4 experts. Gate 2*3*4*8 = 192; routed 6*8*5*(3*4) = 2880; shared 6*8*10*3 = 1440.
  const Work f32 = work("tokens=3,hidden=8,intermediate=5,experts=4,top_k=4,shared_experts=2", Dtype::f32);
  EXPECT_EQ(f32.flop, 192 + 2880 + 1440);
  // x 96, output 96, gate 128, experts 4 * 3*8*5*4 = 1920, shared 3*8*10*4 = 960 bytes.
  EXPECT_EQ(f32.memory_bytes, 96 + 96 + 128 + 1920 + 960);
  EXPECT_EQ(f32.link_bytes + f32.network_bytes + f32.link_messages + f32.network_messages, 0);
  EXPECT_EQ(f32.tokens, 3);
  // fp8: x and output in bf16 48 each, gate in bf16 64; each matrix has one 4-byte scale.
  const Work fp8 =
      work("tokens=3,hidden=8,intermediate=5,experts=4,top_k=4,shared_experts=2", Dtype::fp8_e4m3);
  EXPECT_EQ(fp8.flop, f32.flop);
  EXPECT_EQ(fp8.memory_bytes, 48 + 48 + 64 + 4 * (3 * 8 * 5 + 2 * 4) + (3 * 8 * 10 + 2 * 4));
}

TEST(moe_layer, work_on_wires_is_counted_by_hand) {
  // All 4 experts, one per rank, two nodes of 2: ranks 1 and 3 over the link, node 1 over the network, each
  // token.
  const std::string shape = "tokens=5,hidden=130,intermediate=6,experts=4,top_k=4,ep=4,node_size=2";
  const Work bf16 = work(shape, Dtype::bf16);
  EXPECT_EQ(bf16.link_bytes, 5 * 2 * (260 + 260));
  EXPECT_EQ(bf16.network_bytes, 5 * 1 * (260 + 260));
  EXPECT_EQ(bf16.link_messages, 2);
  EXPECT_EQ(bf16.network_messages, 2);
  // x, output, gate, the one local expert, and 15 wire rows of dispatch and combine read and written.
  EXPECT_EQ(bf16.memory_bytes, 2 * 5 * 260 + 4 * 260 + 2 * 3 * 130 * 6 + 2 * 15 * 520);
  const Work fp8 = work(shape, Dtype::fp8_e4m3);
  EXPECT_EQ(fp8.link_bytes, 5 * 2 * (130 + 2 * 4 + 260));  // two scales per row
  const Work f32 = work(shape, Dtype::f32);
  EXPECT_EQ(f32.network_bytes, 5 * (520 + 520));
}

TEST(moe_layer, micro_batches_read_weights_twice_and_send_twice_as_often) {
  const std::string shape = "tokens=5,hidden=16,intermediate=6,experts=4,top_k=4,ep=4,shared_experts=1";
  const Work one = work(shape, Dtype::f32), two = work(shape + ",overlap=1", Dtype::f32);
  EXPECT_EQ(two.flop, one.flop);
  EXPECT_EQ(two.link_bytes, one.link_bytes);
  EXPECT_EQ(two.link_messages, 2 * one.link_messages);
  EXPECT_EQ(two.memory_bytes - one.memory_bytes,
            4 * 4 * 16 + 2 * 4 * 3 * 16 * 6);  // gate, one local and one shared
  EXPECT_EQ(work(shape + ",overlap=1,routing=random", Dtype::f32).tokens, 5);
}

TEST(moe_layer, experts_without_rows_are_not_read) {
  // One token, top-1 of 8: one expert of 3*8*4*4 bytes.
  EXPECT_EQ(work("tokens=1,hidden=8,intermediate=4,experts=8,top_k=1", Dtype::f32).memory_bytes,
            2 * 32 + 8 * 32 + 3 * 8 * 4 * 4);
}

TEST(moe_layer, work_without_inputs_equals_that_of_the_problem) {
  for (const char* routing : {"balanced", "random", "zipf", "trace"})
    for (const char* rest : {"", ",overlap=1,scoring=sigmoid,groups=4,group_limit=2"}) {
      const std::string shape =
          "tokens=37,hidden=20,intermediate=6,experts=16,top_k=4,ep=8,node_size=4,routing=" +
          std::string(routing) + rest;
      for (Dtype dtype : operation().dtypes) {
        const Work planned = work(shape, dtype), made = make(shape, dtype)->work();
        EXPECT_EQ(planned.flop, made.flop);
        EXPECT_EQ(planned.memory_bytes, made.memory_bytes);
        EXPECT_EQ(planned.link_bytes, made.link_bytes);
        EXPECT_EQ(planned.network_bytes, made.network_bytes);
        EXPECT_GT(made.network_bytes, 0);
      }
    }
}

// reference/claims: T * 4 nodes * 7/8 rows of 7392 B (fp8) and 14336 B (bf16) leave over the network per
// layer.
TEST(moe_layer, deepseek_v3_sends_what_its_report_says) {
  const Work v3 = work(
      "tokens=512,hidden=7168,intermediate=2048,experts=256,top_k=8,shared_experts=1,ep=64,groups=8,"
      "group_limit=4,scoring=sigmoid,routing=balanced",
      Dtype::fp8_e4m3);
  EXPECT_NEAR(v3.network_bytes / (512 * 4 * 7.0 / 8 * (7392 + 14336)), 1.0, 0.03);
  EXPECT_NEAR(v3.link_bytes / (512 * 4 * 1.903 * 7.0 / 8 * (7392 + 14336)), 1.0, 0.03);
  // 0.7927 GFLOP of experts and 0.0037 of gate per token (technical report, section 2.1.2).
  EXPECT_NEAR(v3.flop / 512 / 1e9, 0.7927 + 0.0037, 1e-4);
}

// ---- Refusals ----

std::string refusal(const std::string& change) {
  Shape shape = parse_shape("tokens=4,hidden=8,intermediate=4,experts=8,top_k=2");
  const Shape changes = parse_shape(change);
  for (const auto& [field, value] : changes.values()) shape.set(field, value);
  return error_text([&] { complete_shape(operation(), shape); });
}

TEST(moe_layer, shapes_that_do_not_go_together_are_refused) {
  EXPECT_EQ(refusal("top_k=9"), "top_k is 9 but there are 8 experts; lower top_k or add experts");
  // Counting the work lists every choice: that must not take more memory than a machine has.
  EXPECT_NE(refusal("tokens=2147483648").find("above the limit of 268435456 choices"), std::string::npos);
  EXPECT_NE(refusal("hidden=2147483648").find("hidden is 2147483648, outside 1 to 1048576"), std::string::npos);
  EXPECT_NE(refusal("ep=3").find("ep is 3, which does not divide 8 experts"), std::string::npos);
  EXPECT_NE(refusal("experts=24,ep=12").find("node_size is 8, which does not divide ep 12"),
            std::string::npos);
  EXPECT_EQ(refusal("ep=4,node_size=3").find("node_size is 3, which does not divide ep 4"), 0U);
  EXPECT_EQ(refusal("ep=2,node_size=3"), "no error");  // one node that is not full
  EXPECT_NE(refusal("groups=3").find("groups is 3, which does not divide 8 experts"), std::string::npos);
  EXPECT_NE(refusal("groups=4,group_limit=5").find("group_limit is 5 but there are 4 groups"),
            std::string::npos);
  EXPECT_NE(refusal("groups=8,group_limit=1").find("top_k is 2 but 1 groups of 1 experts hold 1"),
            std::string::npos);
  EXPECT_NE(refusal("tokens=0").find("tokens is 0"), std::string::npos);
  EXPECT_NE(refusal("overlap=2").find("overlap is 2"), std::string::npos);
  EXPECT_NE(refusal("scoring=sigmod").find("did you mean \"sigmoid\""), std::string::npos);
  EXPECT_NE(refusal("experts=6,routing=trace").find("which 6 experts do not divide"), std::string::npos);
  EXPECT_EQ(refusal("routing=trace"), "no error");
}

TEST(moe_layer, group_limit_falls_back_to_all_groups) {
  const Shape shape =
      complete_shape(operation(), parse_shape("tokens=4,hidden=8,intermediate=4,experts=8,top_k=2,groups=4"));
  EXPECT_EQ(shape["group_limit"], 4);
  EXPECT_EQ(shape["shared_experts"], 0);
  EXPECT_EQ(shape.word("routing"), "balanced");
}

TEST(moe_layer, a_missing_trace_is_named) {
  ::setenv("CHOKEPOINT_CONFIGS", "/nowhere", 1);
  EXPECT_NE(refusal("routing=trace").find("cannot read /nowhere/traces/default.json"), std::string::npos);
  ::unsetenv("CHOKEPOINT_CONFIGS");
}

}  // namespace
}  // namespace chokepoint::moe
