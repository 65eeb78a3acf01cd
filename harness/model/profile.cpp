#include "harness/model/profile.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/base/error.hpp"
#include "harness/base/strings.hpp"
#include "harness/base/units.hpp"
#include "harness/model/config_files.hpp"

namespace chokepoint {
namespace {

std::string rate_unit(Resource resource) { return std::string(unit_of(resource)) + "/s"; }

// {"datasheet": figure, "achieved": figure}, at least one of them.
Rates decode_rates(Fields fields, Resource resource) {
  Rates rates;
  if (auto figure = fields.maybe_object("datasheet")) {
    rates.datasheet = decode_figure(*figure, rate_unit(resource));
    if (rates.datasheet->kind != "datasheet")
      figure->reject("kind", fmt::format("is \"{}\" for a datasheet figure", rates.datasheet->kind),
                     "write \"datasheet\", or move the figure to \"achieved\"");
  }
  if (auto figure = fields.maybe_object("achieved")) {
    rates.achieved = decode_figure(*figure, rate_unit(resource));
    if (rates.achieved->kind == "datasheet")
      figure->reject("kind", "is \"datasheet\" for an achieved figure",
                     "write how it was obtained, or move the figure to \"datasheet\"");
  }
  if (!rates.datasheet && !rates.achieved)
    fields.reject("", "has no rate", "add \"datasheet\" or \"achieved\", or leave the resource out");
  fields.finish();
  return rates;
}

std::map<Dtype, Rates> decode_compute(Fields fields) {
  static const std::vector<std::string> words = {"f32", "bf16", "fp8_e4m3", "f64"};
  std::map<Dtype, Rates> compute;
  for (const std::string& word : fields.keys()) {
    if (std::find(words.begin(), words.end(), word) == words.end())
      fields.reject(word, "is not a dtype that machines are rated in", suggestion(word, words));
    compute[*dtype_from(word)] = decode_rates(fields.object(word), Resource::compute);
  }
  if (compute.empty()) fields.reject("", "is empty", "add a dtype, or leave the resource out");
  return compute;
}

void decode_resources(Fields fields, Profile& profile) {
  if (auto compute = fields.maybe_object("compute")) profile.compute = decode_compute(*compute);
  if (auto rates = fields.maybe_object("memory")) profile.memory = decode_rates(*rates, Resource::memory);
  if (auto rates = fields.maybe_object("link")) profile.link = decode_rates(*rates, Resource::link);
  if (auto rates = fields.maybe_object("network")) profile.network = decode_rates(*rates, Resource::network);
  fields.finish();
}

std::optional<Figure> maybe_figure(Fields& fields, const std::string& key, std::string_view unit) {
  if (auto figure = fields.maybe_object(key)) return decode_figure(*figure, unit);
  return std::nullopt;
}

const Rates* rates_of(const Profile& profile, Resource resource, Dtype dtype) {
  switch (resource) {
    case Resource::compute: {
      const auto found = profile.compute.find(dtype);
      return found == profile.compute.end() ? nullptr : &found->second;
    }
    case Resource::memory:
      return &profile.memory;
    case Resource::link:
      return &profile.link;
    case Resource::network:
      return &profile.network;
  }
  return nullptr;
}

}  // namespace

Profile decode_profile(const JsonFile& file) {
  Fields fields(file);
  Profile profile;
  profile.id = id_like_file(fields, file.path);
  profile.name = telling_text(fields, "name");
  profile.architecture = telling_text(fields, "architecture");
  profile.device_names = distinct_texts(fields, "device_names", fields.maybe_texts("device_names"));
  decode_resources(fields.object("resources"), profile);
  if (auto latencies = fields.maybe_object("latency")) {
    profile.link_latency = maybe_figure(*latencies, "link", "s");
    profile.network_latency = maybe_figure(*latencies, "network", "s");
    latencies->finish();
  }
  Fields power_w = fields.object("power_w");
  profile.tdp = decode_figure(power_w.object("tdp"), "W");
  profile.all_in = maybe_figure(power_w, "all_in", "W");
  power_w.finish();
  profile.sm_count = maybe_figure(fields, "sm_count", "SM");
  profile.gpus_per_node = maybe_figure(fields, "gpus_per_node", "GPU");
  profile.memory_size = maybe_figure(fields, "memory_size", "B");
  profile.l2_size = maybe_figure(fields, "l2_size", "B");
  profile.boost_clock = maybe_figure(fields, "boost_clock", "Hz");
  profile.die_area = maybe_figure(fields, "die_area", "mm2");
  profile.host_link = maybe_figure(fields, "host_link", "B/s");
  fields.finish();
  profile.path = file.path;
  profile.hash = sha256_hex(file.text);
  return profile;
}

Profile load_profile(const std::string& path) { return decode_profile(read_json(path)); }

std::vector<Profile> load_profiles(const std::string& configs) {
  std::vector<Profile> profiles;
  for (const std::string& path : json_files_of(configs + "/profiles")) profiles.push_back(load_profile(path));
  return profiles;
}

const Profile& find_profile(const std::vector<Profile>& profiles, const std::string& id) {
  return find_by_id(profiles, id, "profile");
}

const Figure& target_rate(const Profile& profile, Resource resource, Dtype dtype) {
  const Rates* rates = rates_of(profile, resource, dtype);
  if (rates != nullptr && rates->achieved) return *rates->achieved;
  if (rates != nullptr && rates->datasheet) return *rates->datasheet;
  const bool is_compute = resource == Resource::compute;
  const std::string what =
      is_compute ? fmt::format("compute in {}", to_string(dtype)) : std::string(to_string(resource));
  const std::string key = is_compute ? fmt::format("compute.{}", to_string(dtype)) : what;
  throw Error(Fault::config, fmt::format("profile {} has no rate for {}", profile.id, what),
              fmt::format("add resources.{0}.datasheet or resources.{0}.achieved to {1}, or name it in the "
                          "target: {2}@{3}=...",
                          key, profile.path, profile.id, to_string(resource)));
}

const Profile* profile_of_device(const std::vector<Profile>& profiles, const std::string& device_name) {
  for (const Profile& profile : profiles)
    if (std::find(profile.device_names.begin(), profile.device_names.end(), device_name) !=
        profile.device_names.end())
      return &profile;
  return nullptr;
}

std::optional<double> rate_ratio(const Profile& target, const Profile& host, Resource resource, Dtype dtype) {
  const Rates* wanted = rates_of(target, resource, dtype);
  const Rates* own = rates_of(host, resource, dtype);
  if (wanted == nullptr || own == nullptr) return std::nullopt;
  if (wanted->achieved && own->achieved) return wanted->achieved->value / own->achieved->value;
  if (wanted->datasheet && own->datasheet) return wanted->datasheet->value / own->datasheet->value;
  return std::nullopt;
}

std::optional<Figure> latency(const Profile& profile, Resource resource) {
  if (resource == Resource::link) return profile.link_latency;
  if (resource == Resource::network) return profile.network_latency;
  return std::nullopt;
}

std::optional<Figure> power(const Profile& profile) { return profile.tdp; }

Target parse_target(const std::string& text, const std::vector<Profile>& profiles) {
  static const std::string example = "write it like h100-sxm@link=160GB/s+network=40GB/s";
  Target target;
  target.id = text;
  const std::size_t at = text.find('@');
  const std::string name = text.substr(0, at);
  if (name == "host") {
    if (at != std::string::npos)
      throw Error(Fault::config,
                  fmt::format("target \"{}\" changes the machine itself, which runs uncapped", text),
                  "name a profile: " + example);
    return target;
  }
  std::vector<std::string> known = {"host"};
  for (const Profile& profile : profiles) known.push_back(profile.id);
  if (std::find(known.begin(), known.end(), name) == known.end())
    throw Error(Fault::config, fmt::format("target \"{}\" is no profile", name), suggestion(name, known));
  target.profile = find_profile(profiles, name);
  if (at == std::string::npos) return target;
  for (const std::string& part : split(std::string_view(text).substr(at + 1), '+')) {
    const std::size_t equals = part.find('=');
    const auto resource = resource_from(std::string_view(part).substr(0, equals));
    if (equals == std::string::npos || !resource)
      throw Error(Fault::config,
                  fmt::format("target \"{}\": \"{}\" does not set a resource's rate", text, part), example);
    const double rate = parse_rate(std::string_view(part).substr(equals + 1), rate_unit(*resource));
    if (!std::isfinite(rate))
      throw Error(Fault::config, fmt::format("target \"{}\": {} is beyond what a number holds", text, part),
                  example);
    if (!target.overrides.emplace(*resource, rate).second)
      throw Error(Fault::config, fmt::format("target \"{}\" sets {} twice", text, to_string(*resource)),
                  example);
  }
  return target;
}

Figure target_rate(const Target& target, Resource resource, Dtype dtype) {
  if (const auto found = target.overrides.find(resource); found != target.overrides.end())
    return {found->second, rate_unit(resource), "override", "target " + target.id, true};
  if (!target.profile)
    throw Error(Fault::config,
                fmt::format("target \"{}\" has no rates: it is the machine as it is", target.id),
                "name a profile");
  return target_rate(*target.profile, resource, dtype);
}

}  // namespace chokepoint
