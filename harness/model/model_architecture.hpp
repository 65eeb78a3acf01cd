// What is a model built of, layer by layer? The dimensions that its work and its weights follow from.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/base/dtype.hpp"
#include "harness/base/json.hpp"

namespace chokepoint {

// Where the figures of one part were read, and which of them nobody could check.
struct PartSource {
  std::string text;
  std::vector<std::string> unverified;  // names of figures: from memory, or from a single unconfirmed report
};

// grouped: heads / heads_kv heads share keys and values (multi-head to multi-query).
// latent: keys and values of all heads come out of one vector of kv_rank numbers per token, beside a key of
// rope_dim that all heads share (multi-head latent attention, DeepSeek-V2, arXiv 2405.04434, section 2.1).
enum class AttentionKind { grouped, latent };

struct AttentionArchitecture {
  AttentionKind kind = AttentionKind::grouped;
  std::int64_t heads = 0;
  std::int64_t heads_kv = 0;                // latent: that of its form with all heads spelled out, so `heads`
  std::int64_t nope_dim = 0, rope_dim = 0;  // columns of a query or key, without and with positions in latent
  std::int64_t v_dim = 0;                   // columns of a value
  std::int64_t q_rank = 0, kv_rank = 0;     // latent only
  std::optional<std::int64_t> window;       // tokens that `windowed_layers` of the layers look back on
  std::int64_t windowed_layers = 0;
  PartSource source;

  std::int64_t qk_dim() const { return nope_dim + rope_dim; }
};

// Gated: three matrices of hidden x intermediate each.
struct DenseArchitecture {
  std::int64_t intermediate = 0;
  PartSource source;
};

struct ExpertArchitecture {
  std::int64_t count = 0, top_k = 0;         // routed experts, and how many of them a token takes
  std::int64_t intermediate = 0;             // of one expert, gated
  std::int64_t shared = 0;                   // experts of the same size that every token takes
  std::int64_t groups = 1, group_limit = 1;  // a token's experts lie in at most group_limit of the groups
  PartSource source;
};

// Layers that predict a token further ahead (DeepSeek-V3, arXiv 2412.19437, section 2.2): a projection that
// joins hidden state and embedding, then an expert layer; embedding and head are the model's own.
struct PredictionArchitecture {
  std::int64_t layers = 0;
  PartSource source;
};

struct Architecture {
  AttentionArchitecture attention;
  std::optional<DenseArchitecture> dense;     // there when some layers have no experts
  std::optional<ExpertArchitecture> experts;  // there when some layers have
  std::optional<PredictionArchitecture> prediction;
  Dtype linear_dtype = Dtype::bf16;  // of matrix products in training; router and head stay in bf16
  PartSource linear_source;
};

// The object "architecture" of a model file of `layers` layers, the first `dense_layers` of them without
// experts. Throws Error{config} naming file, line and key.
Architecture decode_architecture(Fields fields, std::int64_t layers, std::int64_t dense_layers);

// Names of all figures nobody could check, with their part: "attention.v_dim".
std::vector<std::string> unverified_figures(const Architecture& architecture);

}  // namespace chokepoint
