#include "harness/claims/pipeline.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "harness/base/error.hpp"
#include "harness/base/random.hpp"

namespace chokepoint {
namespace {

std::string describe(const Pass& pass) {
  const std::string forward = fmt::format("the forward pass of stage {}, micro-batch {}", pass.forward_stage,
                                          pass.forward_micro_batch);
  const std::string_view part = pass.kind == PassKind::weight ? "weight" : "backward";
  const std::string backward = fmt::format("the {} pass of stage {}, micro-batch {}", part,
                                           pass.backward_stage, pass.backward_micro_batch);
  if (pass.kind == PassKind::forward) return forward;
  return pass.kind == PassKind::overlapped ? forward + " beside " + backward : backward;
}

bool has_forward(PassKind kind) { return kind == PassKind::forward || kind == PassKind::overlapped; }
bool has_backward(PassKind kind) { return kind != PassKind::forward && kind != PassKind::weight; }

// Puts the passes of all ranks into one order that can be run: each rank as far as it gets, again and again.
class Compiler {
 public:
  explicit Compiler(const PipelineProgram& program)
      : program_(program),
        next_(program.ranks.size(), 0),
        forward_(static_cast<std::size_t>(program.stages) * program.micro_batches),
        backward_(forward_.size()),
        weight_(forward_.size()) {}

  std::vector<CompiledPass> compile() {
    for (bool progress = true; progress;) {
      progress = false;
      for (std::size_t rank = 0; rank < program_.ranks.size(); ++rank)
        progress |= advance(static_cast<int>(rank));
    }
    for (std::size_t rank = 0; rank < program_.ranks.size(); ++rank) reject_stuck(static_cast<int>(rank));
    reject_missing();
    return std::move(passes_);
  }

 private:
  struct Done {
    std::int32_t pass = 0;  // index plus one; 0 while it has not run
    std::int32_t rank = 0;
  };

  Done& at(std::vector<Done>& all, int stage, int micro_batch) const {
    if (stage < 0 || stage >= program_.stages || micro_batch < 0 || micro_batch >= program_.micro_batches)
      throw Error(Fault::config,
                  fmt::format("stage {}, micro-batch {} is outside {} stages and {} micro-batches", stage,
                              micro_batch, program_.stages, program_.micro_batches),
                  "correct the program of the schedule");
    return all[static_cast<std::size_t>(stage) * program_.micro_batches + micro_batch];
  }

  // The result that the forward or backward part takes; null where it takes none.
  const Done* forward_need(const Pass& pass) {
    if (!has_forward(pass.kind) || pass.forward_stage == 0) return nullptr;
    return &at(forward_, pass.forward_stage - 1, pass.forward_micro_batch);
  }

  const Done* backward_need(const Pass& pass) {
    if (pass.kind == PassKind::weight) return &at(backward_, pass.backward_stage, pass.backward_micro_batch);
    if (!has_backward(pass.kind)) return nullptr;
    if (pass.backward_stage == program_.stages - 1)
      return &at(forward_, pass.backward_stage, pass.backward_micro_batch);
    return &at(backward_, pass.backward_stage + 1, pass.backward_micro_batch);
  }

  bool advance(int rank) {
    bool any = false;
    const std::vector<Pass>& order = program_.ranks[rank];
    for (; next_[rank] < order.size(); ++next_[rank], any = true) {
      const Pass& pass = order[next_[rank]];
      const Done *forward = forward_need(pass), *backward = backward_need(pass);
      if ((forward && forward->pass == 0) || (backward && backward->pass == 0)) break;
      add(rank, pass, forward, backward);
    }
    return any;
  }

