// Which export rules does a machine fall under? Three answers: it does, it does not, or it cannot be said
// because a figure is missing or unverified.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "harness/model/profile.hpp"
#include "harness/model/rule.hpp"

namespace chokepoint {

// What is known of a quantity: it is at least `low` and at most `high`. Unverified figures widen the extent,
// missing ones leave a side open; neither ever narrows it.
struct RuleExtent {
  std::optional<double> low, high;
  std::string basis;  // "1979 TFLOP/s of fp8_e4m3 x 8 bit"
  std::string doubt;  // why low and high differ or are absent: "die area is missing"; empty when they agree

  bool is_exact() const { return low && high && *low == *high; }
};

// A machine in the terms of the rules. From datasheet rates, since rules count what a chip could do.
//   TPP      largest datasheet rate times the bits of its dtype, in units of 1e12; int8 and fp4 are not in
//   profiles,
//            and where makers state them they give the TPP of fp8 and bf16
//   PD       TPP / die area in mm2
//   I/O      link and host link, both directions: 2 * (link + host_link); without the host link no upper end
struct RuleMeasures {
  std::array<RuleExtent, 4> extents;  // by RuleQuantity

  const RuleExtent& of(RuleQuantity quantity) const { return extents.at(static_cast<std::size_t>(quantity)); }
};
RuleMeasures rule_measures(const Profile& profile);

enum class RuleAnswer { yes, no, unknown };

struct CategoryVerdict {
  std::string category;
  RuleAnswer answer = RuleAnswer::unknown;
  std::string
      word;  // the category's own: "controlled", "presumption of denial"; "cannot be said" when unknown
  std::vector<RuleQuantity>
      decided_by;      // quantities whose conditions failed, met or stayed open, in file order
  std::string reason;  // "TPP 2,368 < 4,800; PD 2.91 < 5.92"
  bool has_left_out_clause = false;
};

struct RuleVerdict {
  std::string rule, date;
  std::vector<CategoryVerdict> categories;
  std::string left_out;  // why the rule has no categories

  // What decides: the first category that is met, else the first that stays open, else the first. Null
  // without any.
  const CategoryVerdict* headline() const;
};

RuleVerdict check_rule(const Rule& rule, const RuleMeasures& measures);

// "15,832", "19.4", "400 to 528": as rules and tables print a quantity.
std::string extent_text(RuleQuantity quantity, const RuleExtent& extent);

}  // namespace chokepoint
