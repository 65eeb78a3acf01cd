// serve_decode: new tokens per second of a node, at a batch, a context and a number of GPUs that share the experts.
#include "harness/claims/serving_scene.hpp"

namespace chokepoint {
namespace {

Prepared prepare_serve_decode(const Scene& scene) { return prepare_serving(scene, {}, decode_source); }

const Register<Derivation> serve_decode_derivation{{.name = "serve_decode",
                                                    .summary = "new tokens per second of a node",
                                                    .assumption_keys = serving_assumption_keys(),
                                                    .prepare = prepare_serve_decode}};

}  // namespace
}  // namespace chokepoint
