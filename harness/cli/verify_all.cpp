// `verify_all`: many problems of a list, each checked against its reference, on one device: what a machine has to
// pass before it measures anything.
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <iostream>
#include <iterator>
#include <sstream>
#include <string_view>

#include "harness/base/error.hpp"
#include "harness/base/files.hpp"
#include "harness/base/strings.hpp"
#include "harness/cli/command.hpp"
#include "harness/device/device.hpp"
#include "harness/run/architecture.hpp"
#include "harness/run/child.hpp"
#include "harness/run/verify.hpp"

namespace chokepoint {
namespace {

constexpr double kMostReferenceFlop = 5e9;  // per problem: all rows of small ones, a spread of large ones
constexpr double kPatience_s = 60.0, kPatiencePerLine_s = 20.0;
constexpr unsigned kLaunchPatience_s = 20;  // on a GPU, where a launch takes milliseconds

struct VerifyAllFlags {
  std::vector<std::string> lists;
  std::string device = "cpu";
  bool worker = false;
  unsigned launch_patience_s = 0;  // of a worker; 0: without end, for tools that slow kernels down
};

// "matmul cuda_simple bf16 m=129,n=257,k=100"; '#' begins a comment.
struct Line {
  std::string operation, kernel, dtype, shape;
};

std::optional<Line> line_of(const std::string& text, const std::string& where) {
  std::istringstream words(text.substr(0, text.find('#')));
  Line line;
  std::string more;
  if (!(words >> line.operation)) return std::nullopt;
  if (!(words >> line.kernel >> line.dtype >> line.shape) || words >> more)
    throw Error(Fault::config, fmt::format("{}: \"{}\" is not a case", where, text),
                "write: operation kernel dtype field=value,..");
  return line;
}

std::string text_of(const Line& line) {
  return fmt::format("{} {} {} {}", line.operation, line.kernel, line.dtype, line.shape);
}

// "ok", "WRONG" or "skipped", and the rest of the sentence.
struct CaseOutcome {
  std::string verdict, text;
};

// A kernel that hangs costs its own case alone, and little of a machine that is lent for minutes.
int answers_of_worker = -1;

void answer_for_hung(int) {
  constexpr std::string_view kAnswer = "FAILED\ta launch did not end in time\n";
  if (::write(answers_of_worker, kAnswer.data(), kAnswer.size()) < 0) std::_Exit(1);
  std::_Exit(kSomeCaseFailed);
}

class LaunchPatience {
 public:
  LaunchPatience(const Device& device, unsigned patience_s) {
    if (device.facts().kind == "cuda") ::alarm(patience_s);
  }
  ~LaunchPatience() { ::alarm(0); }
};

Tensor& launched(Launch& launch, const Device& device, unsigned patience_s) {
  const LaunchPatience patience(device, patience_s);
  launch.poison();
  launch.run();
  return launch.output();
}

CaseOutcome check_line(const Line& line, Device& device, unsigned patience_s) {
  const Operation& operation = find_operation(line.operation);
  const Kernel& kernel = find_kernel(line.operation, line.kernel);
  const Shape shape = complete_shape(operation, parse_shape(line.shape));
  const std::optional<Dtype> dtype = dtype_from(line.dtype);
  if (!dtype) throw Error(Fault::config, fmt::format("dtype \"{}\" is unknown", line.dtype), "correct the list");
  if (const auto why = architecture_obstacle(kernel, device.facts())) return {"skipped", *why};
  if (const auto why = kernel.unsupported(shape, *dtype)) return {"skipped", *why};
  const std::unique_ptr<Problem> problem = operation.make(shape, *dtype, {});
  const std::unique_ptr<Launch> launch = kernel.prepare(*problem, device, Pace{});
  const Answer answer = answer_of(*problem, kMostReferenceFlop);
  Verification verification;
  for (int run = 0; run < 2; ++run) {  // twice: a launch has to be repeatable
    verification = compare(*problem, answer, launched(*launch, device, patience_s));
    if (!verification.passed) break;
  }
  return {verification.passed ? "ok" : "WRONG",
          fmt::format("error {}, tolerance {:.3g}, {} of {} rows",
                      verification.row_error ? fmt::format("{:.3g}", *verification.row_error) : "not finite",
                      verification.tolerance, verification.rows_checked, verification.rows)};
}

// Reads cases on standard input, answers with one line each as it goes: what a fault cuts off is known by number.
void serve(const std::string& device_name, unsigned patience_s) {
  const std::string input(std::istreambuf_iterator<char>(std::cin), {});
  const int answers = ::dup(STDOUT_FILENO);  // libraries that print must not break the protocol
  ::dup2(STDERR_FILENO, STDOUT_FILENO);
  answers_of_worker = answers;
  std::signal(SIGALRM, answer_for_hung);
  FILE* out = ::fdopen(answers, "w");
  const std::unique_ptr<Device> device = open_device(device_name);
  for (const std::string& text : split(input, '\n')) {
    const std::optional<Line> line = line_of(text, "standard input");
    if (!line) continue;
    CaseOutcome outcome;
    try {
      outcome = check_line(*line, *device, patience_s);
    } catch (const Error& error) {
      if (error.fault() == Fault::config) throw;
      outcome = {error.fault() == Fault::unsupported ? "skipped" : "FAILED", error.what()};
    }
    std::replace(outcome.text.begin(), outcome.text.end(), '\n', ' ');
    fmt::print(out, "{}\t{}\n", outcome.verdict, outcome.text);
    std::fflush(out);
    if (outcome.verdict == "FAILED") std::_Exit(kSomeCaseFailed);  // a faulted GPU context serves no further case
  }
  std::fclose(out);
}

std::vector<Line> read_lists(const std::vector<std::string>& files) {
  std::vector<Line> lines;
  for (const std::string& file : files) {
    int number = 0;
    for (const std::string& text : split(read_file(file), '\n'))
      if (const auto line = line_of(text, fmt::format("{}:{}", file, ++number))) lines.push_back(*line);
  }
  return lines;
}

CaseOutcome outcome_of(const std::string& answer) {
  const std::size_t tab = answer.find('\t');
  return {answer.substr(0, tab), tab == std::string::npos ? "" : answer.substr(tab + 1)};
}

// All outcomes in the order of the lines, each told as soon as it is known: whoever stops us keeps what there is.
template <class Tell>
void check_in_children(const std::vector<Line>& lines, const std::vector<std::string>& worker, Tell tell) {
  std::size_t known = 0;
  while (known < lines.size()) {
    std::string input;
    for (std::size_t i = known; i < lines.size(); ++i) input += text_of(lines[i]) + "\n";
    bool faulted = false;
    const ChildOutcome child =
        run_child(worker, input, kPatience_s + kPatiencePerLine_s * static_cast<double>(lines.size() - known), {},
                  [&](const std::string& answer) {
                    const CaseOutcome outcome = outcome_of(answer);
                    faulted = outcome.verdict == "FAILED";
                    if (known < lines.size()) tell(lines[known++], outcome);
                  });
    if (known < lines.size() && !faulted)
      tell(lines[known++],
           CaseOutcome{"FAILED", child.trouble.empty() ? "the process ended without an answer" : child.trouble});
  }
}

void verify_all(const VerifyAllFlags& flags, Session& session) {
  const std::vector<Line> lines = read_lists(flags.lists);
  const std::vector<std::string> worker = {session.program, "--configs", session.configs, "verify_all",
                                           "--worker",      "--device",  flags.device,
                                           "--launch-patience", fmt::format("{}", kLaunchPatience_s)};
  open_device(flags.device);  // one error where there is none, instead of one per case
  std::map<std::string, int> count;
  Json json = Json::array();
  check_in_children(lines, worker, [&](const Line& line, const CaseOutcome& outcome) {
    ++count[outcome.verdict];
    json.push_back({{"case", text_of(line)}, {"verdict", outcome.verdict}, {"text", outcome.text}});
    if (session.json) return;
    fmt::print("{:<8} {}: {}\n", outcome.verdict, text_of(line), outcome.text);
    std::fflush(stdout);
  });
  if (session.json) print_json(json);
  fmt::print(stderr, "{} cases on {}: {} right, {} wrong, {} failed, {} skipped\n", lines.size(), flags.device,
             count["ok"], count["WRONG"], count["FAILED"], count["skipped"]);
  if (count["WRONG"] + count["FAILED"] > 0) session.exit_code = kSomeCaseFailed;
  else if (count["ok"] == 0) session.exit_code = kNothingRan;
}

const Register<Command> verify_all_command{
    {.name = "verify_all",
     .place = 6,
     .summary = "check all problems of a list on one device",
     .add = [](CLI::App& app, Session& session) {
       auto flags = std::make_shared<VerifyAllFlags>();
       app.add_option("lists", flags->lists, "files with a case per line: operation kernel dtype field=value,..")
           ->option_text("FILE..");
       app.add_option("--device", flags->device, "cpu or cuda:N")->option_text("DEVICE");
       app.add_flag("--worker", flags->worker, "answer cases from standard input")->group("");
       app.add_option("--launch-patience", flags->launch_patience_s, "seconds that a launch on a GPU may take")
           ->group("");
       app.callback([flags, &session] {
         if (flags->worker) return serve(flags->device, flags->launch_patience_s);
         if (flags->lists.empty())
           throw Error(Fault::config, "verify_all needs a list", "tests/device/ has some");
         verify_all(*flags, session);
       });
     }}};

}  // namespace
}  // namespace chokepoint
