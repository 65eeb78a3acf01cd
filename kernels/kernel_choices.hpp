// What can be chosen about a launch of a kernel? Tiles, splits: what its plan would choose by a model, and may be told.
//
// A kernel registers this beside itself:
//   const Register<KernelChoices> choices{{.name = "hopper", .operation = "attention", ...}};
// `chokepoint tune` walks the configurations; a file in configs/tuning says which one to take
// (harness/model/tuning.hpp).
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/kernel.hpp"

namespace chokepoint {

struct KernelChoices {
  std::string name, operation;  // the kernel's
  // What a launch of this shape may be told on this device, by names like "cuts=3,tile=low"; the plan's own choice,
  // which Kernel::prepare takes, first. Empty: nothing to choose.
  std::function<std::vector<std::string>(const Shape&, Dtype, const Device&)> configurations;
  // As Kernel::prepare, with one of those; throws Error{config} for another.
  std::function<std::unique_ptr<Launch>(const Problem&, Device&, const Pace&, const std::string& configuration)>
      prepare;
};

template <>
inline std::string registry_key<KernelChoices>(const KernelChoices& choices) {
  return choices.operation + "/" + choices.name;
}

// Null where the kernel has none.
const KernelChoices* find_choices(const std::string& operation, const std::string& kernel);

// Where `configuration` stands among `known`; throws Error{config} when it is not there.
std::size_t place_of_configuration(const std::string& configuration, std::span<const std::string> known);

}  // namespace chokepoint
