#include "harness/claims/stage_layout.hpp"

#include <fmt/format.h>

#include "harness/base/error.hpp"
#include "harness/base/strings.hpp"

namespace chokepoint {

StageLayout dsv3_rank0_shared_ends() {
  StageLayout layout = uniform_layout(16, 4);
  layout.front() = {.expert_layers = 1, .dense_layers = 3};
  layout.back() = {.expert_layers = 2, .heads = 2, .projections = 1};
  return layout;
}

StageLayout uniform_layout(int stages, int expert_layers) {
  return StageLayout(stages, StageContents{.expert_layers = expert_layers});
}

StageLayout find_stage_layout(const std::string& name) {
  static const std::vector<std::string> names = {"dsv3_rank0_shared_ends", "uniform"};
  if (name == names[0]) return dsv3_rank0_shared_ends();
  if (name == names[1]) return uniform_layout(16, 4);
  throw Error(Fault::config, fmt::format("layout \"{}\" is unknown", name), suggestion(name, names));
}

}  // namespace chokepoint
