#include "harness/model/record.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "harness/base/error.hpp"
#include "harness/base/units.hpp"
#include "harness/model/recorded_trace.hpp"

namespace chokepoint {
namespace {

constexpr std::array<std::string_view, 5> kStatusNames = {"ok", "invalid", "unsupported", "skipped",
                                                          "failed"};
constexpr std::array<std::string_view, 5> kBasisNames = {"measured", "emulated", "scaled", "projected",
                                                         "reported"};
constexpr std::array<std::string_view, 4> kCapStatusNames = {"held", "missed", "leaked", "unverified"};
constexpr std::array<std::string_view, 4> kEnergyBases = {"measured", "measured_under_cap", "provisioned",
                                                          "absent"};

template <std::size_t N>
int index_of(Fields& fields, const std::string& key, const std::array<std::string_view, N>& names) {
  const std::string text = fields.text(key);
  for (std::size_t i = 0; i < N; ++i)
    if (names[i] == text) return static_cast<int>(i);
  std::string known;
  for (const std::string_view name : names) known += fmt::format("{}{}", known.empty() ? "" : ", ", std::string(name));
  fields.reject(key, fmt::format("is \"{}\"", text), "write one of " + known);
}

Json cap_json(const CapRecord& cap) {
  return {{"resource", to_string(cap.resource)},
          {"unit", fmt::format("{}/s", unit_of(cap.resource))},
          {"target_rate", cap.target_rate},
          {"target_rate_kind", cap.target_rate_kind},
          {"target_rate_verified", cap.target_rate_verified},
          {"requested", cap.requested},
          {"latency_s", cap.latency_s},
          {"delivered_before", or_null(cap.delivered_before)},
          {"delivered_during", or_null(cap.delivered_during)},
          {"delivered_after", or_null(cap.delivered_after)},
          {"linearity_error", or_null(cap.linearity_error)},
          {"ceiling", cap.ceiling},
          {"headroom", cap.headroom},
          {"mechanism", cap.mechanism},
          {"tolerance", or_null(cap.tolerance)},
          {"busy_share", or_null(cap.busy_share)},
          {"status", to_string(cap.status)}};
}

CapRecord cap_from(Fields fields) {
  CapRecord cap;
  constexpr std::array<std::string_view, 4> names = {"compute", "memory", "link", "network"};
  cap.resource = static_cast<Resource>(index_of(fields, "resource", names));
  fields.text("unit");
  cap.target_rate = fields.number("target_rate");
  cap.target_rate_kind = fields.text("target_rate_kind");
  cap.target_rate_verified = fields.boolean("target_rate_verified");
  cap.requested = fields.number("requested");
  cap.latency_s = fields.number("latency_s");
  cap.delivered_before = fields.maybe_number("delivered_before");
  cap.delivered_during = fields.maybe_number("delivered_during");
  cap.delivered_after = fields.maybe_number("delivered_after");
  cap.linearity_error = fields.maybe_number("linearity_error");
  cap.ceiling = fields.number("ceiling");
  cap.headroom = fields.number("headroom");
  cap.mechanism = fields.text("mechanism");
  cap.tolerance = fields.maybe_number("tolerance");
  cap.busy_share = fields.maybe_number("busy_share");
  cap.status = static_cast<CapStatus>(index_of(fields, "status", kCapStatusNames));
  fields.finish();
  return cap;
}

// Tenths of a nanosecond: finer than any clock used, and short to write.
std::vector<double> rounded(const std::vector<double>& samples) {
  std::vector<double> result;
  result.reserve(samples.size());
  for (double sample : samples) result.push_back(std::round(sample * 1e10) / 1e10);
  return result;
}

Json time_json(const TimeSummary& time) {
  return {{"median", or_null(time.median)},
          {"ci_low", or_null(time.ci_low)},
          {"ci_high", or_null(time.ci_high)},
          {"mean", or_null(time.mean)},
          {"mean_ci_low", or_null(time.mean_ci_low)},
          {"mean_ci_high", or_null(time.mean_ci_high)},
          {"n", time.n},
          {"ess", or_null(time.ess)},
          {"cv", or_null(time.cv)},
          {"stopped_by", time.stopped_by},
          {"regime", time.regime},
          {"window_s", time.window_s},
          {"samples", rounded(time.samples)}};
}

TimeSummary time_from(Fields fields) {
  TimeSummary time;
  time.median = fields.maybe_number("median");
  time.ci_low = fields.maybe_number("ci_low");
  time.ci_high = fields.maybe_number("ci_high");
  time.mean = fields.maybe_number("mean");
  time.mean_ci_low = fields.maybe_number("mean_ci_low");
  time.mean_ci_high = fields.maybe_number("mean_ci_high");
  time.n = fields.integer("n");
  time.ess = fields.maybe_number("ess");
  time.cv = fields.maybe_number("cv");
  time.stopped_by = fields.text("stopped_by");
  time.regime = fields.text("regime");
  time.window_s = fields.number("window_s");
  const Json& samples = fields.any("samples");
  if (!samples.is_array()) fields.reject("samples", "is not a list", "write [seconds, ...]");
  for (const Json& sample : samples) {
    if (!sample.is_number())
      fields.reject("samples", "holds something that is not a number", "write seconds");
    time.samples.push_back(sample.get<double>());
  }
  fields.finish();
  return time;
}

Json work_json(const Work& work) {
  return {{"flop", work.flop},
          {"memory_bytes", work.memory_bytes},
          {"link_bytes", work.link_bytes},
          {"network_bytes", work.network_bytes},
          {"tokens", work.tokens},
          {"link_messages", work.link_messages},
          {"network_messages", work.network_messages}};
}

Work work_from(Fields fields) {
  Work work;
  work.flop = fields.number("flop");
  work.memory_bytes = fields.number("memory_bytes");
  work.link_bytes = fields.number("link_bytes");
  work.network_bytes = fields.number("network_bytes");
  work.tokens = fields.number("tokens");
  work.link_messages = fields.number("link_messages");
  work.network_messages = fields.number("network_messages");
  fields.finish();
  return work;
}

Json shape_json(const Shape& shape) {
  Json json = Json::object();
  for (const auto& [field, value] : shape.values())
    std::visit([&, &name = field](const auto& inner) { json[name] = inner; }, value);
  return json;
}

Shape shape_from(Fields fields) {
  Shape shape;
  for (const std::string& key : fields.keys()) {
    if (fields.json()[key].is_string())
      shape.set(key, fields.text(key));
    else
      shape.set(key, fields.integer(key));
  }
  return shape;
}

Json energy_json(const Energy& energy) {
  return {{"basis", energy.basis},
          {"power_w", or_null(energy.power_w)},
          {"scope", energy.scope},
          {"source", energy.source},
          {"verified", energy.verified},
          {"host_joule_per_launch", or_null(energy.host_joule_per_launch)},
          {"gross_j_per_launch", or_null(energy.gross_j_per_launch)},
          {"net_j_per_launch", or_null(energy.net_j_per_launch)},
          {"random_error", or_null(energy.random_error)},
          {"systematic_error", or_null(energy.systematic_error)},
          {"idle_w", or_null(energy.idle_w)},
          {"static_share", or_null(energy.static_share)},
          {"agreement", or_null(energy.agreement)},
          {"window_s", or_null(energy.window_s)},
          {"trials", energy.trials ? Json(*energy.trials) : Json(nullptr)},
          {"tick_s", or_null(energy.tick_s)},
          {"memory_scope_w", or_null(energy.memory_scope_w)},
          {"flags", energy.flags},
          {"systematic_parts", readings_json(energy.systematic_parts)},
          {"instrument", readings_json(energy.instrument)},
          {"conditions", answers_json(energy.conditions)},
          {"duty", or_null(energy.duty)},
          {"before", readings_json(energy.before)},
          {"after", readings_json(energy.after)},
          {"slowed_s", readings_json(energy.slowed_s)}};
}

// A JSON object that is kept as it is; texts where the program reads them.
Json free_object(Fields& fields, const std::string& key, std::initializer_list<const char*> texts) {
  Fields inner = fields.object(key);
  for (const char* text : texts) inner.maybe_text(text);
  return inner.json();
}

Energy energy_from(Fields fields) {
  Energy energy;
  energy.basis = kEnergyBases[static_cast<std::size_t>(index_of(fields, "basis", kEnergyBases))];
  energy.power_w = fields.maybe_number("power_w");
  energy.scope = fields.text("scope");
  energy.source = fields.text("source");
  energy.verified = fields.boolean("verified");
  energy.host_joule_per_launch = fields.maybe_number("host_joule_per_launch");
  energy.gross_j_per_launch = fields.maybe_number("gross_j_per_launch");
  energy.net_j_per_launch = fields.maybe_number("net_j_per_launch");
  energy.random_error = fields.maybe_number("random_error");
  energy.systematic_error = fields.maybe_number("systematic_error");
  energy.idle_w = fields.maybe_number("idle_w");
  energy.static_share = fields.maybe_number("static_share");
  energy.agreement = fields.maybe_number("agreement");
  energy.window_s = fields.maybe_number("window_s");
  energy.trials = fields.maybe_integer("trials");
  energy.tick_s = fields.maybe_number("tick_s");
  energy.memory_scope_w = fields.maybe_number("memory_scope_w");
  energy.flags = fields.maybe_texts("flags");
  energy.systematic_parts = readings_from(fields, "systematic_parts");
  energy.instrument = readings_from(fields, "instrument");
  energy.conditions = answers_from(fields, "conditions");
  energy.duty = fields.maybe_number("duty");
  energy.before = readings_from(fields, "before");
  energy.after = readings_from(fields, "after");
  energy.slowed_s = readings_from(fields, "slowed_s");
  fields.finish();
  return energy;
}

}  // namespace

std::string_view to_string(Status status) { return kStatusNames[static_cast<std::size_t>(status)]; }
std::string_view to_string(Basis basis) { return kBasisNames[static_cast<std::size_t>(basis)]; }
std::string_view to_string(CapStatus status) { return kCapStatusNames[static_cast<std::size_t>(status)]; }

std::optional<double> Record::target_time_s() const {
  return time.median ? std::optional<double>(*time.median / dilation) : std::nullopt;
}

Json to_json(const Record& record) {
  Json caps = Json::array(), metrics = Json::object();
  for (const CapRecord& cap : record.caps) caps.push_back(cap_json(cap));
  for (const auto& [name, metric] : record.metrics)
    metrics[name] = {{"value", metric.value},
                     {"ci_low", or_null(metric.ci_low)},
                     {"ci_high", or_null(metric.ci_high)},
                     {"unit", metric.unit}};
  Json verification = nullptr;
  if (record.verification)
    verification = {{"error", or_null(record.verification->error)},
                    {"row_error", or_null(record.verification->row_error)},
                    {"tolerance", record.verification->tolerance},
                    {"passed", record.verification->passed},
                    {"rows_checked", record.verification->rows_checked},
                    {"rows", record.verification->rows}};
  return {{"schema", kRecordSchema},
          {"run_id", record.run_id},
          {"case_id", record.case_id},
          {"attempt", record.attempt},
          {"operation", record.operation},
          {"kernel", record.kernel},
          {"shape", shape_json(record.shape)},
          {"dtype", to_string(record.dtype)},
          {"device", record.device},
          {"target", record.target},
          {"basis", record.basis ? Json(to_string(*record.basis)) : Json(nullptr)},
          {"status", to_string(record.status)},
          {"reason", record.reason},
          {"dilation", record.dilation},
          {"caps", caps},
          {"time_s", time_json(record.time)},
          {"interleave_group", record.interleave_group},
          {"verification", verification},
          {"work", work_json(record.work)},
          {"energy", energy_json(record.energy)},
          {"metrics", metrics},
          {"provenance", record.provenance}};
}

Record record_from_json(const JsonFile& line) {
  Fields fields(line);
  Record record;
  if (const std::string schema = fields.text("schema"); schema != kRecordSchema)
    fields.reject("schema", fmt::format("is \"{}\"", schema),
                  fmt::format("this program reads {}; use the chokepoint that wrote it", kRecordSchema));
  record.run_id = fields.text("run_id");
  record.case_id = fields.text("case_id");
  record.attempt = static_cast<int>(fields.integer("attempt"));
  record.operation = fields.text("operation");
  record.kernel = fields.text("kernel");
  record.shape = shape_from(fields.object("shape"));
  const std::string dtype = fields.text("dtype");
  if (const std::optional<Dtype> known = dtype_from(dtype))
    record.dtype = *known;
  else
    fields.reject("dtype", fmt::format("is \"{}\"", dtype), "use f32, bf16 or fp8_e4m3");
  record.device = free_object(fields, "device", {"kind", "name", "architecture"});
  record.target = fields.text("target");
  if (fields.has("basis")) record.basis = static_cast<Basis>(index_of(fields, "basis", kBasisNames));
  fields.any("basis");
  record.status = static_cast<Status>(index_of(fields, "status", kStatusNames));
  if (record.basis.has_value() != (record.status == Status::ok))
    fields.reject("basis", record.basis ? "is given for a record that is not ok" : "is missing for a record that is ok",
                  "only a record whose status is ok says how its numbers were obtained");
  record.reason = fields.text("reason");
  record.dilation = fields.positive("dilation");
  for (Fields& cap : fields.objects("caps")) record.caps.push_back(cap_from(cap));
  record.time = time_from(fields.object("time_s"));
  record.interleave_group = fields.text("interleave_group");
  if (std::optional<Fields> inner = fields.maybe_object("verification")) {
    Verification verification;
    verification.error = inner->maybe_number("error");
    verification.row_error = inner->maybe_number("row_error");
    verification.tolerance = inner->number("tolerance");
    verification.passed = inner->boolean("passed");
    verification.rows_checked = inner->integer("rows_checked");
    verification.rows = inner->integer("rows");
    inner->finish();
    record.verification = verification;
  }
  record.work = work_from(fields.object("work"));
  record.energy = energy_from(fields.object("energy"));
  Fields metrics = fields.object("metrics");
  for (const std::string& name : metrics.keys()) {
    Fields inner = metrics.object(name);
    record.metrics[name] = {inner.number("value"), inner.maybe_number("ci_low"),
                            inner.maybe_number("ci_high"), inner.text("unit")};
    inner.finish();
  }
  record.provenance = free_object(fields, "provenance", {});
  if (std::optional<Fields> trace = fields.object("provenance").maybe_object("power_trace"))
    recorded_trace_from_json(std::move(*trace));  // whoever shows it may rely on it
  fields.finish();
  return record;
}

std::string dilation_text(double dilation) {
  return dilation < 100.0 ? fmt::format("1:{:.3g}", dilation) : fmt::format("1:{:.0f}", dilation);
}

std::string label_of(const Record& record) {
  const auto fact = [&](const char* key, const std::string& fallback) {
    const bool has = record.device.is_object() && record.device.contains(key) && record.device[key].is_string();
    return has ? record.device[key].get<std::string>() : fallback;
  };
  const std::string kind = fact("kind", "device"), host = fact("name", kind);
  if (!record.basis) return fmt::format("{} as {} ({})", host, record.target, to_string(record.status));
  switch (*record.basis) {
    case Basis::measured:
      return fmt::format("{} (measured)", host);
    case Basis::emulated: {
      std::string caps;
      for (const CapRecord& cap : record.caps)
        if (cap.mechanism != "native")
          caps += fmt::format("{}{} {}", caps.empty() ? ": " : ", ", to_string(cap.resource),
                              rate_text(cap.requested, cap.resource));
      return fmt::format("{} as {}{} (emulated)", host, record.target, caps);
    }
    case Basis::scaled:
      return fmt::format("{} as {}, {} (scaled)", kind, record.target, dilation_text(record.dilation));
    default:
      return fmt::format("{} ({})", record.target, to_string(*record.basis));
  }
}

}  // namespace chokepoint
