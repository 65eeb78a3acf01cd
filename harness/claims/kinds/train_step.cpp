// train_step: hours, rates and parts of a training step from its phases and its schedule.
#include "harness/claims/training_scene.hpp"

namespace chokepoint {
namespace {

const Register<Derivation> train_step_derivation{{.name = "train_step",
                                                  .summary = "a training step from phases and a pipeline schedule",
                                                  .settings = training_settings(),
                                                  .assumption_keys = training_assumption_keys(),
                                                  .routes = training_routes(),
                                                  .default_hardware = training_hardware,
                                                  .prepare = prepare_training}};

}  // namespace
}  // namespace chokepoint
