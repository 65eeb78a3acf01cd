// At which rates is a claim's machine taken to run? Those of its profile, or those that a what-if sets.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/base/dtype.hpp"
#include "harness/base/resource.hpp"
#include "harness/model/profile.hpp"

namespace chokepoint {

// A resource's rate as it stands on the datasheet, and what of it is achieved. A what-if sets the first; the second
// stays, because cables and protocols do.
struct MachineRate {
  std::optional<double> nominal;  // per s; link and network per direction
  double efficiency = 1.0;        // achieved over nominal; 1 when nobody measured it
  std::string source;
  bool is_set = false;
  bool is_verified = true;

  std::optional<double> achieved() const;
};

struct Machine {
  Profile profile;
  PerResource<MachineRate> rate;         // compute: in bf16
  std::map<Dtype, MachineRate> compute;  // by dtype; a what-if on compute scales them all
  std::string id;                        // "h800-sxm", "h800-sxm@link=450GB/s"

  double nominal(Resource resource) const;   // throws Error{config} when the profile does not know it
  double achieved(Resource resource) const;  // the same
};

// A rate of a resource in base units per s: what `--set link=450GB/s` says.
using MachineChanges = std::map<Resource, double>;

Machine machine_of(const Profile& profile, const MachineChanges& changes = {});

}  // namespace chokepoint
