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
  // `coming`: the groups that will be asked for, in this order, and prepared one ahead; it outlives this. Without it
  // nothing is prepared ahead.
  explicit ProblemSource(std::span<const CaseGroup> coming = {}) : coming_(coming) {}

  // Blocks until it is made; throws what making it throws.
  std::shared_ptr<const PreparedProblem> get(const CaseGroup& group);

 private:
  void look_ahead();

  std::span<const CaseGroup> coming_;
  std::string current_key_, next_key_;
  std::shared_ptr<const PreparedProblem> current_;
  std::future<std::shared_ptr<const PreparedProblem>> next_;  // its destructor waits
};

}  // namespace chokepoint
