// Is an output right? Rows of it against the operation's reference in double.
#pragma once

#include <cstdint>
#include <vector>

#include "harness/device/device.hpp"
#include "harness/model/record.hpp"
#include "kernels/kernel.hpp"

namespace chokepoint {

// Rows and their reference, computed once per problem and used for every kernel and every launch of it.
struct Answer {
  std::vector<std::int64_t> rows;
  std::vector<double> reference;  // [rows, row length]
  double rms = 0.0;               // of the reference
};

// All rows when that takes at most `most_flop`, else the first, the last and evenly spread seeded ones.
Answer answer_of(const Problem& problem, double most_flop = 2e9, std::uint64_t seed = 1);

// Largest |out - ref| / (|ref| + rms) over the rows of `answer`, with the rms of all of ref and with that of the
// element's row; the latter decides. A row of zeros is judged by the rms of all. Not finite anywhere: no error figure,
// not passed.
Verification compare(const Problem& problem, const Answer& answer, const Tensor& output);

// Whether two launches' outputs hold the same bits. Known only where they lie in a device's memory (else false); there the
// answer costs less than fetching one of them. Launches of equal inputs whose outputs are the same are equally right.
bool have_same_output(Device& device, const Launch& a, const Launch& b);

}  // namespace chokepoint
