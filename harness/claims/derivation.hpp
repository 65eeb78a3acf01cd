// What does a way to derive a claimed number look like? One file in harness/claims/kinds per kind, and no list of them.
// Everything a derivation knows is here, so that a claim file can be checked, sampled, judged and explained without
// knowing which kind it is.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/registry.hpp"
#include "harness/claims/claim.hpp"
#include "harness/claims/grade.hpp"
#include "harness/claims/machine.hpp"
#include "harness/claims/measured_use.hpp"

namespace chokepoint {

struct Record;

// A number that a derivation is fed with and that is not drawn: it has to say where it is from.
struct ClaimInput {
  std::string key;  // "gemm.fp8.4096x7168x16384", "machine.link", "let.step"
  double value = 0.0;
  std::string unit;
  Grade grade = Grade::c;
  std::string source;
};

// What every drawn assumption is worth in one draw.
class Drawn {
 public:
  Drawn(const std::vector<Assumption>& assumptions, std::span<const double> values, std::uint64_t seed = 0,
        std::uint64_t index = 0)
      : assumptions_(&assumptions), values_(values), seed_(seed), index_(index) {}

  double operator[](std::string_view key) const;  // throws Error{config} for a key that was not declared

  // For a derivation that draws more than assumptions, such as the jitter of every operation.
  std::uint64_t seed() const { return seed_; }
  std::uint64_t index() const { return index_; }

 private:
  const std::vector<Assumption>* assumptions_;
  std::span<const double> values_;
  std::uint64_t seed_, index_;
};

struct Scene {
  const Claim& claim;
  std::optional<Machine> machine;  // absent when the claim names no hardware
  std::string configs;             // folder, for models and tables
  std::string route;               // one of the derivation's routes
  const std::vector<Record>* records = nullptr;  // measured ones, which take the place of published rows; may be null
  MeasuredUse measured_use = MeasuredUse::comparable;
};

using Predict = std::function<std::vector<double>(const Drawn&)>;

// Something else that could have been done: "1F1B instead of DualPipe".
struct Alternative {
  std::string text;
  Predict predict;
};

// Who shares the experts, so that a trace of routing can say how far out of balance they are.
struct ExpertRanks {
  std::string imbalance_key;  // of the assumption that a trace takes the place of
  std::int64_t experts = 0, top_k = 0, ranks = 0;
};

// A derivation made ready for one claim on one machine.
struct Prepared {
  std::vector<std::string> missing;     // what it would need; not empty: the claim is not testable
  std::vector<std::string> rows;        // names of the numbers that `predict` returns; may be empty when it is one
  std::string base_unit;                // of these numbers; empty: the claim's own unit
  std::vector<Assumption> assumptions;  // with default values, which the claim may replace
  std::vector<ClaimInput> inputs;
  std::vector<Resource> uses;             // of the machine: what "with X instead" is asked about
  bool has_one_route = false;      // whatever routes this kind has, for this claim they are one
  std::string load_factor;                // key of an assumption no kernel model can know; set to 1 it gives a bound
  std::vector<std::string> notes;         // what a reader should know about how this was derived
  std::vector<Alternative> alternatives;  // rows as those of `predict`
  Predict predict;
  Predict gpu_seconds;         // of one GPU, what `gpu_seconds_of` took; empty without a training behind the claim
  std::string gpu_seconds_of;  // "1T tokens", "the run"
  std::optional<ExpertRanks> expert_ranks;  // absent where no routed experts are in it
  std::function<std::string(const Drawn&)> chrome_trace;  // of what was simulated; empty where nothing was
};

struct Derivation {
  std::string name, summary;
  bool is_arithmetic = false;                // nothing is drawn; the verdict is ARITH_OK or ARITH_FAIL
  bool takes_expression = false;             // `expr` and `let`
  std::vector<SettingRule> settings;         // keys of the claim's `model`
  std::vector<std::string> assumption_keys;  // that a claim may replace
  std::vector<std::string> routes = {""};    // independent ways; the claim's `route` or the first one is judged
  std::function<std::string(const Claim&)> default_hardware;  // of a claim that names none; empty: none
  std::function<Prepared(const Scene&)> prepare;
};

// The kinds that format claims/1 names, whether this program has them or not, and those that are registered.
std::vector<std::string> known_kinds();

}  // namespace chokepoint
