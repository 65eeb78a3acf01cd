// What does one target cost against another? The answer for a pair of targets.
#pragma once

#include <string>
#include <vector>

#include "harness/report/html/answer.hpp"

namespace chokepoint {

struct PairLine {
  std::size_t comparison = 0;
  std::string operation, name;
  bool is_tie = false;  // nothing this case uses differs between the targets
};

struct TargetPair {
  std::string a, b;
  std::vector<PairLine> lines;
};

// In the order of the cases, of the comparisons worth a line.
std::vector<TargetPair> pairs_of(const PictureInput& input);

PageAnswer answer_of_pair(const PictureInput& input, const TargetPair& pair);

}  // namespace chokepoint
