// serve_prefill: prompt tokens per second of a node, as kernels and transfers allow.
#include "harness/claims/serving_scene.hpp"

namespace chokepoint {
namespace {

Prepared prepare_serve_prefill(const Scene& scene) { return prepare_serving(scene, {}, prefill_source); }

const Register<Derivation> serve_prefill_derivation{{.name = "serve_prefill",
                                                     .summary = "prompt tokens per second of a node",
                                                     .assumption_keys = serving_assumption_keys(),
                                                     .prepare = prepare_serve_prefill}};

}  // namespace
}  // namespace chokepoint
