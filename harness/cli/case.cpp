// `case`: the worker of `run`, not for people. Reads groups on standard input, answers with one record per
// line.
#include <fmt/format.h>
#include <unistd.h>

#include <iostream>
#include <iterator>

#include "harness/cli/command.hpp"
#include "harness/run/runner.hpp"

namespace chokepoint {
namespace {

const Register<Command> case_command{{.name = "case",
                                      .summary = "run groups of cases given on standard input (used by run)",
                                      .hidden = true,
                                      .add = [](CLI::App& app, Session&) {
                                        app.callback([] {
                                          const std::string request(std::istreambuf_iterator<char>(std::cin), {});
                                          // Libraries that print must not break the protocol: their standard
                                          // output becomes standard error.
                                          const int records = ::dup(STDOUT_FILENO);
                                          ::dup2(STDERR_FILENO, STDOUT_FILENO);
                                          FILE* out = ::fdopen(records, "w");
                                          serve_groups(request, [out](const std::string& line) {
                                            fmt::print(out, "{}\n", line);
                                            std::fflush(out);
                                          });
                                          std::fclose(out);
                                        });
                                      }}};

}  // namespace
}  // namespace chokepoint
