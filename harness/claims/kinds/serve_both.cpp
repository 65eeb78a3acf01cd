// serve_both: prompt and new tokens per second of a node that does one or the other.
#include "harness/claims/serving_scene.hpp"

namespace chokepoint {
namespace {

Predict source(const Scene& scene, Prepared& prepared) {
  const Predict prefill = prefill_source(scene, prepared), decode = decode_source(scene, prepared);
  return [prefill, decode](const Drawn& drawn) { return std::vector{prefill(drawn).front(), decode(drawn).front()}; };
}

Prepared prepare_serve_both(const Scene& scene) { return prepare_serving(scene, {"prefill", "decode"}, source); }

const Register<Derivation> serve_both_derivation{{.name = "serve_both",
                                                  .summary = "prompt and new tokens per second of a node",
                                                  .assumption_keys = serving_assumption_keys(),
                                                  .prepare = prepare_serve_both}};

}  // namespace
}  // namespace chokepoint
