#include "harness/claims/verdict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/claims/uncertainty.hpp"

namespace chokepoint {
namespace {

constexpr double kMostShareOfGuesses = 1.0 / 3.0;
constexpr double kMostWidthInTolerances = 3.0;

std::optional<double> sigmas(const Evidence& evidence) {
  if (!(evidence.lo > 0.0) || !(evidence.hi > evidence.lo)) return std::nullopt;
  const double sigma = std::log(evidence.hi / evidence.lo) / (2.0 * kSigmasOf90Percent);
  return std::log(evidence.published / evidence.mid) / sigma;
}

std::string percent(double share) { return fmt::format("{:+.1f} %", 100.0 * share); }

std::optional<double> deviation(double published, double derived) {
  return derived > 0.0 ? std::optional(published / derived - 1.0) : std::nullopt;
}

bool is_below_bound(const Evidence& evidence) {
  if (!evidence.bound) return false;
  return evidence.is_lower_better ? evidence.published >= *evidence.bound : evidence.published <= *evidence.bound;
}

Judgement outside(const Evidence& evidence, Judgement judgement) {
  const bool is_lower = evidence.published < evidence.lo;
  judgement.verdict = is_lower == evidence.is_lower_better ? Verdict::optimistic : Verdict::pessimistic;
  const double edge = is_lower ? evidence.lo : evidence.hi;
  judgement.reason = fmt::format("{} from the {} end of the interval", percent(evidence.published / edge - 1.0),
                                 is_lower ? "lower" : "upper");
  if (judgement.sigma) judgement.reason += fmt::format(", {:+.1f} sigma from its middle", *judgement.sigma);
  return judgement;
}

Judgement inside(const Evidence& evidence, Judgement judgement) {
  const double width = (evidence.hi - evidence.lo) / evidence.mid;
  judgement.verdict = Verdict::consistent_but_wide;
  const std::string from_middle = judgement.deviation ? percent(*judgement.deviation) + " from the middle" : "far off";
  if (!judgement.deviation || std::abs(*judgement.deviation) > evidence.tolerance)
    judgement.reason =
        fmt::format("inside, but {}; the tolerance is {:.3g} %", from_middle, 100.0 * evidence.tolerance);
  else if (width > kMostWidthInTolerances * evidence.tolerance)
    judgement.reason = fmt::format("inside, but the interval is {:.0f} % wide; three tolerances are {:.0f} %",
                                   100.0 * width, 300.0 * evidence.tolerance);
  else if (!evidence.cap.empty())
    judgement.reason = fmt::format("inside and {}, but {}", from_middle, evidence.cap);
  else
    judgement = {Verdict::reproduced, judgement.deviation, judgement.sigma, "inside and " + from_middle};
  return judgement;
}

int badness(Verdict verdict) {
  switch (verdict) {
    case Verdict::arith_ok:
      return 0;
    case Verdict::reproduced:
      return 1;
    case Verdict::consistent_but_wide:
      return 2;
    case Verdict::bounded:
      return 3;
    case Verdict::not_testable:
      return 4;
    case Verdict::pessimistic:
      return 5;
    case Verdict::optimistic:
      return 6;
    case Verdict::arith_fail:
      return 7;
  }
  return 7;
}

}  // namespace

std::string_view to_string(Verdict verdict) {
  constexpr std::string_view names[] = {"REPRODUCED", "CONSISTENT_BUT_WIDE", "OPTIMISTIC", "PESSIMISTIC",
                                        "BOUNDED",    "NOT_TESTABLE",        "ARITH_OK",   "ARITH_FAIL"};
  return names[static_cast<int>(verdict)];
}

bool is_failure(Verdict verdict) {
  return verdict == Verdict::optimistic || verdict == Verdict::pessimistic || verdict == Verdict::arith_fail;
}

bool is_inconclusive(Verdict verdict) {
  return verdict == Verdict::consistent_but_wide || verdict == Verdict::bounded || verdict == Verdict::not_testable;
}

Judgement judge(const Evidence& evidence) {
  Judgement judgement;
  judgement.deviation = deviation(evidence.published, evidence.mid);
  judgement.sigma = sigmas(evidence);
  if (is_below_bound(evidence)) {
    judgement.verdict = Verdict::bounded;
    judgement.reason = fmt::format("{:.0f} % of what kernels allow; the rest is load, which no kernel can tell",
                                   100.0 * (evidence.is_lower_better ? *evidence.bound / evidence.published
                                                                     : evidence.published / *evidence.bound));
    return judgement;
  }
  const bool is_inside = evidence.lo <= evidence.published && evidence.published <= evidence.hi;
  return is_inside ? inside(evidence, judgement) : outside(evidence, judgement);
}

Judgement judge_arithmetic(double published, double derived, double tolerance) {
  const std::optional<double> error = deviation(published, derived);
  if (!error) return {Verdict::arith_fail, error, std::nullopt, fmt::format("its own numbers give {}", derived)};
  return {std::abs(*error) <= tolerance ? Verdict::arith_ok : Verdict::arith_fail, error, std::nullopt,
          fmt::format("{:+.3g} % from what its own numbers give; the tolerance is {:.3g} %", 100.0 * *error,
                      100.0 * tolerance)};
}

Verdict worst(std::span<const Verdict> verdicts) {
  return *std::max_element(verdicts.begin(), verdicts.end(),
                           [](Verdict a, Verdict b) { return badness(a) < badness(b); });
}

std::string cap_of(const std::vector<Assumption>& assumptions, std::span<const double> shares) {
  double sum = 0.0, largest = 0.0;
  std::string key;
  for (std::size_t i = 0; i < assumptions.size(); ++i) {
    if (grade_of_basis(assumptions[i].basis) != Grade::d) continue;
    sum += shares[i];
    if (shares[i] > largest) {
      largest = shares[i];
      key = fmt::format("{} ({})", assumptions[i].key, assumptions[i].basis);
    }
  }
  if (sum <= kMostShareOfGuesses) return "";
  return fmt::format("{:.0f} % of the variance is guesses (grade D), above all {}", 100.0 * std::min(1.0, sum), key);
}

}  // namespace chokepoint
