#include "harness/claims/grade.hpp"

#include <array>
#include <cstddef>

namespace chokepoint {

std::string_view to_string(Grade grade) {
  static constexpr std::array<std::string_view, 4> kNames = {"A", "B", "C", "D"};
  return kNames[static_cast<std::size_t>(grade)];
}

std::optional<Grade> grade_from(std::string_view name) {
  for (const Grade grade : {Grade::a, Grade::b, Grade::c, Grade::d})
    if (to_string(grade) == name) return grade;
  return std::nullopt;
}

Grade grade_of_basis(std::string_view basis) {
  return basis == "published" || basis == "trace" || basis == "derived" ? Grade::c : Grade::d;
}

}  // namespace chokepoint
