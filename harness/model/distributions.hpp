// Which multiple of the standard error belongs to a confidence? Quantiles of the normal and of Student's t.
#pragma once

namespace chokepoint {

double normal_cdf(double x);

// P(T <= t) for any real degrees of freedom > 0, infinity included. Error{config} outside that range.
double student_t_cdf(double t, double degrees_of_freedom);

// Inverses of the distribution functions for `probability` in (0, 1) and any real degrees of freedom > 0,
// infinity included; relative error below 1e-9. Throw Error{config} outside these ranges.
double normal_quantile(double probability);
double student_t_quantile(double probability, double degrees_of_freedom);

}  // namespace chokepoint
