// How is a number or a comparison said in words, the same in every format?
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/report/comparison.hpp"

namespace chokepoint {

// "0.685 [0.675, 0.695]"; without an interval "0.685 [no interval]".
std::string ratio_text(const Bounded& ratio);

// "$1.37/h [1.35, 1.39]"; below one dollar with a third decimal.
std::string usd_per_h_text(const Bounded& price);

// Half the interval in percent of the value, two digits: "0.85 %", "12 %"; empty without an interval.
std::string half_width_text(std::optional<double> value, std::optional<double> low, std::optional<double> high);

// "h800-sxm against h100-sxm: throughput, hence break-even price ratio, 0.685 [0.675, 0.695] (scaled; 64 blocks in turn,
// ESS 60)"
std::string ratio_sentence(const Comparison& comparison, const std::vector<Record>& records);

// What the ratio means in money: the break-even price, then who is cheaper. One sentence each, none without prices.
//   at $2.00/h (2025-02 deepseek, rental_assumed, assumption) for the h100-sxm, the h800-sxm breaks even at $1.37/h
//   [1.35, 1.39] for this case (scaled)
//   at its own $1.30/h (...), the h800-sxm is 5.1 % [3.7, 6.5] cheaper per unit of work than the h100-sxm (scaled)
std::vector<std::string> price_sentences(const Comparison& comparison, const std::vector<Record>& records);

// "per joule: 0.685 [0.675, 0.695] times the work (provisioned power, gpu_tdp: 700 W against 700 W)"; empty without.
std::string energy_sentence(const Comparison& comparison, const std::vector<Record>& records);

}  // namespace chokepoint