  void add(int rank, const Pass& pass, const Done* forward, const Done* backward) {
    CompiledPass compiled{.pass = pass, .rank = rank, .duration = duration_of(pass)};
    int part = 0;
    for (const Done* need : {forward, backward}) {
      if (need) {
        compiled.needs[part] = need->pass;
        compiled.hops[part] = need->rank != rank;
      }
      ++part;
    }
    passes_.push_back(compiled);
    const Done done{static_cast<std::int32_t>(passes_.size()), rank};
    if (has_forward(pass.kind)) mark(forward_, pass.forward_stage, pass.forward_micro_batch, done, pass);
    if (has_backward(pass.kind)) mark(backward_, pass.backward_stage, pass.backward_micro_batch, done, pass);
    if (pass.kind != PassKind::forward && pass.kind != PassKind::backward_input)
      mark(weight_, pass.backward_stage, pass.backward_micro_batch, done, pass);
  }

  void mark(std::vector<Done>& all, int stage, int micro_batch, Done done, const Pass& pass) const {
    Done& place = at(all, stage, micro_batch);
    if (place.pass != 0)
      throw Error(
          Fault::config,
          fmt::format("rank {} runs {} a second time, after rank {}", done.rank, describe(pass), place.rank),
          "correct the program of the schedule");
    place = done;
  }

  std::int32_t duration_of(const Pass& pass) const {
    const int stage = has_forward(pass.kind) ? pass.forward_stage : pass.backward_stage;
    if (pass.kind == PassKind::overlapped && pass.backward_stage != program_.stages - 1 - stage)
      throw Error(Fault::config, fmt::format("{} is no pair of mirrored stages", describe(pass)),
                  "correct the program of the schedule");
    return static_cast<int>(pass.kind) * program_.stages + stage;
  }

  void reject_stuck(int rank) {
    const std::vector<Pass>& order = program_.ranks[rank];
    if (next_[rank] == order.size()) return;
    const Pass& pass = order[next_[rank]];
    const Done* forward = forward_need(pass);
    const bool input = forward && forward->pass == 0;
    const std::string_view what = pass.kind == PassKind::weight ? "the gradient of its output"
                                  : input                       ? "its input"
                                                                : "its gradient";
    throw Error(Fault::config,
                fmt::format("deadlock: rank {} waits for ever in pass {} of {}: {}, for {}", rank,
                            next_[rank] + 1, order.size(), describe(pass), what),
                "correct the order of passes in the program of the schedule");
  }

  void reject_missing() const {
    const std::vector<Done>* parts[] = {&forward_, &backward_, &weight_};
    static constexpr std::string_view names[] = {"forward", "backward", "weight"};
    for (int part = 0; part < 3; ++part)
      for (std::size_t i = 0; i < forward_.size(); ++i)
        if ((*parts[part])[i].pass == 0)
          throw Error(Fault::config,
                      fmt::format("no rank runs the {} pass of stage {}, micro-batch {}", names[part],
                                  i / program_.micro_batches, i % program_.micro_batches),
                      "correct the program of the schedule");
  }

  const PipelineProgram& program_;
  std::vector<std::size_t> next_;
  std::vector<Done> forward_, backward_, weight_;
  std::vector<CompiledPass> passes_;
};

RankCounts counts_of(const std::vector<Pass>& order) {
  RankCounts counts;
  int held = 0;
  for (const Pass& pass : order) {
    if (pass.kind == PassKind::forward) ++counts.forward;
    if (pass.kind == PassKind::backward || pass.kind == PassKind::backward_input) ++counts.backward;
    if (pass.kind == PassKind::weight) ++counts.weight;
    if (pass.kind == PassKind::overlapped) ++counts.overlapped;
    if (has_forward(pass.kind)) counts.held = std::max(counts.held, ++held);
    if (pass.kind != PassKind::forward && pass.kind != PassKind::backward_input) --held;
  }
  return counts;
}

std::int64_t& total_of(RankTotals& totals, PassKind kind) {
  switch (kind) {
    case PassKind::forward:
      return totals.forward_ns;
    case PassKind::weight:
      return totals.weight_ns;
    case PassKind::overlapped:
      return totals.overlapped_ns;
    default:
      return totals.backward_ns;
  }
}

// One of a pair of normal draws (Box and Muller 1958), made positive.
double half_normal(std::uint64_t seed, std::uint64_t index) {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - random_unit(seed, 1, index)));
  return std::fabs(radius * std::cos(2.0 * std::numbers::pi * random_unit(seed, 2, index)));
}

