// What do the models behind claims ask of what they are given?
#pragma once

#include <optional>
#include <string>

#include "harness/model/profile.hpp"

namespace chokepoint {

// Throws Error{config} with `message` unless it holds.
void require_plan(bool holds, const std::string& message);

// Throws Error{config} unless value > 0 and finite.
double require_positive(double value, const std::string& what, const std::string& remedy);

// Throws MissingInput where the profile lacks the figure.
double known_figure(const Profile& profile, const std::optional<Figure>& figure, const char* key);

// The nearest count, of ranks or micro-batches, say; what is too many for an int is still too many.
int whole(double value);

}  // namespace chokepoint
