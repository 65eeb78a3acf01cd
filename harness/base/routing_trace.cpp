#include "harness/base/routing_trace.hpp"

#include <fmt/format.h>

#include "harness/base/error.hpp"
#include "harness/base/json.hpp"
#include "harness/base/strings.hpp"

namespace chokepoint {
namespace {

// One token of the file, checked, appended to the trace; its line for the digest.
std::string append_token(const Fields& fields, const Json& row, std::int64_t token, RoutingTrace& trace) {
  const auto reject = [&](const std::string& message) {
    fields.reject("ids", fmt::format("of token {} {}", token, message),
                  fmt::format("give every token {} different experts from 0 to {}", trace.top_k, trace.experts - 1));
  };
  if (!row.is_array() || std::ssize(row) != trace.top_k) reject("are not a list of top_k numbers");
  std::string line;
  std::vector<bool> seen(static_cast<std::size_t>(trace.experts), false);
  for (const Json& value : row) {
    const std::int64_t expert = value.is_number_integer() ? value.get<std::int64_t>() : trace.experts;
    if (expert < 0 || expert >= trace.experts) reject(fmt::format("hold {}, which is no expert", value.dump()));
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

std::string told_text(Fields& fields, const std::string& key) {
  std::string text = fields.text(key);
  if (text.empty()) fields.reject(key, "is empty", "say what the trace is and where it comes from");
  return text;
}

}  // namespace

RoutingTrace load_routing_trace(const std::string& path) {
  const JsonFile file = read_json(path);
  Fields fields(file);
  if (const std::string schema = fields.text("schema"); schema != "chokepoint/trace/1")
    fields.reject("schema", fmt::format("is \"{}\"", schema), "write \"chokepoint/trace/1\"");
  fields.maybe_text("$schema");  // for editors
  const std::string summary = told_text(fields, "summary"), source = told_text(fields, "source");
  RoutingTrace trace{.experts = at_least_one(fields, "experts"),
                     .top_k = at_least_one(fields, "top_k"),
                     .tokens = at_least_one(fields, "tokens")};
  trace.summary = summary;
  trace.source = source;
  trace.recorded_from = fields.maybe_text("recorded_from").value_or("");
  const std::string digest = fields.text("sha256");
  const Json& rows = fields.any("ids");
  fields.finish();
  if (!rows.is_array() || std::ssize(rows) != trace.tokens)
    fields.reject("ids", fmt::format("has {} entries, not one per token", rows.size()), "write the trace again");
  std::string lines;
  for (std::int64_t token = 0; token < trace.tokens; ++token)
    lines += append_token(fields, rows[static_cast<std::size_t>(token)], token, trace);
  if (sha256_hex(lines) != digest)
    fields.reject("sha256", "is not that of the ids", "write the trace again, or correct the digest");
  return trace;
}

}  // namespace chokepoint
