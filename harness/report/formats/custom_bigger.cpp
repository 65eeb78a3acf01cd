// Which figures should grow? The list that github-action-benchmark reads as customBiggerIsBetter.
#include "harness/report/custom_list.hpp"

namespace chokepoint {
namespace {

const Register<Format> custom_bigger_format{
    {.name = "custom_bigger",
     .summary = "github-action-benchmark's customBiggerIsBetter: rates, work per $ and per J",
     .render = [](const ReportInput& input, const Style&) { return custom_list(input, true); }}};

}  // namespace
}  // namespace chokepoint