// By kind and stage, as `CompiledPass::duration` counts.
void fill_durations(const StageTimes& times, std::vector<std::int64_t>& durations) {
  durations.clear();
  const std::size_t stages = times.forward_ns.size();
  durations.insert(durations.end(), times.forward_ns.begin(), times.forward_ns.end());
  for (std::size_t stage = 0; stage < stages; ++stage)
    durations.push_back(times.backward_input_ns[stage] + times.weight_ns[stage]);
  durations.insert(durations.end(), times.backward_input_ns.begin(), times.backward_input_ns.end());
  durations.insert(durations.end(), times.weight_ns.begin(), times.weight_ns.end());
  durations.insert(durations.end(), times.overlapped_ns.begin(), times.overlapped_ns.end());
}

void check_times(const StageTimes& times, int stages, bool overlaps) {
  const auto wrong = [&](const std::vector<std::int64_t>& of, std::string_view name) {
    if (of.size() != static_cast<std::size_t>(stages))
      throw Error(Fault::config, fmt::format("{} stages, but {} {} times", stages, of.size(), name),
                  "give each stage of the pipeline a time");
  };
  wrong(times.forward_ns, "forward");
  wrong(times.backward_input_ns, "backward");
  wrong(times.weight_ns, "weight");
  if (overlaps) wrong(times.overlapped_ns, "overlapped");
}

}  // namespace

StageTimes even_stages(int stages, const EvenPasses& passes, std::int64_t hop_ns) {
  const auto all = [&](std::int64_t ns) { return std::vector<std::int64_t>(stages, ns); };
  return {all(passes.forward_ns), all(passes.backward_input_ns), all(passes.weight_ns),
          all(passes.overlapped_ns), hop_ns};
}

Pipeline::Pipeline(const PipelineProgram& program)
    : stages_(program.stages), passes_(Compiler(program).compile()) {
  for (const std::vector<Pass>& order : program.ranks) counts_.push_back(counts_of(order));
  for (const RankCounts& counts : counts_) overlaps_ |= counts.overlapped > 0;
}

void Pipeline::run(const StageTimes& times, PipelineRun& run, const Jitter& jitter) const {
  check_times(times, stages_, overlaps_);
  fill_durations(times, run.durations_ns);
  run.ranks.assign(ranks(), {});
  run.rank_free_ns.assign(ranks(), 0);
  run.start_ns.resize(passes_.size() + 1);
  run.end_ns.resize(passes_.size() + 1);
  run.start_ns[0] = run.end_ns[0] = 0;
  for (std::size_t i = 0; i < passes_.size(); ++i) {
    const CompiledPass& pass = passes_[i];
    std::int64_t start = run.rank_free_ns[pass.rank];
    for (int part : {0, 1})
      start = std::max(start, run.end_ns[pass.needs[part]] + pass.hops[part] * times.hop_ns);
    std::int64_t duration = run.durations_ns[pass.duration];
    if (jitter.sigma > 0.0) duration += std::llround(duration * jitter.sigma * half_normal(jitter.seed, i));
    run.start_ns[i + 1] = start;
    run.rank_free_ns[pass.rank] = run.end_ns[i + 1] = start + duration;
    total_of(run.ranks[pass.rank], pass.pass.kind) += duration;
  }
  run.makespan_ns = *std::max_element(run.rank_free_ns.begin(), run.rank_free_ns.end());
  for (RankTotals& totals : run.ranks)
    totals.idle_ns =
        run.makespan_ns - totals.forward_ns - totals.backward_ns - totals.weight_ns - totals.overlapped_ns;
}

PipelineRun Pipeline::run(const StageTimes& times) const {
  PipelineRun result;
  run(times, result);
  return result;
}

}  // namespace chokepoint
