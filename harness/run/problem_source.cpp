#include "harness/run/problem_source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace chokepoint {
namespace {

std::string key_of(const CaseGroup& group) {
  return fmt::format("{}/{}/{}/{}/{}", group.operation, to_string(group.dtype), group.shape.text(), group.inputs.seed,
                     group.inputs.distribution);
}

std::shared_ptr<const PreparedProblem> make(const CaseGroup& group) {
  PreparedProblem prepared;
  prepared.problem = find_operation(group.operation).make(group.shape, group.dtype, group.inputs);
  prepared.answer = answer_of(*prepared.problem);
  return std::make_shared<const PreparedProblem>(std::move(prepared));
}

}  // namespace

std::shared_ptr<const PreparedProblem> ProblemSource::get(const CaseGroup& group) {
  const std::string key = key_of(group);
  if (key != current_key_) {
    current_key_.clear();
    current_.reset();
    current_ = key == next_key_ && next_.valid() ? next_.get() : make(group);
    current_key_ = key;
  }
  return current_;
}

void ProblemSource::look_ahead() {
  const auto is_current = [&](const CaseGroup& group) { return key_of(group) == current_key_; };
  auto found = std::find_if(coming_.begin(), coming_.end(), is_current);
  found = std::find_if_not(found, coming_.end(), is_current);
  if (found == coming_.end() || key_of(*found) == next_key_) return;
  coming_ = coming_.subspan(static_cast<std::size_t>(found - coming_.begin()));
  next_key_ = key_of(*found);
  next_ = std::async(std::launch::async, make, *found);
}

}  // namespace chokepoint
