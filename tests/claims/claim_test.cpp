// Files of claims: what is refused, and that the refusal names file, line and key.
#include "harness/claims/claim.hpp"

#include <set>

#include "tests/claims/claims_help.hpp"
#include "tests/model/config_help.hpp"

namespace chokepoint {
namespace {

// `changed` refuses with all of these words.
void expect_refused(const Json& changed, std::initializer_list<const char*> words) {
  const std::string text = refusal(changed);
  EXPECT_EQ(text.rfind("test.json:", 0), 0U) << text;
  for (const char* word : words) EXPECT_NE(text.find(word), std::string::npos) << "\"" << word << "\" in: " << text;
}

Json with_assumption(Json assumption) {
  Json claim = valid_claim();
  claim["model"] = {{"kind", "train_step"}};
  claim["hardware"] = "h800-sxm";
  claim["assumptions"] = Json::array({std::move(assumption)});
  return claim;
}

TEST(claim, a_valid_file_is_read_as_it_says) {
  const Claim claim = decoded(valid_claim());
  EXPECT_EQ(claim.id, "test.apples");
  EXPECT_EQ(claim.quantity.values, std::vector<double>{42.0});
  EXPECT_FALSE(claim.quantity.is_lower_better);
  EXPECT_TRUE(claim.source.is_primary);
  EXPECT_EQ(claim.let.at("each"), 7.0);
  EXPECT_DOUBLE_EQ(claim.tolerance_of(0), 0.01);
}

TEST(claim, an_unknown_key_is_refused_with_the_nearest_known_one) {
  Json claim = valid_claim();
  claim["tolerence"] = 1;
  expect_refused(claim, {"claims[0].tolerence", "unknown key", "tolerance"});
  claim = valid_claim();
  claim["model"]["exprs"] = "1";
  expect_refused(claim, {"model.exprs", "expr"});
  claim = valid_claim();
  claim["system"] = {{"gpu", 8}};
  expect_refused(claim, {"system.gpu", "gpus"});
}

TEST(claim, a_missing_or_unreadable_unit_is_refused) {
  Json claim = valid_claim();
  claim["quantity"].erase("unit");
  expect_refused(claim, {"quantity.unit", "missing"});
  for (const char* unit : {"", "GB/S", "TFLOPS", "Gb/s", "apples"}) {
    claim["quantity"]["unit"] = unit;
    expect_refused(claim, {"quantity.unit"});
  }
}

TEST(claim, wrong_types_are_refused) {
  const std::vector<std::pair<const char*, Json>> wrong = {{"/quantity/value", "42"},
                                                           {"/quantity/value", Json::array()},
                                                           {"/quantity/value", Json::array({1, "2"})},
                                                           {"/quantity/value", -42},
                                                           {"/quantity/value", nullptr},
                                                           {"/tier", 0},
                                                           {"/tier", "T9"},
                                                           {"/quantity/better", "more"},
                                                           {"/source/grade", "tertiary"},
                                                           {"/tolerance/rel", 0},
                                                           {"/tolerance", 0.1},
                                                           {"/model/kind", "arithmetic"},
                                                           {"/id", "two words"},
                                                           {"/statement", ""},
                                                           {"/caveats", "one"},
                                                           {"/inputs", Json::array({1})}};
  for (const auto& [place, value] : wrong) {
    Json claim = valid_claim();
    claim[Json::json_pointer(place)] = value;
    expect_refused(claim, {"claims[0]"});
  }
}

TEST(claim, a_count_beyond_anything_is_refused) {
  Json claim = valid_claim();
  claim["system"] = {{"gpus", 1e300}};
  expect_refused(claim, {"system.gpus", "more than there is of anything"});
}

TEST(claim, let_has_to_be_literal) {
  Json claim = valid_claim();
  claim["model"]["let"]["each"] = "3+4";
  expect_refused(claim, {"let.each", "literal"});
}

TEST(claim, an_expression_that_cannot_be_evaluated_is_refused_with_its_place) {
  Json claim = valid_claim();
  claim["model"]["expr"] = "trees/(each-7)";
  expect_refused(claim, {"test.json", "model.expr", "divides by zero", "position 6"});
  claim["model"]["expr"] = "trees*eahc";
  expect_refused(claim, {"model.expr", "\"eahc\"", "position 7", "add it to let; did you mean \"each\""});
  claim["model"].erase("expr");
  expect_refused(claim, {"model.expr", "missing"});
}

TEST(claim, rows_and_tolerances_have_to_be_as_many_as_values) {
  Json claim = valid_claim();
  claim["quantity"]["value"] = {1, 2};
  claim["tolerance"]["per_row"] = {0.1};
  expect_refused(claim, {"tolerance.per_row", "1 tolerances for 2 values"});
  claim["tolerance"].erase("per_row");
  claim["quantity"]["rows"] = {"a"};
  expect_refused(claim, {"quantity.rows", "1 names for 2 values"});
  claim["quantity"]["rows"] = {"a", "a"};
  expect_refused(claim, {"quantity.rows"});
}

TEST(claim, assumptions_out_of_order_or_without_a_basis_are_refused) {
  const auto assumption = [](double value, double lo, double hi, const char* basis) {
    return Json{{"key", "expert_imbalance"}, {"value", value}, {"lo", lo}, {"hi", hi}, {"basis", basis}};
  };
  expect_refused(with_assumption(assumption(1.1, 1.2, 1.0, "prior")), {"assumptions[0].lo", "above hi"});
  expect_refused(with_assumption(assumption(2.0, 1.0, 1.2, "prior")), {"assumptions[0].value", "outside"});
  expect_refused(with_assumption(assumption(1.1, 0.0, 1.2, "prior")), {"assumptions[0].lo"});
  expect_refused(with_assumption(assumption(1.1, 1.0, 1.2, "guess")), {"assumptions[0].basis", "prior"});
  EXPECT_EQ(refusal(with_assumption(assumption(1.1, 1.0, 1.2, "prior"))), "nothing was refused");
  Json arithmetic = valid_claim();
  arithmetic["assumptions"] = Json::array({assumption(1.1, 1.0, 1.2, "prior")});
  expect_refused(arithmetic, {"assumptions[0].key", "nothing is assumed in a derivation of kind arith"});
}

TEST(claim, the_line_of_the_mistake_is_named) {
  const std::string text = "{\"schema\": \"claims/1\",\n\"claims\": [\n{\"id\": \"a\",\n\"tier\": \"T7\"}]}";
  try {
    decode_claims(parse_json(text, "x.json"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.message().rfind("x.json:4:", 0), 0U) << error.what();
  }
}

TEST(claim, another_schema_and_an_id_used_twice_are_refused) {
  EXPECT_THROW(decode_claims(parse_json(R"({"schema": "claims/2", "claims": []})", "x.json")), Error);
  const Json twice = {{"schema", "claims/1"}, {"claims", Json::array({valid_claim(), valid_claim()})}};
  try {
    decode_claims(parse_json(twice.dump(), "x.json"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(error.message().find("claims[1].id"), std::string::npos) << error.what();
  }
}

TEST(claim, all_shipped_claims_are_read_and_every_assumption_says_where_it_is_from) {
  const std::vector<Claim> claims = load_claims(kConfigs);
  EXPECT_GE(claims.size(), 21U);
  for (const Claim& claim : claims)
    for (const Assumption& assumption : claim.assumptions) EXPECT_FALSE(assumption.source.empty()) << claim.id;
}

TEST(claim, mutated_files_are_read_or_refused_with_a_remedy) {
  int rejected = 0;
  for (const Claim& claim : load_claims(kConfigs))
    if (claim.pointer == "/claims/0") rejected += rejected_mutations(*claim.file, 150, decode_claims);
  EXPECT_GT(rejected, 500);
}

}  // namespace
}  // namespace chokepoint
