#include "harness/model/tuning.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "harness/base/error.hpp"
#include "harness/model/config_files.hpp"

namespace chokepoint {
namespace {

constexpr std::string_view kTuningSchema = "chokepoint/tuning/1";

std::string describe_choice(const TuningFile& file, const TunedChoice& choice) {
  return fmt::format("{}/{} {} {}", file.operation, file.kernel, to_string(choice.dtype), choice.shape.text());
}

Shape tuned_shape(Fields& fields) {
  const std::string text = fields.text("shape");
  try {
    return parse_shape(text);
  } catch (const Error& error) {
    fields.reject("shape", fmt::format("is \"{}\": {}", text, error.message()), "write it like k=512,m=64,n=128");
  }
}

Dtype tuned_dtype(Fields& fields) {
  const std::string text = fields.text("dtype");
  if (const std::optional<Dtype> dtype = dtype_from(text)) return *dtype;
  fields.reject("dtype", fmt::format("is \"{}\"", text), "write f32, bf16 or fp8_e4m3");
}

void decode_time_ratio(Fields& fields, TunedChoice& choice) {
  std::optional<Fields> ratio = fields.maybe_object("time_ratio");
  if (!ratio) {
    if (choice.configuration != choice.planned)
      fields.reject("time_ratio", fmt::format("is missing, but \"{}\" is not the plan's own", choice.configuration),
                    "give what was measured, or tune again");
    return;
  }
  choice.time_ratio = ratio->positive("value");
  choice.time_ratio_interval = Interval{ratio->positive("ci_low"), ratio->positive("ci_high")};
  if (!choice.time_ratio_interval->contains(*choice.time_ratio))
    ratio->reject("value", "is outside of its interval", "tune again");
  ratio->finish();
}

std::int64_t tuned_count(Fields& fields, const std::string& key) {
  const std::int64_t count = fields.integer(key);
  if (count < 0) fields.reject(key, fmt::format("is {}", count), "write how many there were");
  return count;
}

TunedChoice decode_tuned_choice(Fields& fields) {
  TunedChoice choice;
  choice.shape = tuned_shape(fields);
  choice.dtype = tuned_dtype(fields);
  choice.configuration = telling_text(fields, "configuration");
  choice.planned = telling_text(fields, "planned");
  decode_time_ratio(fields, choice);
  choice.tried = tuned_count(fields, "tried");
  choice.undecided = tuned_count(fields, "undecided");
  choice.untried = tuned_count(fields, "untried");
  choice.run_id = telling_text(fields, "run_id");
  choice.records = distinct_texts(fields, "records", fields.texts("records"));
  fields.finish();
  return choice;
}

}  // namespace

const TunedChoice* TuningFile::find(const Shape& shape, Dtype dtype) const {
  for (const TunedChoice& choice : choices)
    if (choice.dtype == dtype && choice.shape == shape) return &choice;
  return nullptr;
}

void TuningFile::put(TunedChoice choice) {
  for (TunedChoice& before : choices)
    if (before.dtype == choice.dtype && before.shape == choice.shape) {
      before = std::move(choice);
      return;
    }
  choices.push_back(std::move(choice));
}

std::string tuning_stem(const std::string& device, const std::string& operation, const std::string& kernel) {
  std::string slug;
  for (const char c : device) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0)
      slug += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    else if (!slug.empty() && slug.back() != '-')
      slug += '-';
  }
  while (!slug.empty() && slug.back() == '-') slug.pop_back();
  return fmt::format("{}_{}_{}", slug, operation, kernel);
}

TuningFile decode_tuning(const JsonFile& json) {
  Fields fields(json);
  fields.maybe_text("$schema");
  if (const std::string schema = fields.text("schema"); schema != kTuningSchema)
    fields.reject("schema", fmt::format("is \"{}\"", schema), fmt::format("this program reads {}", kTuningSchema));
  TuningFile file{.path = json.path,
                  .device = telling_text(fields, "device"),
                  .operation = telling_text(fields, "operation"),
                  .kernel = telling_text(fields, "kernel")};
  const std::string stem = tuning_stem(file.device, file.operation, file.kernel);
  if (stem != config_stem(json.path))
    fields.reject("device",
                  fmt::format("and kernel make \"{}\", but the file is called {}", stem, config_stem(json.path)),
                  "call it as they say");
  for (Fields& entry : fields.objects("choices")) {
    TunedChoice choice = decode_tuned_choice(entry);
    if (file.find(choice.shape, choice.dtype) != nullptr)
      entry.reject("shape", fmt::format("has its second choice: {}", describe_choice(file, choice)),
                   "keep one of them");
    file.choices.push_back(std::move(choice));
  }
  fields.finish();
  return file;
}

Json to_json(const TunedChoice& choice) {
  Json ratio = nullptr;
  if (choice.time_ratio)
    ratio = {{"value", *choice.time_ratio},
             {"ci_low", choice.time_ratio_interval->low},
             {"ci_high", choice.time_ratio_interval->high}};
  return {{"shape", choice.shape.text()},
          {"dtype", to_string(choice.dtype)},
          {"configuration", choice.configuration},
          {"planned", choice.planned},
          {"time_ratio", ratio},
          {"tried", choice.tried},
          {"undecided", choice.undecided},
          {"untried", choice.untried},
          {"run_id", choice.run_id},
          {"records", choice.records}};
}

Json to_json(const TuningFile& file) {
  Json choices = Json::array();
  for (const TunedChoice& choice : file.choices) choices.push_back(to_json(choice));
  return {{"$schema", "../schema/tuning.json"}, {"schema", kTuningSchema}, {"device", file.device},
          {"operation", file.operation},        {"kernel", file.kernel},   {"choices", choices}};
}

const TuningFile* TuningBook::file_for(const std::string& device, const std::string& operation,
                                       const std::string& kernel) const {
  for (const TuningFile& file : files_)
    if (file.device == device && file.operation == operation && file.kernel == kernel) return &file;
  return nullptr;
}

const TunedChoice* TuningBook::find(const std::string& device, const std::string& operation, const std::string& kernel,
                                    const Shape& shape, Dtype dtype) const {
  const TuningFile* file = file_for(device, operation, kernel);
  return file == nullptr ? nullptr : file->find(shape, dtype);
}

TuningBook load_tuning(const std::string& configs) {
  const std::string folder = configs + "/tuning";
  std::vector<TuningFile> files;
  if (std::filesystem::is_directory(folder))
    for (const std::string& path : json_files_of(folder)) files.push_back(decode_tuning(read_json(path)));
  return TuningBook(std::move(files));
}

}  // namespace chokepoint
