// How is configs/kernels/<id>.json read? Rows share what the file says once: machine, source, grade, SMs.
#include <fmt/format.h>

#include <array>
#include <cmath>

#include "harness/base/error.hpp"
#include "harness/base/strings.hpp"
#include "harness/base/units.hpp"
#include "harness/claims/kernel_table.hpp"
#include "harness/model/config_files.hpp"

namespace chokepoint {
namespace {

const std::vector<std::string>& operations() {
  static const std::vector<std::string> names = {"matmul",         "matmul_weight_gradient",
                                                 "grouped_matmul", "masked_matmul",
                                                 "attention",      "attention_backward",
                                                 "dispatch",       "combine",
                                                 "traffic",        "layer_part"};
  return names;
}

// "us" -> 1e-6 and "s"; "TFLOP/s" -> 1e12 and "FLOP/s".
struct Scale {
  double factor;
  std::string base;
};

Scale scale_of(const Fields& fields, const std::string& unit) {
  static const std::vector<std::pair<std::string, Scale>> units = {
      {"s", {1.0, "s"}},      {"ms", {1e-3, "s"}}, {"us", {1e-6, "s"}}, {"TFLOP/s", {1e12, "FLOP/s"}},
      {"GB/s", {1e9, "B/s"}}, {"kB", {1e3, "B"}}};
  std::vector<std::string> known;
  for (const auto& [name, scale] : units) {
    if (name == unit) return scale;
    known.push_back(name);
  }
  fields.reject("unit", fmt::format("is \"{}\"", unit), suggestion(unit, known));
}

Shape decode_shape(Fields fields) {
  Shape shape;
  for (const std::string& key : fields.keys()) {
    if (fields.any(key).is_string()) {
      shape.set(key, telling_text(fields, key));
      continue;
    }
    const std::int64_t value = fields.integer(key);
    if (value < 0 || value > (std::int64_t{1} << 31))
      fields.reject(key, fmt::format("is {}, but has to be from 0 to 2^31", value), "correct it");
    shape.set(key, value);
  }
  return shape;
}

Grade decode_grade(Fields& fields, const std::string& text) {
  const std::optional<Grade> grade = grade_from(text);
  if (!grade || *grade == Grade::a || *grade == Grade::b)
    fields.reject("grade", fmt::format("is \"{}\"", text),
                  "write C (published) or D (estimated); A and B are for records");
  return *grade;
}

Dtype decode_dtype(Fields& fields) {
  const std::string text = fields.text("dtype");
  const std::optional<Dtype> dtype = dtype_from(text);
  if (!dtype) fields.reject("dtype", fmt::format("is \"{}\"", text), "write bf16, fp8_e4m3 or f32");
  return *dtype;
}

std::optional<std::int64_t> maybe_count(Fields& fields, const std::string& key) {
  const std::optional<std::int64_t> value = fields.maybe_integer(key);
  if (value && (*value < 1 || *value > 1024))
    fields.reject(key, fmt::format("is {}, but has to be from 1 to 1024", *value), "correct it");
  return value;
}

void check_counts(Fields& fields, KernelRow& row) {
  static const std::vector<std::string> words = {"logical", "physical"};
  const bool transfers = row.operation == "dispatch" || row.operation == "combine";
  const std::optional<std::string> counts = fields.maybe_text("counts");
  if (counts) require_word(fields, "counts", *counts, words);
  if ((transfers && row.unit == "B/s") != counts.has_value())
    fields.reject("counts", counts ? "is there" : "is missing",
                  "say logical or physical for rates of dispatch and combine, and nothing elsewhere");
  row.logical = counts && *counts == "logical";
}

void check_time(const Fields& fields, const KernelRow& row) {
  if (row.unit == "FLOP/s" && !flop_of(row))
    fields.reject("shape", fmt::format("does not tell the work of {}", row.operation),
                  "add the missing fields");
}

KernelRow decode_row(Fields fields, KernelRow row) {
  row.name = telling_text(fields, "name");
  row.operation = fields.text("operation");
  require_word(fields, "operation", row.operation, operations());
  row.shape = decode_shape(fields.object("shape"));
  row.dtype = decode_dtype(fields);
  const double value = fields.positive("value");
  const Scale scale = scale_of(fields, fields.text("unit"));
  row.value = value * scale.factor;
  row.unit = scale.base;
  if (!std::isfinite(row.value) || row.value <= 0.0)
    fields.reject("value", "is beyond what a number holds", "correct it");
  if (const auto sms = maybe_count(fields, "sms")) row.sms = sms;
  row.in_place = fields.maybe_boolean("in_place").value_or(row.in_place);
  if (const auto source = maybe_telling_text(fields, "source")) row.source = *source;
  if (const auto grade = fields.maybe_text("grade")) row.grade = decode_grade(fields, *grade);
  row.verified = fields.maybe_boolean("verified").value_or(true);
  row.note = maybe_telling_text(fields, "note").value_or("");
  check_counts(fields, row);
  check_time(fields, row);
  fields.finish();
  return row;
}

}  // namespace

KernelFile decode_kernel_file(const JsonFile& file) {
  Fields fields(file);
  KernelFile kernels;
  kernels.id = id_like_file(fields, file.path);
  kernels.summary = telling_text(fields, "summary");
  KernelRow shared;
  shared.machine = telling_text(fields, "machine");
  shared.source = telling_text(fields, "source");
  shared.grade = decode_grade(fields, fields.text("grade"));
  shared.priority = fields.maybe_integer("priority").value_or(0);
  maybe_telling_text(fields, "priority_reason");
  shared.sms = maybe_count(fields, "sms");
  shared.in_place = fields.maybe_boolean("in_place").value_or(false);
  for (const Fields& entry : fields.objects("rows")) kernels.rows.push_back(decode_row(entry, shared));
  if (kernels.rows.empty()) fields.reject("rows", "is empty", "add a row, or remove the file");
  fields.finish();
  kernels.path = file.path;
  kernels.hash = sha256_hex(file.text);
  return kernels;
}

std::vector<KernelFile> load_kernel_files(const std::string& configs) {
  std::vector<KernelFile> files;
  for (const std::string& path : json_files_of(configs + "/kernels"))
    files.push_back(decode_kernel_file(read_json(path)));
  return files;
}

}  // namespace chokepoint
