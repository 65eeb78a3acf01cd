// What must stand around the tables so that a sceptical reader can judge them? Above: what ran, where, at which prices
// and powers. Below: what is missing from the tables and why, and how far the figures go.
#pragma once

#include <string>
#include <vector>

#include "harness/report/report.hpp"

namespace chokepoint {

struct HeaderLine {
  std::string label, text;
};
std::vector<HeaderLine> header_of(const ReportInput& input);

// One sentence each; the first ones are about records that have no figures.
std::vector<std::string> notes_of(const ReportInput& input);

}  // namespace chokepoint
