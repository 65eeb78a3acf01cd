// What does a file of claims say? Published sentences with a number, and how each number is to be derived.
// configs/claims/*.json, format claims/1: configs/schema/claims.json describes it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/claims/settings.hpp"

namespace chokepoint {

struct JsonFile;

struct Quantity {
  std::string name, unit;         // "gpu_hours_per_T_tokens", "h"
  std::vector<double> values;     // in `unit`, one or more
  std::vector<std::string> rows;  // what each value is; empty when the file does not say
  std::optional<double> lo, hi;   // as published, where a range was
  bool is_lower_better = false;
};

struct ClaimSource {
  std::string cite, url, locator, retrieved;
  bool is_primary = false;  // said by whoever did it; otherwise by somebody who read it there
};

// Something that nobody measured, with the 5th and 95th percentile of what it may be.
struct Assumption {
  std::string key;
  double value = 0.0, lo = 0.0, hi = 0.0;
  std::string basis;              // one of assumption_bases()
  std::string source;             // where it was read, or why these numbers
  std::optional<double> neutral;  // what it is when nothing is assumed: 1 for a factor, 0 for an addition
  bool is_median = false;  // `value` is the median and each side has its own width; otherwise lo and hi alone say it
};

struct Claim {
  std::string id;         // dotted, stable
  std::string tier;       // "T0" arithmetic ... "T5" money and energy
  std::string statement;  // as claimed
  Quantity quantity;
  ClaimSource source;
  std::string hardware;  // profile; empty when no machine matters
  Settings system, workload;
  std::string kind;                   // of derivation
  Settings model;                     // its settings, those under `params` included
  std::string expression;             // of kind arith
  std::map<std::string, double> let;  // names in it
  std::vector<Assumption> assumptions;
  std::vector<std::string> inputs;  // globs over what the derivation has to be fed with
  double tolerance = 0.0;           // relative
  std::vector<double> row_tolerances;
  std::vector<std::string> caveats;

  std::string file_hash;                 // SHA-256
  std::shared_ptr<const JsonFile> file;  // for errors that name the line
  std::string pointer;                   // "/claims/3"

  double tolerance_of(std::size_t row) const { return row_tolerances.empty() ? tolerance : row_tolerances[row]; }
  std::string row_name(std::size_t row) const;  // empty when there is one row without a name

  // Throws Error{config} "<file>:<line>: claims[3].model <message>; <remedy>".
  [[noreturn]] void reject(const std::string& key, const std::string& message, const std::string& remedy) const;
};

// "published", "trace", "trace-fit", "prior", "derived", "measure".
const std::vector<std::string>& assumption_bases();

// Strict: an unknown key, a missing unit, a value of the wrong type, an expression that cannot be evaluated and an
// assumption with lo above hi throw Error{config} that names file, line, key and remedy.
std::vector<Claim> decode_claims(const JsonFile& file);
std::vector<Claim> load_claims_file(const std::string& path);
std::vector<Claim> load_claims(const std::string& configs);  // `configs`/claims/*.json, by file and place in it

// Every id once. Throws Error{config} that names both places.
void require_distinct_ids(const std::vector<Claim>& claims);

}  // namespace chokepoint
