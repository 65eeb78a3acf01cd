// arith: a number that follows from other published numbers by the claim's own expression.
#include <fmt/format.h>

#include "harness/claims/derivation.hpp"
#include "harness/claims/expression.hpp"

namespace chokepoint {
namespace {

constexpr double kNudge = 1.01;  // of one number at a time, to show which ones matter

double arith_value_of(const Claim& claim, const std::string& nudged = "") {
  const Evaluation result = evaluate(claim.expression, [&](std::string_view name) -> std::optional<double> {
    const auto found = claim.let.find(std::string(name));
    if (found == claim.let.end()) return std::nullopt;
    return found->second * (found->first == nudged ? kNudge : 1.0);
  });
  if (!result.value) claim.reject("model/expr", result.fault, result.remedy);
  return *result.value;
}

Prepared prepare_arith(const Scene& scene) {
  const Claim claim = scene.claim;
  Prepared prepared;
  for (const auto& [name, value] : claim.let) {
    prepared.inputs.push_back({"let." + name, value, "", Grade::c, claim.source.cite});
    prepared.alternatives.push_back({fmt::format("1 % more {}", name), [claim, name = name](const Drawn&) {
                                       return std::vector{arith_value_of(claim, name)};
                                     }});
  }
  if (claim.let.empty())
    prepared.inputs.push_back({"expr", arith_value_of(claim), claim.quantity.unit, Grade::c, claim.source.cite});
  prepared.notes.push_back("from its own numbers: " + claim.expression);
  prepared.predict = [claim](const Drawn&) { return std::vector{arith_value_of(claim)}; };
  return prepared;
}

const Register<Derivation> arith_derivation{{.name = "arith",
                                             .summary = "follows from other published numbers by an expression",
                                             .is_arithmetic = true,
                                             .takes_expression = true,
                                             .prepare = prepare_arith}};

}  // namespace
}  // namespace chokepoint
