#include "harness/claims/expert_trace.hpp"

#include <fmt/format.h>

#include "harness/base/error.hpp"
#include "harness/base/json.hpp"
#include "harness/base/strings.hpp"

namespace chokepoint {
namespace {

std::int64_t at_least_one(Fields& fields, const std::string& key) {
  const std::int64_t value = fields.integer(key);
  if (value < 1 || value > (1 << 24)) fields.reject(key, fmt::format("is {}", value), "write 1 or more");
  return value;
}

// Appends one token's experts; its line for the digest.
std::string append_token(const Fields& fields, const Json& row, ExpertTrace& trace) {
  std::string line;
  const bool fits = row.is_array() && std::ssize(row) == trace.top_k;
  for (std::int64_t k = 0; fits && k < trace.top_k; ++k) {
    const Json& value = row[static_cast<std::size_t>(k)];
    const std::int64_t expert = value.is_number_integer() ? value.get<std::int64_t>() : -1;
    if (expert < 0 || expert >= trace.experts)
      fields.reject("ids", fmt::format("hold {}, which is no expert", value.dump()),
                    fmt::format("write numbers from 0 to {}", trace.experts - 1));
    trace.ids.push_back(static_cast<std::int32_t>(expert));
    line += fmt::format("{}{}", line.empty() ? "" : ",", expert);
  }
  if (!fits) fields.reject("ids", "have a row that is no list of top_k numbers", "write the trace again");
  return line + '\n';
}

}  // namespace

ExpertTrace load_expert_trace(const std::string& path) {
  const JsonFile file = read_json(path);
  Fields fields(file);
  if (const std::string schema = fields.text("schema"); schema != "chokepoint/trace/1")
    fields.reject("schema", fmt::format("is \"{}\"", schema), "write \"chokepoint/trace/1\"");
  for (const char* key : {"$schema", "summary", "source"}) fields.maybe_text(key);
  ExpertTrace trace{.experts = at_least_one(fields, "experts"),
                    .top_k = at_least_one(fields, "top_k"),
                    .tokens = at_least_one(fields, "tokens"),
                    .path = path};
  const std::string digest = fields.text("sha256");
  const Json& rows = fields.any("ids");
  fields.finish();
  if (!rows.is_array() || std::ssize(rows) != trace.tokens)
    fields.reject("ids", fmt::format("has {} entries, not one per token", rows.size()),
                  "write the trace again");
  std::string lines;
  for (const Json& row : rows) lines += append_token(fields, row, trace);
  if (sha256_hex(lines) != digest)
    fields.reject("sha256", "is not that of the ids", "write the trace again, or correct the digest");
  return trace;
}

Imbalance imbalance_of(const ExpertTrace& trace, std::int64_t gpus) {
  return imbalance_of(trace.ids, trace.experts, gpus, "trace " + trace.path);
}

}  // namespace chokepoint
