// How is a trace file read and fitted to a layer? scripts/make_routing_trace.py writes such files.
#include <fmt/format.h>

#include <cstdlib>

#include "harness/base/error.hpp"
#include "harness/base/json.hpp"
#include "harness/base/strings.hpp"
#include "kernels/moe_layer/imposed_ids.hpp"

namespace chokepoint::moe {
namespace {

// One token of the file, checked, appended to the trace; its line for the digest.
std::string append_token(const Fields& fields, const Json& row, std::int64_t token, Trace& trace) {
  const auto reject = [&](const std::string& message) {
    fields.reject(
        "ids", fmt::format("of token {} {}", token, message),
        fmt::format("give every token {} different experts from 0 to {}", trace.top_k, trace.experts - 1));
  };
  if (!row.is_array() || std::ssize(row) != trace.top_k) reject("are not a list of top_k numbers");
  std::string line;
  std::vector<bool> seen(static_cast<std::size_t>(trace.experts), false);
  for (const Json& value : row) {
    const std::int64_t expert = value.is_number_integer() ? value.get<std::int64_t>() : trace.experts;
    if (expert < 0 || expert >= trace.experts)
      reject(fmt::format("hold {}, which is no expert", value.dump()));
    if (seen[static_cast<std::size_t>(expert)]) reject(fmt::format("hold {} twice", expert));
    seen[static_cast<std::size_t>(expert)] = true;
    trace.ids.push_back(static_cast<std::int32_t>(expert));
    line += fmt::format("{}{}", line.empty() ? "" : ",", expert);
  }
  return line + '\n';
}

std::int64_t at_least_one(Fields& fields, const std::string& key) {
  const std::int64_t value = fields.integer(key);
  if (value < 1 || value > (1 << 24)) fields.reject(key, fmt::format("is {}", value), "write 1 or more");
  return value;
}

}  // namespace

Trace load_trace(const std::string& path) {
  const JsonFile file = read_json(path);
  Fields fields(file);
  if (const std::string schema = fields.text("schema"); schema != "chokepoint/trace/1")
    fields.reject("schema", fmt::format("is \"{}\"", schema), "write \"chokepoint/trace/1\"");
  fields.maybe_text("$schema");  // for editors
  for (const char* key : {"summary", "source"})
    if (fields.text(key).empty())
      fields.reject(key, "is empty", "say what the trace is and where it comes from");
  Trace trace{.experts = at_least_one(fields, "experts"),
              .top_k = at_least_one(fields, "top_k"),
              .tokens = at_least_one(fields, "tokens")};
  const std::string digest = fields.text("sha256");
  const Json& rows = fields.any("ids");
  fields.finish();
  if (!rows.is_array() || std::ssize(rows) != trace.tokens)
    fields.reject("ids", fmt::format("has {} entries, not one per token", rows.size()),
                  "write the trace again");
  std::string lines;
  for (std::int64_t token = 0; token < trace.tokens; ++token)
    lines += append_token(fields, rows[static_cast<std::size_t>(token)], token, trace);
  if (sha256_hex(lines) != digest)
    fields.reject("sha256", "is not that of the ids", "write the trace again, or correct the digest");
  return trace;
}

std::string default_trace_path() {
  const char* configs = std::getenv("CHOKEPOINT_CONFIGS");
  return std::string(configs != nullptr && *configs != '\0' ? configs : CHOKEPOINT_SOURCE_DIR "/configs") +
         "/traces/default.json";
}

std::vector<std::int32_t> fold_trace(const Trace& trace, std::int64_t experts, std::int64_t top_k,
                                     std::int64_t tokens) {
  const std::string remedy =
      fmt::format("make a trace with scripts/make_routing_trace.py --experts {} --top-k {}", experts, top_k);
  if (trace.experts % experts != 0)
    throw Error(
        Fault::config,
        fmt::format("the trace is of {} experts, which {} experts do not divide", trace.experts, experts),
        remedy);
  if (top_k > trace.top_k)
    throw Error(Fault::config,
                fmt::format("the trace has {} experts per token, and top_k is {}", trace.top_k, top_k),
                remedy);
  std::vector<std::int32_t> ids;
  for (std::int64_t token = 0; token < tokens; ++token) {
    std::vector<bool> taken(static_cast<std::size_t>(experts), false);
    for (std::int64_t k = 0; k < top_k; ++k) {
      std::int64_t expert = trace.ids[static_cast<std::size_t>(token % trace.tokens * trace.top_k + k)] /
                            (trace.experts / experts);
      while (taken[static_cast<std::size_t>(expert)]) expert = (expert + 1) % experts;
      taken[static_cast<std::size_t>(expert)] = true;
      ids.push_back(static_cast<std::int32_t>(expert));
    }
  }
  return ids;
}

}  // namespace chokepoint::moe
