#include "harness/claims/claim_model.hpp"

#include <fmt/format.h>

#include "harness/base/strings.hpp"
#include "harness/claims/once_per_folder.hpp"

namespace chokepoint {
namespace {

// "llama-405b" fits "llama-3.1-405b": every word of the name is a word of the id, in the same order.
bool fits(const std::string& name, const std::string& id) {
  const std::vector<std::string> wanted = split(name, '-'), words = split(id, '-');
  std::size_t next = 0;
  for (const std::string& word : words)
    if (next < wanted.size() && word == wanted[next]) ++next;
  return next == wanted.size();
}

}  // namespace

ModelShapes model_of(const Claim& claim, const std::string& configs, const std::string& fallback) {
  const std::string name = claim.workload.text("model", fallback);
  const std::vector<ModelShapes>& models = once_per_folder<std::vector<ModelShapes>>(configs, load_models);
  std::vector<std::string> ids;
  std::vector<const ModelShapes*> fitting;
  for (const ModelShapes& model : models) {
    if (model.id == name) return model;
    ids.push_back(model.id);
    if (fits(name, model.id)) fitting.push_back(&model);
  }
  if (fitting.size() == 1) return *fitting.front();
  claim.reject("workload/model",
               fmt::format("is \"{}\", which {}", name, fitting.empty() ? "is no model" : "could be several models"),
               suggestion(name, ids));
}

}  // namespace chokepoint
