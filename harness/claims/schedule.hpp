// Which pipeline schedules are there, what do they ask for, and how much idle time do their closed forms
// promise?
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace chokepoint {

enum class Schedule {
  one_f_one_b,  // "1f1b": a forward pass, a backward pass, in turn (Narayanan et al. 2019)
  interleaved,  // "interleaved": the same with several chunks of layers per rank (Narayanan et al. 2021)
  zb_h1,        // "zb-h1": weight gradients fill the gaps, memory of 1f1b (Qi et al. 2024; "ZB1P")
  dualpipe,     // "dualpipe": two directions, forward beside backward (DeepSeek-V3 report, section 3.2.1)
  dualpipev,    // "dualpipev": the same folded at its middle, on half the ranks (deepseek-ai/DualPipe)
};

std::string_view to_string(Schedule schedule);
Schedule parse_schedule(const std::string& name);  // throws Error{config} with the nearest name
const std::vector<std::string>& schedule_names();

struct PipelinePlan {
  Schedule schedule = Schedule::one_f_one_b;
  int ranks = 1;
  int micro_batches = 1;
  int chunks_per_rank = 1;  // for interleaved; dualpipe and dualpipev always hold two chunks

  int stages() const;  // pieces that the model is cut into; dualpipe holds each of its stages twice
};

// Forward passes run beside backward passes of the other direction.
bool overlaps(Schedule schedule);

// Copies of each parameter among the ranks of a pipeline: 2 for dualpipe.
int parameter_copies(Schedule schedule);

// Throws Error{config} that says which value the schedule cannot run with, and what would do.
void check(const PipelinePlan& plan);
bool can_run(const PipelinePlan& plan);

// Times of one stage's passes over one micro-batch, all stages alike.
struct EvenPasses {
  std::int64_t forward_ns = 0, backward_input_ns = 0, weight_ns = 0;
  std::int64_t overlapped_ns = 0;  // a forward pass beside a whole backward pass

  std::int64_t backward_ns() const { return backward_input_ns + weight_ns; }
};

// Idle time of a rank, from first to last pass of the step, transfers between stages free. Where it differs
// between ranks (dualpipe with overlapped < forward + backward) it is the most idle rank's. Holds for weight
// <= forward and weight <= backward_input, for interleaved with chunks' times, and for both dualpipes where
// forward = backward_input; where forward is longer, they idle longer by (ranks / 2 - 1)(forward -
// backward_input). Sources: DeepSeek-V3 report, table 2; Narayanan et al. 2021, section 2.2; the README of
// deepseek-ai/DualPipe.
std::int64_t closed_form_idle_ns(const PipelinePlan& plan, const EvenPasses& passes);

}  // namespace chokepoint
