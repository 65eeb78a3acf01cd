#include "harness/claims/derivation.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.hpp"
#include "harness/base/strings.hpp"

namespace chokepoint {

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
