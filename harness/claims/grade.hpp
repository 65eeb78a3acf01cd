// How good is a number as evidence?
#pragma once

#include <optional>
#include <string_view>

namespace chokepoint {

// A measured on the machine the claim is about; B measured on a sibling and capped or scaled; C published by
// someone; D a prior, a fit or an estimate.
enum class Grade { a, b, c, d };

std::string_view to_string(Grade grade);  // "A"
std::optional<Grade> grade_from(std::string_view name);

// Of an assumption with this basis. What was fitted to a total is no evidence for that total, and what is still to be
// measured is a guess until then.
Grade grade_of_basis(std::string_view basis);

}  // namespace chokepoint
