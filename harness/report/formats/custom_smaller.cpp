// Which figures should shrink? The list that github-action-benchmark reads as customSmallerIsBetter.
#include "harness/report/custom_list.hpp"

namespace chokepoint {
namespace {

const Register<Format> custom_smaller_format{
    {.name = "custom_smaller",
     .summary = "github-action-benchmark's customSmallerIsBetter: times and costs",
     .render = [](const ReportInput& input, const Style&) { return custom_list(input, false); }}};

}  // namespace
}  // namespace chokepoint
