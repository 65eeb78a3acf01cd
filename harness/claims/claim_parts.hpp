// How are the parts of a claim read that every claim has: what was published, where, and what is assumed?
#pragma once

#include <string>
#include <vector>

#include "harness/claims/claim.hpp"

namespace chokepoint {

class Fields;
struct Derivation;

// All throw Error{config} that names file, line, key and remedy.
Quantity decode_quantity(Fields fields);
ClaimSource decode_source(Fields fields);

// Keys are those of the derivation; any where it is null.
std::vector<Assumption> decode_assumptions(Fields& fields, const Derivation* derivation);

// A list of positive numbers or, as a list of one, a single one.
std::vector<double> decode_positive_numbers(Fields& fields, const std::string& key);

}  // namespace chokepoint
