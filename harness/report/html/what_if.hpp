// What would the same records cost at other prices? The formula, and the part of the page that lets a reader move
// prices, electricity, PUE and utilisation; the page's script (script.cpp) has the same formula, and a test compares
// the two.
#pragma once

#include <optional>
#include <string>

#include "harness/report/html/picture.hpp"

namespace chokepoint {

// What an hour of one device costs. Rental prices include electricity: 0 adds none.
struct HourCost {
  double usd_per_h = 0.0;
  double electricity_usd_per_kwh = 0.0;
  double pue = 1.0;               // power of the building over power of the machines
  std::optional<double> power_w;  // of the device; needed once electricity costs something
  double utilisation = 1.0;       // part of the paid time that does useful work, above 0
};

// Absent when electricity costs something and the power is not known.
std::optional<double> usd_per_useful_hour(const HourCost& cost);

// Dollars of `amount` units of work when a launch of `time_s` does `work` of them. At the defaults of HourCost this
// is what harness/metrics/usd_per_million_tokens.cpp computes.
std::optional<double> usd_of_work(const HourCost& cost, double time_s, double work, double amount);

// The price of B at which its work costs the same as that of A, B doing `throughput_ratio` times the work of A in the
// same useful time: s * (h_A + e PUE P_A) * U_B / U_A - e PUE P_B.
std::optional<double> break_even_usd_per_h(const HourCost& a, const HourCost& b, double throughput_ratio);

// Controls and tables. They show the prices of the report without the script, and only the script can move them.
std::string what_if_markup(const PictureInput& input);

// The figures the script computes from, as JSON that is safe inside <script>.
std::string what_if_data(const PictureInput& input);

}  // namespace chokepoint
