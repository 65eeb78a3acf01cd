#include "harness/claims/derivation.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.hpp"
#include "harness/base/strings.hpp"

namespace chokepoint {

std::string_view to_string(EvidenceGrade grade) {
  constexpr std::string_view names[] = {"A", "B", "C", "D"};
  return names[static_cast<int>(grade)];
}

// What was fitted to a total is no evidence for that total, and what is still to be measured is a guess until then.
EvidenceGrade evidence_grade_of(std::string_view basis) {
  return basis == "published" || basis == "trace" || basis == "derived" ? EvidenceGrade::c : EvidenceGrade::d;
}

double Drawn::operator[](std::string_view key) const {
  for (std::size_t i = 0; i < assumptions_->size(); ++i)
    if ((*assumptions_)[i].key == key) return values_[i];
  throw Error(Fault::config, fmt::format("a derivation asks for the assumption \"{}\", which it does not declare", key),
              "declare it in harness/claims/kinds");
}

std::vector<std::string> known_kinds() {
  std::vector<std::string> kinds = {"arith",      "opmodel",       "kernel",       "a2a",        "pair",
                                    "train_step", "serve_prefill", "serve_decode", "serve_both", "energy"};
  for (const Derivation& derivation : Registry<Derivation>::instance().all())
    if (std::find(kinds.begin(), kinds.end(), derivation.name) == kinds.end()) kinds.push_back(derivation.name);
  return kinds;
}

}  // namespace chokepoint
