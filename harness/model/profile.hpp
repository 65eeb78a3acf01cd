// What are the constants of a machine, and which machine does a target's text mean?
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/base/dtype.hpp"
#include "harness/base/resource.hpp"
#include "harness/model/figure.hpp"

namespace chokepoint {

// One rate, as the maker states it and as somebody measured it. A figure of kind `datasheet` stands in the
// first place and nowhere else, so the kind of a figure tells which of the two it is. Link and network: per
// direction.
struct Rates {
  std::optional<Figure> datasheet, achieved;
};

// configs/profiles/<id>.json
struct Profile {
  std::string id, name;
  std::string architecture;  // "sm_90"; equal to a device's architecture means same silicon
  std::vector<std::string> device_names;  // what the driver calls this machine: "NVIDIA H100 80GB HBM3"
  std::map<Dtype, Rates> compute;
  Rates memory, link, network;
  std::optional<Figure> link_latency, network_latency;  // s per message
  std::optional<Figure> tdp, all_in;                    // W of the board; W of all it needs in a data centre
  std::optional<Figure> sm_count, gpus_per_node, memory_size, l2_size, boost_clock;
  std::optional<Figure> die_area;   // mm2, of all dies that compute together
  std::optional<Figure> host_link;  // B/s of PCIe, per direction; no resource of ours, but export rules count it
  std::string path;
  std::string hash;  // SHA-256 of the file
};

// Throws Error{config} naming file, line and key; Error{io} when unreadable.
Profile load_profile(const std::string& path);
Profile decode_profile(const JsonFile& file);
std::vector<Profile> load_profiles(const std::string& configs);  // `configs`/profiles/*.json, by id

// Throws Error{config} with the nearest known id.
const Profile& find_profile(const std::vector<Profile>& profiles, const std::string& id);

// The achieved rate if there is one, else the datasheet's (kind `datasheet`). Throws Error{config} when the
// profile has neither. `dtype` matters for compute only, and no dtype stands in for another.
const Figure& target_rate(const Profile& profile, Resource resource, Dtype dtype);

// The profile of the machine that the driver calls `device_name`; null when none says so.
const Profile* profile_of_device(const std::vector<Profile>& profiles, const std::string& device_name);

// The target's rate as a share of the host's, like with like: achieved by achieved where both are known, else
// datasheet by datasheet. Empty when neither pair is.
std::optional<double> rate_ratio(const Profile& target, const Profile& host, Resource resource, Dtype dtype);

// Absent for compute and memory, and where nobody published it.
std::optional<Figure> latency(const Profile& profile, Resource resource);

// Board power (TDP): what every profile has, so that two targets are never compared on different scopes.
// `profile.all_in` is the other scope; mixing them is up to nobody.
std::optional<Figure> power(const Profile& profile);

// What a run should behave like: the machine itself ("host", uncapped), a profile ("h800-sxm"), or a profile
// with some rates replaced ("h100-sxm@link=160GB/s", "h100-sxm@link=160GB/s+network=40GB/s").
struct Target {
  std::string id;                  // the text
  std::optional<Profile> profile;  // absent for "host"
  std::map<Resource, double> overrides;

  bool is_host() const { return !profile.has_value(); }
};

Target parse_target(const std::string& text, const std::vector<Profile>& profiles);  // throws Error{config}

// As for the profile; an override has kind `override`. Throws Error{config} for "host", which has no rates.
Figure target_rate(const Target& target, Resource resource, Dtype dtype);

}  // namespace chokepoint
