// How slowly must this machine run to play another, and which caps does that take?
//
// Target rates R and host ceilings H give, per resource, either native (R/d within 5 % of H: the silicon
// itself is the cap) or held (R/d <= H / the headroom of what holds it: 1.4 for a clock, 1 for a part of the
// multiprocessors). The dilation d is the smallest value >= 1 for which every resource in use is one or the
// other, for every target of a comparison at once: a common d keeps what d distorts (launch costs, caches) out
// of their ratios. On other silicon (a CPU playing a GPU) nothing is native: the host's kernel efficiency must
// not stand in for the target's, so every resource has a clock's headroom at least and binds in proportion.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "harness/base/resource.hpp"

namespace chokepoint {

inline constexpr double kNativeTolerance = 0.05;
inline constexpr double kPacingHeadroom = 1.4;  // reference: pacing collapses at 1.35 with small chunks

// One resource of one target.
struct Demand {
  Resource resource = Resource::compute;
  double target_rate = 0.0;  // amount per target second
  double latency_s = 0.0;    // alpha on the target
  std::string rate_kind;     // of a profile's figure, or "override", or "ratio" to the host's own
  bool verified = true;
  double least_headroom = kPacingHeadroom;  // ceiling / rate that whatever may hold it here needs
};

struct CapPlan {
  Demand demand;
  double requested = 0.0;  // target_rate / dilation
  double latency_s = 0.0;  // alpha * dilation
  double ceiling = 0.0;    // H
  bool native = false;
  // Of the mechanism, where it acts on the rate through something else: multiprocessors, say.
  std::optional<double> setting = std::nullopt;
  double headroom() const { return ceiling / requested; }
};

// What a target asks of the host.
struct TargetDemands {
  std::string target;
  std::vector<Demand> demands = {};
  bool same_silicon = true;  // host and target share an architecture: native is allowed
};

struct EmulationPlan {
  double dilation = 1.0;
  std::vector<std::vector<CapPlan>> caps;  // per target, in the order given
};

// Throws Error{unsupported} with the numbers when no dilation works, or when a pinned one does not.
EmulationPlan plan_emulation(std::span<const TargetDemands> targets,
                             const PerResource<std::optional<double>>& ceilings,
                             std::optional<double> pinned_dilation = std::nullopt);

}  // namespace chokepoint
