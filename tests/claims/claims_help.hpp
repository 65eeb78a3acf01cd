// What do tests of claims share? A claim that is valid, as text to be changed, and whatever came of it.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "harness/base/error.hpp"
#include "harness/base/json.hpp"
#include "harness/claims/outcome.hpp"

namespace chokepoint {

inline const std::string kConfigs = CHOKEPOINT_SOURCE_DIR "/configs";

// One claim of kind arith: 6 * 7 apples.
inline Json valid_claim() {
  return Json::parse(R"({"id": "test.apples", "tier": "T0", "statement": "Six trees of seven apples are 42 apples",
    "quantity": {"name": "apples", "unit": "1", "value": 42, "better": "higher"},
    "source": {"cite": "a test", "url": "none", "grade": "primary"},
    "model": {"kind": "arith", "expr": "trees*each", "let": {"trees": 6, "each": 7}},
    "tolerance": {"rel": 0.01}})");
}

inline std::string file_text(const Json& claim) {
  return Json{{"schema", "claims/1"}, {"claims", Json::array({claim})}}.dump(1);
}

inline Claim decoded(const Json& claim) { return decode_claims(parse_json(file_text(claim), "test.json")).front(); }

// "test.json:7: claims[0].quantity.unit is missing; add it"
inline std::string refusal(const Json& claim) {
  try {
    decoded(claim);
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::config);
    return error.what();
  }
  return "nothing was refused";
}

inline ClaimOptions test_options() {
  ClaimOptions options;
  options.configs = kConfigs;
  options.profiles = load_profiles(kConfigs);
  return options;
}

inline const Claim& shipped_claim(const std::string& id) {
  static const std::vector<Claim> claims = load_claims(kConfigs);
  for (const Claim& claim : claims)
    if (claim.id == id) return claim;
  throw Error(Fault::config, "no shipped claim is called " + id, "correct the test");
}

inline ClaimOutcome outcome_of_shipped(const std::string& id, const ClaimOptions& options = test_options()) {
  return outcome_of(shipped_claim(id), options);
}

}  // namespace chokepoint
