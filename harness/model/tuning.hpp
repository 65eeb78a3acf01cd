// Which configuration of a kernel was measured to be the fastest for a shape on a device? configs/tuning/*.json, one
// file for each device and kernel, written by `chokepoint tune`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/base/json.hpp"
#include "harness/model/statistics.hpp"
#include "kernels/kernel.hpp"

namespace chokepoint {

struct TunedChoice {
  Shape shape;  // complete
  Dtype dtype = Dtype::f32;
  std::string configuration;  // to take
  std::string planned;        // what the kernel's plan took when this was measured
  // Time with `configuration` over that with `planned`, measured once more at the end; absent where they are the same.
  std::optional<double> time_ratio;
  std::optional<Interval> time_ratio_interval;
  // Configurations besides the plan's own; of those tried, how many the time was too short, or the machine too noisy,
  // to tell from the best.
  std::int64_t tried = 0, undecided = 0, untried = 0;
  std::string run_id;                   // of the records of all trials
  std::vector<std::string> records;     // case ids of those that `time_ratio` is of
};

struct TuningFile {
  std::string path;
  std::string device;  // as DeviceFacts::name has it
  std::string operation, kernel;
  std::vector<TunedChoice> choices;

  const TunedChoice* find(const Shape& shape, Dtype dtype) const;
  void put(TunedChoice choice);  // instead of the one for that shape and dtype, or behind the others
};

// "nvidia-h100-80gb-hbm3_attention_hopper", the name such a file has to have.
std::string tuning_stem(const std::string& device, const std::string& operation, const std::string& kernel);

TuningFile decode_tuning(const JsonFile& file);  // throws Error{config} naming file, line and key
Json to_json(const TuningFile& file);
Json to_json(const TunedChoice& choice);

class TuningBook {
 public:
  TuningBook() = default;
  explicit TuningBook(std::vector<TuningFile> files) : files_(std::move(files)) {}

  // Null where nothing was measured.
  const TuningFile* file_for(const std::string& device, const std::string& operation, const std::string& kernel) const;
  const TunedChoice* find(const std::string& device, const std::string& operation, const std::string& kernel,
                          const Shape& shape, Dtype dtype) const;

 private:
  std::vector<TuningFile> files_;
};

// Of configs/tuning; none where there is no such folder.
TuningBook load_tuning(const std::string& configs);

}  // namespace chokepoint
