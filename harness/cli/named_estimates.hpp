// What do flags say that give a name a number or a range?
#pragma once

#include <map>
#include <string>
#include <vector>

#include "harness/model/estimate.hpp"

namespace chokepoint {

// "h800-sxm=1.20..1.80"; the last '=' separates, since a target may have one ("h100-sxm@link=50GB/s"). Throws
// Error{config} that names the flag.
std::map<std::string, Estimate> named_estimates(const std::vector<std::string>& texts, const std::string& flag);

}  // namespace chokepoint
