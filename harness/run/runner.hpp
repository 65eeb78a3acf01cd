// How does a suite become records? Group by group in child processes, each record priced, stamped and stored
// at once.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "harness/model/price.hpp"
#include "harness/model/record.hpp"
#include "harness/run/plan.hpp"
#include "harness/run/probe.hpp"
#include "harness/run/store.hpp"

namespace chokepoint {

struct RunSettings {
  std::string configs;
  std::vector<std::string> worker;  // command of the child: this program and "case"
  std::vector<PriceBook> books;
  std::optional<std::string> prices;  // a book by name instead of the market's
  Json provenance = Json::object();   // added to every record
  std::string run_id;
  std::optional<double> timeout_s;  // per group, instead of a multiple of what is expected
};

struct Progress {
  std::size_t group = 0, groups = 0;  // group is 0-based
  const CaseGroup* now = nullptr;
  double elapsed_s = 0.0, left_s = 0.0;
};

// Runs what the store does not hold yet. `progress` is called before each group and while it runs.
std::vector<Record> run_groups(const std::vector<CaseGroup>& groups, const Ceilings& ceilings,
                               const DeviceFacts& facts, const RunSettings& settings, Store& store,
                               const std::function<void(const Progress&)>& progress);

// The worker's side: reads {groups, ceilings, configs} as JSON, runs the groups in turn, answers with one line per
// record as soon as it exists.
void serve_groups(const std::string& request, const std::function<void(const std::string& line)>& answer);

// Adds metrics, with the price of the target where there is one.
void add_metrics(Record& record, const std::vector<PriceBook>& books,
                 const std::optional<std::string>& prices);

}  // namespace chokepoint
