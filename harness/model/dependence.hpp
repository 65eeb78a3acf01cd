// How much do neighbouring samples repeat each other, and how many independent ones are they worth?
//
// Samples are in the order in which they were taken, and finite.
#pragma once

#include <cstddef>
#include <span>

namespace chokepoint {

// Integrated autocorrelation time in samples: 1 for independent ones, 1 + 2 * sum of correlations otherwise.
// Sums up to the first lag that is 5 times the time summed so far (Sokal 1997, section 3), at most n/2. At
// least 1; constant samples give 1.
double autocorrelation_time(std::span<const double> samples);

// The same quantity from the spread of `batches` consecutive means: length * var(batch means) / var(samples).
// Sees slow wandering that the window above cuts off. Below 1 it is noise and reads 1; batches shorter than 2
// give 1.
double batch_means_time(std::span<const double> samples, std::size_t batches = 16);

// n / max(autocorrelation, batch means time) of the samples themselves, in [1, n]: what a mean rests on. 0
// when empty.
double mean_ess(std::span<const double> samples);

// What a median rests on: n / max(autocorrelation, batch means time), the slowest of the indicators x >
// quantile at 0.1, 0.25, 0.5, 0.75, 0.9. In [1, n]; constant samples give n, empty ones 0.
//
// Why not the median's alone: a clock that switches between two speeds hardly shows in `x > median` while the
// slow one has been rare so far, yet it will move the median. Coverage at nominal 95 %, 0.5 % target, 600
// replicates, with the median's indicator alone and with all five: 60/40 samples at either speed 0.956 and
// 0.996, 20/80 0.83 and 0.96, 300/30 0.90 and 0.94. Where no speed change falls into the window nothing
// helps: 180/120 gives 0.75 and 0.85.
double effective_sample_size(std::span<const double> samples);

}  // namespace chokepoint
