#include "harness/cli/claims_flags.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>

#include "harness/base/error.hpp"
#include "harness/base/strings.hpp"
#include "harness/base/units.hpp"

namespace chokepoint {
namespace {

constexpr int kDefaultSweepPoints = 12;
constexpr int kMostSweepPoints = 200;
const char* const kSweepExample = "write it like link=40..450 or network=12.5GB/s..100GB/s:8";

std::string unit_of_rate(Resource resource) { return fmt::format("{}/s", unit_of(resource)); }

std::optional<double> plain_number(std::string_view text) {
  double value = 0.0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

[[noreturn]] void bad_sweep(const std::string& text, const std::string& why) {
  throw Error(Fault::config, fmt::format("--sweep {}: {}", text, why), kSweepExample);
}

double sweep_rate(const std::string& whole, const std::string& text, Resource resource) {
  if (const auto number = plain_number(text)) {
    if (*number <= 0.0) bad_sweep(whole, fmt::format("\"{}\" is not above 0", text));
    return *number * (resource == Resource::compute ? 1e12 : 1e9);
  }
  return parse_rate(text, unit_of_rate(resource));
}

bool is_file(const std::string& name) { return name.ends_with(".json"); }

void add_named(const std::vector<Claim>& known, const std::string& name, std::vector<Claim>& chosen) {
  std::vector<std::string> ids;
  bool is_found = false;
  for (const Claim& claim : known) {
    ids.push_back(claim.id);
    if (!glob_matches(name, claim.id)) continue;
    is_found = true;
    const bool is_new = std::none_of(chosen.begin(), chosen.end(), [&](const Claim& c) { return c.id == claim.id; });
    if (is_new) chosen.push_back(claim);
  }
  if (!is_found) throw Error(Fault::config, fmt::format("claim \"{}\" is not known", name), suggestion(name, ids));
}

}  // namespace

void apply_setting(const std::string& text, ClaimOptions& options) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    throw Error(Fault::config, fmt::format("--set {} is not KEY=VALUE", text), "write it like link=450GB/s");
  const std::string key = text.substr(0, equals), value = text.substr(equals + 1);
  if (const auto resource = resource_from(key)) {
    if (!options.rates.emplace(*resource, parse_rate(value, unit_of_rate(*resource))).second)
      throw Error(Fault::config, fmt::format("--set names {} twice", key), "keep one of them");
    return;
  }
  const auto number = plain_number(value);
  if (!number || *number <= 0.0)
    throw Error(Fault::config, fmt::format("--set {}: \"{}\" is not a positive number", text, value),
                "write it like expert_imbalance=1.05; rates are set by resource: link=450GB/s");
  if (!options.numbers.emplace(key, *number).second)
    throw Error(Fault::config, fmt::format("--set names {} twice", key), "keep one of them");
}

SweepRequest parse_sweep(const std::string& text) {
  const std::size_t equals = text.find('='), dots = text.find("..");
  if (equals == std::string::npos || dots == std::string::npos || dots < equals)
    bad_sweep(text, "is not RESOURCE=FROM..TO");
  const auto resource = resource_from(text.substr(0, equals));
  if (!resource)
    bad_sweep(text, fmt::format("\"{}\" is no resource (compute, memory, link, network)", text.substr(0, equals)));
  const std::size_t colon = text.find(':', dots);
  const double from = sweep_rate(text, text.substr(equals + 1, dots - equals - 1), *resource);
  const double to =
      sweep_rate(text, text.substr(dots + 2, colon == std::string::npos ? colon : colon - dots - 2), *resource);
  double points = kDefaultSweepPoints;
  if (colon != std::string::npos) points = plain_number(text.substr(colon + 1)).value_or(0.0);
  if (points != std::floor(points) || points < 2 || points > kMostSweepPoints)
    bad_sweep(text, fmt::format("needs 2 to {} points", kMostSweepPoints));
  if (!(from < to)) bad_sweep(text, "goes from a rate to a smaller one or the same");
  SweepRequest sweep{*resource, {}};
  for (int i = 0; i < static_cast<int>(points); ++i) sweep.rates.push_back(from * std::pow(to / from, i / (points - 1)));
  return sweep;
}

std::vector<Claim> chosen_claims(const std::string& configs, const std::vector<std::string>& names) {
  std::vector<Claim> chosen, known;
  const bool needs_known = names.empty() || !std::all_of(names.begin(), names.end(), is_file);
  if (needs_known) known = load_claims(configs);
  if (names.empty()) return known;
  for (const std::string& name : names)
    if (is_file(name))
      for (Claim& claim : load_claims_file(name)) chosen.push_back(std::move(claim));
    else
      add_named(known, name, chosen);
  require_distinct_ids(chosen);
  return chosen;
}

void require_settable(const std::vector<Claim>& claims, const ClaimOptions& options) {
  ClaimOptions own = options;
  own.numbers.clear();
  std::vector<std::string> known;
  for (const Claim& claim : claims)
    for (const std::string& key : settable_keys(claim, own))
      if (std::find(known.begin(), known.end(), key) == known.end()) known.push_back(key);
  const auto require = [&](const std::string& key) {
    if (std::find(known.begin(), known.end(), key) == known.end())
      throw Error(Fault::config, fmt::format("--set {}: none of these claims depends on it", key),
                  suggestion(key, known));
  };
  for (const auto& [key, value] : options.numbers) require(key);
  for (const auto& [resource, value] : options.rates) require(std::string(to_string(resource)));
}

}  // namespace chokepoint
