#include "harness/model/model_architecture.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "harness/model/config_files.hpp"

namespace chokepoint {
namespace {

constexpr std::int64_t kMost = 1 << 24;  // far beyond any model, and products of three still fit in 63 bits

std::int64_t within(const Fields& fields, const std::string& key, std::int64_t value, std::int64_t least,
                    std::int64_t most) {
  if (value < least || value > most)
    fields.reject(key, fmt::format("is {}, but has to be from {} to {}", value, least, most), "correct it");
  return value;
}

std::int64_t count_within(Fields& fields, const std::string& key, std::int64_t least = 1, std::int64_t most = kMost) {
  return within(fields, key, fields.integer(key), least, most);
}

// Closes the part: its source, and names of its own figures.
PartSource decode_source(Fields& fields) {
  PartSource source{telling_text(fields, "source"),
                    distinct_texts(fields, "unverified", fields.maybe_texts("unverified"))};
  std::vector<std::string> figures = fields.keys();
  std::erase_if(figures, [](const std::string& key) { return key == "source" || key == "unverified"; });
  for (const std::string& name : source.unverified)
    if (std::find(figures.begin(), figures.end(), name) == figures.end())
      fields.reject("unverified", fmt::format("names \"{}\", which is no figure of this part", name),
                    suggestion(name, figures));
  fields.finish();
  return source;
}

void decode_latent(Fields& fields, AttentionArchitecture& attention) {
  attention.kind = AttentionKind::latent;
  attention.heads_kv = attention.heads;
  attention.q_rank = count_within(fields, "q_rank");
  attention.kv_rank = count_within(fields, "kv_rank");
  attention.nope_dim = count_within(fields, "nope_dim");
  attention.rope_dim = count_within(fields, "rope_dim");
  attention.v_dim = count_within(fields, "v_dim");
}

void decode_grouped(Fields& fields, AttentionArchitecture& attention, std::int64_t layers) {
  attention.heads_kv = count_within(fields, "heads_kv", 1, attention.heads);
  if (attention.heads % attention.heads_kv != 0)
    fields.reject("heads_kv",
                  fmt::format("is {}, which does not divide {} heads", attention.heads_kv, attention.heads),
                  "correct one of the two");
  attention.nope_dim = attention.v_dim = count_within(fields, "head_dim");
  attention.window = fields.maybe_integer("window");
  if (!attention.window) return;
  within(fields, "window", *attention.window, 1, kMost);
  attention.windowed_layers = count_within(fields, "windowed_layers", 1, layers);
}

AttentionArchitecture decode_attention(Fields fields, std::int64_t layers) {
  static constexpr std::array<std::string_view, 2> kKinds = {"grouped", "latent"};
  static const std::vector<std::string> kinds(kKinds.begin(), kKinds.end());
  AttentionArchitecture attention;
  const std::string kind = fields.text("kind");
  require_word(fields, "kind", kind, kinds);
  attention.heads = count_within(fields, "heads");
  if (kind == kKinds[1])
    decode_latent(fields, attention);
  else
    decode_grouped(fields, attention, layers);
  attention.source = decode_source(fields);
  return attention;
}

ExpertArchitecture decode_experts(Fields fields) {
  ExpertArchitecture experts;
  experts.count = count_within(fields, "count");
  experts.top_k = count_within(fields, "top_k", 1, experts.count);
  experts.intermediate = count_within(fields, "intermediate");
  experts.shared = count_within(fields, "shared", 0);
  experts.groups = count_within(fields, "groups", 1, experts.count);
  experts.group_limit = count_within(fields, "group_limit", 1, experts.groups);
  if (experts.count % experts.groups != 0)
    fields.reject("groups",
                  fmt::format("is {}, which does not divide {} experts", experts.groups, experts.count),
                  "correct one of the two");
  if (experts.top_k > experts.group_limit * (experts.count / experts.groups))
    fields.reject("top_k",
                  fmt::format("is {}, but {} groups hold {} experts", experts.top_k, experts.group_limit,
                              experts.group_limit * (experts.count / experts.groups)),
                  "raise group_limit or lower top_k");
  experts.source = decode_source(fields);
  return experts;
}

DenseArchitecture decode_dense(Fields fields) {
  DenseArchitecture dense;
  dense.intermediate = count_within(fields, "intermediate");
  dense.source = decode_source(fields);
  return dense;
}

PredictionArchitecture decode_prediction(Fields fields) {
  PredictionArchitecture prediction;
  prediction.layers = count_within(fields, "layers");
  prediction.source = decode_source(fields);
  return prediction;
}

void decode_linear(Fields fields, Architecture& architecture) {
  const std::string name = fields.text("dtype");
  const std::optional<Dtype> dtype = dtype_from(name);
  if (!dtype || (*dtype != Dtype::bf16 && *dtype != Dtype::fp8_e4m3 && *dtype != Dtype::f32))
    fields.reject("dtype", fmt::format("is \"{}\"", name), "write bf16, fp8_e4m3 or f32");
  architecture.linear_dtype = *dtype;
  architecture.linear_source = decode_source(fields);
}

// A part is there exactly when layers of its kind are.
void require_part(const Fields& fields, const std::string& key, bool there, std::int64_t layers_of_kind) {
  if (there == (layers_of_kind > 0)) return;
  fields.reject(
      key,
      fmt::format("{}, but {} layers are of this kind", there ? "is there" : "is missing", layers_of_kind),
      there ? "remove it, or correct dense_layers" : "add it, or correct dense_layers");
}

void append_unverified(const std::string& part, const PartSource& source, std::vector<std::string>& names) {
  for (const std::string& name : source.unverified) names.push_back(part + "." + name);
}

}  // namespace

Architecture decode_architecture(Fields fields, std::int64_t layers, std::int64_t dense_layers) {
  Architecture architecture;
  architecture.attention = decode_attention(fields.object("attention"), layers);
  if (auto dense = fields.maybe_object("dense")) architecture.dense = decode_dense(*dense);
  if (auto experts = fields.maybe_object("experts")) architecture.experts = decode_experts(*experts);
  if (auto prediction = fields.maybe_object("prediction"))
    architecture.prediction = decode_prediction(*prediction);
  decode_linear(fields.object("linear"), architecture);
  require_part(fields, "dense", architecture.dense.has_value(), dense_layers);
  require_part(fields, "experts", architecture.experts.has_value(), layers - dense_layers);
  if (architecture.prediction && !architecture.experts)
    fields.reject("prediction", "is there, but its layer is made like one with experts",
                  "add experts, or remove it");
  fields.finish();
  return architecture;
}

std::vector<std::string> unverified_figures(const Architecture& architecture) {
  std::vector<std::string> names;
  append_unverified("attention", architecture.attention.source, names);
  if (architecture.dense) append_unverified("dense", architecture.dense->source, names);
  if (architecture.experts) append_unverified("experts", architecture.experts->source, names);
  if (architecture.prediction) append_unverified("prediction", architecture.prediction->source, names);
  append_unverified("linear", architecture.linear_source, names);
  return names;
}

}  // namespace chokepoint
