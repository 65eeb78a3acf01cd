// How much do runs of the same code differ here, and which slow-down would a comparison see? From A/A runs; kept as a
// file that later comparisons are given.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "harness/base/json.hpp"
#include "harness/track/compare.hpp"

namespace chokepoint {

inline constexpr std::string_view kNoiseSchema = "chokepoint/noise/1";
inline constexpr std::array<std::size_t, 3> kRunsASide = {1, 3, 5};  // for which detectable slow-downs are told

struct CaseCalibration {
  std::string case_id;
  std::size_t runs = 0;
  std::string obstacle;                    // why the case could not be calibrated; empty when it was
  std::optional<double> run_deviation;     // of a run, relative
  std::optional<double> sample_deviation;  // what samples of one run alone would have it be
  std::array<std::optional<double>, kRunsASide.size()> detectable;  // least slow-down found with 95 %
};

struct Calibration {
  RunNoise noise;
  std::string device;
  std::size_t runs = 0;
  std::vector<CaseCalibration> cases;
  std::vector<std::string> warnings;
};

// `runs` are of one code: whatever differs between them is noise. Throws Error{config} below two runs and where no case
// was run twice under equal conditions.
Calibration calibrate_noise(const std::vector<RunRecords>& runs, const CompareOptions& options);

Json to_json(const Calibration& calibration);

// What `to_json` wrote. Error{config} for another schema, and for another device unless `options` allow that.
struct StoredNoise {
  RunNoise noise;
  std::string device;
};
StoredNoise noise_from_json(const JsonFile& file);

// Error{config} unless the runs are of the device the noise was measured on or "device" may differ.
void require_same_device(const StoredNoise& stored, const std::vector<RunRecords>& runs, const CompareOptions& options);

}  // namespace chokepoint
