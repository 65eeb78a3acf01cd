// What do samples look like? Quantiles, mean and spread; how sure these are is the question of
// statistics.hpp.
//
// Every function throws Error{device} on a sample that is not finite: a broken timer must not become a
// number.
#pragma once

#include <optional>
#include <span>
#include <vector>

namespace chokepoint {

void require_finite(std::span<const double> samples);

// Empty samples have none; deviation and variation need two.
// Quantile at `p` in [0, 1] by linear interpolation between order statistics (type 7 of Hyndman and Fan
// 1996). Several at once sort once.
std::optional<double> quantile(std::span<const double> samples, double p);
std::vector<double> quantiles(std::span<const double> samples, std::span<const double> p);  // empty of empty
std::optional<double> median(std::span<const double> samples);
std::optional<double> mean(std::span<const double> samples);
std::optional<double> standard_deviation(std::span<const double> samples);        // divisor n - 1
std::optional<double> coefficient_of_variation(std::span<const double> samples);  // absent when the mean is 0

}  // namespace chokepoint
