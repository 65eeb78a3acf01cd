#include "harness/claims/pair_schedule.hpp"

#include <algorithm>

#include "harness/claims/nanoseconds.hpp"

namespace chokepoint {
namespace {

constexpr std::int64_t kNever = -(std::int64_t{1} << 60);  // far before everything, and far from overflow

// Besides the tasks of this pair: when the streams are through with the pair before.
constexpr int kComputeBefore = kPairTasks, kTransferBefore = kPairTasks + 1, kNothing = kPairTasks + 2;

constexpr int index(PairTask task) { return static_cast<int>(task); }

struct PairRule {
  PairTask task;
  int same_stream;  // the task that this stream issues before it
  int needs;        // the task of the other stream whose result it takes
};

// In an order in which everything that a task waits for stands above it. The order within the streams and who
// needs whom are those of DeepSeek's published training trace (deepseek-ai/profile-data@4496024, train.json).
constexpr std::array<PairRule, kPairTasks> kRules = {{
    {PairTask::attention_weight, kComputeBefore, kNothing},
    {PairTask::attention_forward, index(PairTask::attention_weight), kTransferBefore},
    {PairTask::combine_backward, kTransferBefore, kComputeBefore},
    {PairTask::mlp_backward, index(PairTask::attention_forward), index(PairTask::combine_backward)},
    {PairTask::dispatch_forward, index(PairTask::combine_backward), index(PairTask::attention_forward)},
    {PairTask::dispatch_backward, index(PairTask::dispatch_forward), index(PairTask::mlp_backward)},
    {PairTask::mlp_weight, index(PairTask::mlp_backward), kNothing},
    {PairTask::mlp_forward, index(PairTask::mlp_weight), index(PairTask::dispatch_forward)},
    {PairTask::combine_forward, index(PairTask::dispatch_backward), index(PairTask::mlp_forward)},
    {PairTask::attention_backward, index(PairTask::mlp_forward), index(PairTask::dispatch_backward)},
}};

using Durations = std::array<std::int64_t, kPairTasks>;

Durations durations_of(const ExpertLayerTimes& layer) {
  Durations times{};
  const auto set = [&](PairTask task, double seconds) { times[index(task)] = to_ns(seconds); };
  set(PairTask::attention_weight, layer.attention.weight_s);
  set(PairTask::attention_forward, layer.attention.forward_s);
  set(PairTask::mlp_backward, layer.mlp.backward_input_s);
  set(PairTask::mlp_weight, layer.mlp.weight_s);
  set(PairTask::mlp_forward, layer.mlp.forward_s);
  set(PairTask::attention_backward, layer.attention.backward_input_s);
  set(PairTask::combine_backward, layer.combine_backward_s + layer.sync_s);
  set(PairTask::dispatch_forward, layer.dispatch_forward_s + layer.sync_s);
  set(PairTask::dispatch_backward, layer.dispatch_backward_s + layer.sync_s);
  set(PairTask::combine_forward, layer.combine_forward_s + layer.sync_s);
  return times;
}

// When each task ends, if the streams are through with the pair before at these times.
struct Ends {
  std::array<std::int64_t, kPairTasks + 3> at;

  std::int64_t compute() const { return at[index(PairTask::attention_backward)]; }
  std::int64_t transfer() const { return at[index(PairTask::combine_forward)]; }
};

Ends one_pair(const Durations& times, std::int64_t compute_before, std::int64_t transfer_before) {
  Ends ends;
  ends.at[kComputeBefore] = compute_before;
  ends.at[kTransferBefore] = transfer_before;
  ends.at[kNothing] = kNever;
  for (const PairRule& rule : kRules)
    ends.at[index(rule.task)] =
        std::max(ends.at[rule.same_stream], ends.at[rule.needs]) + times[index(rule.task)];
  return ends;
}

// Which transfer's result a rule takes, if it takes one; a result of the pair before counts as well.
bool takes(const PairRule& rule, PairTask transfer) {
  if (is_transfer(rule.task)) return false;
  return rule.needs == index(transfer) ||
         (rule.needs == kTransferBefore && transfer == PairTask::combine_forward);
}

std::int64_t slack_of(PairTask transfer, const PairSchedule& pair) {
  for (const PairRule& rule : kRules)
    if (takes(rule, transfer)) {
      const std::int64_t next = rule.needs == kTransferBefore ? pair.period_ns : 0;
      return pair.tasks[index(rule.task)].start_ns + next - pair.tasks[index(transfer)].end_ns;
    }
  return 0;
}

}  // namespace

std::string_view to_string(PairTask task) {
  static constexpr std::array<std::string_view, kPairTasks> names = {
      "attention_weight",   "attention_forward", "mlp_backward",     "mlp_weight",        "mlp_forward",
      "attention_backward", "combine_backward",  "dispatch_forward", "dispatch_backward", "combine_forward"};
  return names[index(task)];
}

bool is_transfer(PairTask task) { return task >= PairTask::combine_backward; }

// Only two times lead from one pair to the next: when either stream is through. So the slowest cycle goes
// through the compute stream's end, or through the transfer stream's. (The largest cycle mean of a max-plus
// matrix; Baccelli, Cohen, Olsder and Quadrat 1992, theorem 3.23.) A cycle through both in turn is never
// slower than the slower of these: where its two ways meet they can swap tails, and where they do not, no
// task is on both. From an eigenvector every pair runs like the one before.
PairSchedule schedule_pair(const ExpertLayerTimes& layer) {
  const Durations times = durations_of(layer);
  const Ends from_compute = one_pair(times, 0, kNever), from_transfer = one_pair(times, kNever, 0);
  PairSchedule pair;
  for (int task = 0; task < kPairTasks; ++task)
    (is_transfer(PairTask{task}) ? pair.transfer_ns : pair.compute_ns) += times[task];
  pair.period_ns = std::max(from_compute.compute(), from_transfer.transfer());
  const bool transfers_decide = pair.period_ns == from_transfer.transfer();
  const Ends ends = transfers_decide ? one_pair(times, 0, pair.period_ns - from_transfer.compute())
                                     : one_pair(times, 0, from_compute.transfer() - pair.period_ns);
  for (int task = 0; task < kPairTasks; ++task)
    pair.tasks[task] = {ends.at[task] - times[task], ends.at[task]};
  for (int task = 0; task < kPairTasks; ++task)
    if (is_transfer(PairTask{task})) pair.slack_ns[task] = slack_of(PairTask{task}, pair);
  return pair;
}

}  // namespace chokepoint
