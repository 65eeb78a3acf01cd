#include "harness/claims/checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/claims/missing_input.hpp"

namespace chokepoint {

void require_plan(bool holds, const std::string& message) {
  if (!holds) throw Error(Fault::config, message, "correct the plan");
}

double require_positive(double value, const std::string& what, const std::string& remedy) {
  if (value > 0.0 && std::isfinite(value)) return value;
  throw Error(Fault::config, fmt::format("{} is {} and has to be above 0", what, value), remedy);
}

double known_figure(const Profile& profile, const std::optional<Figure>& figure, const char* key) {
  if (figure) return figure->value;
  throw MissingInput(Fault::config, fmt::format("profile {} has no {}", profile.id, key), "add it to " + profile.path);
}

int whole(double value) { return static_cast<int>(std::lround(std::min(value, 1e9))); }

}  // namespace chokepoint
