// serve_both: prompt and new tokens per second of a node that does one or the other.
#include "harness/claims/serving_scene.hpp"

namespace chokepoint {
namespace {

Prepared prepare(const Scene& scene) {
  Prepared prepared;
  if (!scene.machine) {
    prepared.missing.push_back("hardware, the machine that served");
    return prepared;
  }
  finish_serving(scene, {"prefill", "decode"}, prepared);
  const Predict prefill = prefill_source(scene, prepared), decode = decode_source(scene, prepared);
  prepared.predict = [prefill, decode](const Drawn& drawn) {
    return std::vector{prefill(drawn).front(), decode(drawn).front()};
  };
  return prepared;
}

const Register<Derivation> derivation{{.name = "serve_both",
                                       .summary = "prompt and new tokens per second of a node",
                                       .assumption_keys = serving_assumption_keys(),
                                       .prepare = prepare}};

}  // namespace
}  // namespace chokepoint
