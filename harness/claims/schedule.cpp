#include "harness/claims/schedule.hpp"

#include <fmt/format.h>

#include <array>

#include "harness/base/error.hpp"
#include "harness/base/strings.hpp"

namespace chokepoint {
namespace {

struct Wrong {
  std::string message, remedy;
  bool any() const { return !message.empty(); }
};

// Directions meet in the middle, so that pairs of ranks and pairs of micro-batches are needed; and the
// warm-up of both directions has to be over before the first pair (DualPipe, `num_chunks >= num_ranks * 2`).
Wrong two_directions(const PipelinePlan& plan) {
  const std::string name(to_string(plan.schedule));
  const int least = 2 * plan.ranks;
  if (plan.schedule == Schedule::dualpipe && plan.ranks % 2 != 0)
    return {fmt::format("{} pairs ranks, and {} ranks is an odd number", name, plan.ranks),
            "take an even number"};
  if (plan.schedule == Schedule::dualpipe && plan.micro_batches % 2 != 0)
    return {fmt::format("{} feeds {} micro-batches from two ends, and that is an odd number", name,
                        plan.micro_batches),
            fmt::format("take {}", plan.micro_batches + 1)};
  if (plan.micro_batches < least)
    return {fmt::format("{} on {} ranks needs at least {} micro-batches, not {}", name, plan.ranks, least,
                        plan.micro_batches),
            fmt::format("raise micro-batches to {}, lower ranks to {}, or take 1f1b or zb-h1", least,
                        plan.micro_batches / 2)};
  return {};
}

constexpr double kMostPasses = 1e6;  // the published runs have some thousand; each is simulated in every draw

Wrong what_is_wrong(const PipelinePlan& plan) {
  const std::string name(to_string(plan.schedule));
  if (plan.ranks < 1 || plan.micro_batches < 1)
    return {fmt::format("{} cannot run {} micro-batches on {} ranks", name, plan.micro_batches, plan.ranks),
            "take at least one of either"};
  const double chunks = plan.schedule == Schedule::interleaved ? plan.chunks_per_rank : 1.0;
  if (chunks * plan.ranks * plan.micro_batches > kMostPasses)
    return {fmt::format("{} ranks of {} chunks and {} micro-batches are more passes than are run one by one",
                        plan.ranks, chunks, plan.micro_batches),
            fmt::format("take a plan of at most {:.0f} forward passes", kMostPasses)};
  if (overlaps(plan.schedule)) return two_directions(plan);
  if (plan.schedule != Schedule::interleaved) return {};
  if (plan.chunks_per_rank < 1)
    return {fmt::format("interleaved with {} chunks per rank", plan.chunks_per_rank), "take at least one"};
  if (plan.micro_batches % plan.ranks != 0)
    return {fmt::format("interleaved takes micro-batches in groups of {} ranks, and {} is no multiple",
                        plan.ranks, plan.micro_batches),
            fmt::format("take {}", (plan.micro_batches / plan.ranks + 1) * plan.ranks)};
  return {};
}

}  // namespace

const std::vector<std::string>& schedule_names() {
  static const std::vector<std::string> names = {"1f1b", "interleaved", "zb-h1", "dualpipe", "dualpipev"};
  return names;
}

std::string_view to_string(Schedule schedule) { return schedule_names()[static_cast<int>(schedule)]; }

Schedule parse_schedule(const std::string& name) {
  const std::vector<std::string>& names = schedule_names();
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i] == name) return static_cast<Schedule>(i);
  throw Error(Fault::config, fmt::format("schedule \"{}\" is unknown", name), suggestion(name, names));
}

int PipelinePlan::stages() const {
  if (schedule == Schedule::interleaved) return ranks * chunks_per_rank;
  return schedule == Schedule::dualpipev ? 2 * ranks : ranks;
}

bool overlaps(Schedule schedule) { return schedule == Schedule::dualpipe || schedule == Schedule::dualpipev; }

int parameter_copies(Schedule schedule) { return schedule == Schedule::dualpipe ? 2 : 1; }

void check(const PipelinePlan& plan) {
  if (Wrong wrong = what_is_wrong(plan); wrong.any())
    throw Error(Fault::config, std::move(wrong.message), std::move(wrong.remedy));
}

bool can_run(const PipelinePlan& plan) { return !what_is_wrong(plan).any(); }

std::int64_t closed_form_idle_ns(const PipelinePlan& plan, const EvenPasses& passes) {
  const std::int64_t others = plan.ranks - 1;
  switch (plan.schedule) {
    case Schedule::one_f_one_b:
    case Schedule::interleaved:
      return others * (passes.forward_ns + passes.backward_ns());
    case Schedule::zb_h1:
      return others * (passes.forward_ns + passes.backward_input_ns - passes.weight_ns);
    case Schedule::dualpipe:
      return (plan.ranks / 2 - 1) * (passes.overlapped_ns + passes.backward_ns() - 3 * passes.weight_ns);
    case Schedule::dualpipev:
      return others * (passes.overlapped_ns + passes.backward_ns() - 3 * passes.weight_ns);
  }
  return 0;
}

}  // namespace chokepoint
