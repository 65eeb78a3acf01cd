#include "harness/claims/chrome_trace.hpp"

#include <fmt/format.h>

#include <iterator>
#include <string_view>

namespace chokepoint {
namespace {

// Collects events; names and values hold nothing that JSON would have to escape.
class Events {
 public:
  void name_row(int rank, int stream, std::string_view stream_name) {
    if (stream == 0)
      add(R"({{"name":"process_name","ph":"M","pid":{},"args":{{"name":"rank {}"}}}})", rank, rank);
    add(R"({{"name":"thread_name","ph":"M","pid":{},"tid":{},"args":{{"name":"{}"}}}})", rank, stream,
        stream_name);
  }

  void complete(std::string_view name, std::string_view category, int rank, int stream, std::int64_t start_ns,
                std::int64_t end_ns, std::string_view args = "") {
    add(R"({{"name":"{}","cat":"{}","ph":"X","ts":{:.3f},"dur":{:.3f},"pid":{},"tid":{},"args":{{{}}}}})",
        name, category, us(start_ns), us(end_ns - start_ns), rank, stream, args);
  }

  std::string take() { return "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n" + text_ + "\n]}\n"; }

 private:
  static double us(std::int64_t ns) { return static_cast<double>(ns) * 1e-3; }

  template <class... Values>
  void add(fmt::format_string<Values...> event, Values&&... values) {
    if (!text_.empty()) text_ += ",\n";
    fmt::format_to(std::back_inserter(text_), event, std::forward<Values>(values)...);
  }

  std::string text_;
};

std::string_view category(PassKind kind) {
  switch (kind) {
    case PassKind::forward:
      return "forward";
    case PassKind::backward:
      return "backward";
    case PassKind::backward_input:
      return "backward_input";
    case PassKind::weight:
      return "weight";
    case PassKind::overlapped:
      return "overlapped";
  }
  return "";
}

// "F3" is the forward pass of micro-batch 3, "F3 B1" one beside a backward pass of micro-batch 1.
std::string name_of(const Pass& pass) {
  switch (pass.kind) {
    case PassKind::forward:
      return fmt::format("F{}", pass.forward_micro_batch);
    case PassKind::backward:
      return fmt::format("B{}", pass.backward_micro_batch);
    case PassKind::backward_input:
      return fmt::format("Bin{}", pass.backward_micro_batch);
    case PassKind::weight:
      return fmt::format("W{}", pass.backward_micro_batch);
    case PassKind::overlapped:
      return fmt::format("F{} B{}", pass.forward_micro_batch, pass.backward_micro_batch);
  }
  return "";
}

std::string arguments_of(const Pass& pass) {
  std::string text;
  if (pass.forward_stage >= 0)
    text = fmt::format(R"("forward_stage":{},"forward_micro_batch":{})", pass.forward_stage,
                       pass.forward_micro_batch);
  if (pass.backward_stage >= 0)
    text += fmt::format(R"({}"backward_stage":{},"backward_micro_batch":{})", text.empty() ? "" : ",",
                        pass.backward_stage, pass.backward_micro_batch);
  return text;
}

}  // namespace

std::string chrome_trace(const Pipeline& pipeline, const PipelineRun& run, std::int64_t hop_ns) {
  Events events;
  for (int rank = 0; rank < pipeline.ranks(); ++rank) {
    events.name_row(rank, 0, "passes");
    if (hop_ns > 0) events.name_row(rank, 1, "to other ranks");
  }
  for (std::size_t i = 0; i < pipeline.passes().size(); ++i) {
    const CompiledPass& pass = pipeline.passes()[i];
    events.complete(name_of(pass.pass), category(pass.pass.kind), pass.rank, 0, run.start_ns[i + 1],
                    run.end_ns[i + 1], arguments_of(pass.pass));
    for (int part : {0, 1})
      if (pass.hops[part] != 0 && hop_ns > 0) {
        const CompiledPass& sender = pipeline.passes()[pass.needs[part] - 1];
        const std::int64_t sent_ns = run.end_ns[pass.needs[part]];
        events.complete(part == 0 ? "activations" : "gradients", "hop", sender.rank, 1, sent_ns,
                        sent_ns + hop_ns, fmt::format(R"("to_rank":{})", pass.rank));
      }
  }
  return events.take();
}

std::string chrome_trace(const PairSchedule& pair, int pairs) {
  Events events;
  events.name_row(0, 0, "compute");
  events.name_row(0, 1, "transfers");
  for (int i = 0; i < pairs; ++i)
    for (int task = 0; task < kPairTasks; ++task) {
      const PairTaskTimes& times = pair.tasks[task];
      if (times.start_ns == times.end_ns) continue;
      const bool transfer = is_transfer(PairTask{task});
      events.complete(to_string(PairTask{task}), transfer ? "transfer" : "compute", 0, transfer ? 1 : 0,
                      times.start_ns + i * pair.period_ns, times.end_ns + i * pair.period_ns,
                      fmt::format(R"("pair":{})", i));
    }
  return events.take();
}

}  // namespace chokepoint
