// Where do a group's inputs and the right answer to them come from? Made by the host, once for groups in a row that
// share them, and ahead of time where the host has nothing else to do while a device measures.
#pragma once

#include <future>
#include <memory>
#include <span>
#include <string>

#include "harness/run/plan.hpp"
#include "harness/run/verify.hpp"

namespace chokepoint {

struct PreparedProblem {
  std::unique_ptr<Problem> problem;
  Answer answer;
};

class ProblemSource {
 public:
  // `coming`: the groups that will be asked for, in this order; it outlives this. Without it nothing is made ahead.
  explicit ProblemSource(std::span<const CaseGroup> coming = {}) : coming_(coming) {}

  // Blocks until it is made; throws what making it throws.
  std::shared_ptr<const PreparedProblem> get(const CaseGroup& group);

  // Begins to make the problem that comes after the one handed out last, on another thread: two are in memory then.
  void look_ahead();

 private:
  std::span<const CaseGroup> coming_;
  std::string current_key_, next_key_;
  std::shared_ptr<const PreparedProblem> current_;
  std::future<std::shared_ptr<const PreparedProblem>> next_;  // its destructor waits
};

}  // namespace chokepoint
