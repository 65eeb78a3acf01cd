// Answers change_points_test.py: reads "deviation penalty n x1 ... xn" per line, prints the cost and the segments.
#include <fmt/format.h>

#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "harness/track/change_points.hpp"

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    double deviation = 0, penalty = 0;
    std::size_t n = 0;
    in >> deviation >> penalty >> n;
    std::vector<double> series(n);
    for (double& value : series) in >> value;
    const chokepoint::Segmentation found = chokepoint::find_segments(series, deviation, penalty);
    std::string text = fmt::format("{:.12g}", found.cost);
    for (const chokepoint::Segment& segment : found.segments)
      text += fmt::format(" {}:{:.12g}", segment.begin, segment.level);
    fmt::print("{}\n", text);
  }
}
