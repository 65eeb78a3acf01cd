// What does a trial of two configurations leave behind? A record for each side, as of any measured case.
#pragma once

#include <string>
#include <vector>

#include "harness/model/record.hpp"
#include "harness/run/plan.hpp"
#include "harness/run/tune.hpp"

namespace chokepoint {

// Of both sides that were sampled, challenger first. `trial` numbers the trials of a group, from 1; case ids are those
// of the group's host target with the configuration and the trial behind them. Samples were taken in turn.
std::vector<Record> records_of(const TuneTrial& trial, int number, const CaseGroup& group, const DeviceFacts& facts,
                               double confidence);

}  // namespace chokepoint
