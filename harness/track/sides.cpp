#include "harness/track/sides.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace chokepoint {
namespace {

using Sightings = std::map<std::string, std::vector<Sighting>>;

// Records by case, cases in order of appearance.
Sightings sightings_of(const std::vector<RunRecords>& runs, std::vector<std::string>& order) {
  Sightings found;
  for (const RunRecords& run : runs)
    for (const Record& record : run.records) {
      std::vector<Sighting>& same = found[record.case_id];
      if (same.empty()) order.push_back(record.case_id);
      same.push_back({&record, &run});
    }
  return found;
}

// The name without the digest of the inputs and the device.
std::string name_of(const std::string& case_id) { return case_id.substr(0, case_id.rfind('#')); }

const Sighting& first_with_time(const std::vector<Sighting>& side) {
  const auto found =
      std::find_if(side.begin(), side.end(), [](const Sighting& s) { return s.record->status == Status::ok; });
  return found == side.end() ? side.front() : *found;
}

RunConditions conditions_of(const Sighting& sighting) {
  return conditions_of(*sighting.record, sighting.run->environment);
}

}  // namespace

std::vector<MatchedCase> match_cases(const std::vector<RunRecords>& base, const std::vector<RunRecords>& now) {
  std::vector<std::string> base_order, new_order;
  const Sightings in_base = sightings_of(base, base_order), in_new = sightings_of(now, new_order);
  std::map<std::string, std::string> by_name;  // ids of `now` that base lacks
  for (const std::string& id : new_order)
    if (!in_base.contains(id)) by_name[name_of(id)] = id;
  std::vector<MatchedCase> matched;
  std::set<std::string> taken;
  for (const std::string& id : base_order) {
    MatchedCase one{id, in_base.at(id), {}};
    const auto twin = by_name.find(name_of(id));
    if (in_new.contains(id))
      one.now = in_new.at(id);
    else if (twin != by_name.end() && taken.insert(twin->second).second)
      one.now = in_new.at(twin->second);
    matched.push_back(std::move(one));
  }
  for (const std::string& id : new_order)
    if (!in_base.contains(id) && !taken.contains(id)) matched.push_back({id, {}, in_new.at(id)});
  return matched;
}

double SideTimes::mean_log_s() const {
  double sum = 0.0;
  for (const RunTime& time : times) sum += time.log_s;
  return sum / static_cast<double>(times.size());
}

double SideTimes::sample_variance() const {
  double sum = 0.0;
  for (const RunTime& time : times) sum += time.variance.value_or(0.0);
  return sum / static_cast<double>(times.size() * times.size());
}

bool SideTimes::has_scatter() const {
  return std::any_of(times.begin(), times.end(), [](const RunTime& time) { return time.variance.has_value(); });
}

SideTimes times_of(const std::vector<Sighting>& side) {
  SideTimes result;
  for (const Sighting& sighting : side)
    if (const std::optional<RunTime> time = run_time_of(*sighting.record)) {
      result.runs.push_back(sighting.run);
      result.times.push_back(*time);
    }
  return result;
}

std::string obstacle_of(const std::vector<Sighting>& side) {
  if (side.empty()) return "absent";
  const Record& last = *side.back().record;
  if (last.status == Status::ok) return "has no time above 0";
  return last.reason.empty() ? std::string(to_string(last.status))
                             : fmt::format("{}: {}", to_string(last.status), last.reason);
}

std::size_t broken_in(const std::vector<Sighting>& side) {
  return static_cast<std::size_t>(std::count_if(side.begin(), side.end(), [](const Sighting& sighting) {
    return sighting.record->status == Status::failed || sighting.record->status == Status::invalid;
  }));
}

std::vector<Mismatch> mismatches_of(const MatchedCase& matched) {
  std::vector<Mismatch> found;
  const auto add = [&](const std::vector<Mismatch>& more) {
    for (const Mismatch& mismatch : more)
      if (std::none_of(found.begin(), found.end(), [&](const Mismatch& known) { return known.name == mismatch.name; }))
        found.push_back(mismatch);
  };
  if (matched.base.empty() || matched.now.empty()) return found;
  const RunConditions base = conditions_of(first_with_time(matched.base)),
                   now = conditions_of(first_with_time(matched.now));
  add(mismatches(base, now));
  for (const auto& [side, conditions] : {std::pair(&matched.base, &base), std::pair(&matched.now, &now)})
    for (const Sighting& sighting : *side)
      if (sighting.record->status == Status::ok) add(mismatches(*conditions, conditions_of(sighting)));
  return found;
}

}  // namespace chokepoint
