// What does a reader learn in the first ten seconds? What a target costs against another: what it loses, case by
// case, at which price it is even, and how far the figure can be trusted.
#pragma once

#include <string>
#include <vector>

#include "harness/report/html/picture.hpp"

namespace chokepoint {

struct PageAnswer {
  std::string headline;                // "What an h800-sxm costs you against an h100-sxm"
  std::vector<std::string> sentences;  // plain words; the first one is the answer
  std::string basis;                   // "emulated", and what that means
  DataTable cases;                     // one row per operation or case
  std::string cases_title;
  DataTable all_cases;  // every case, where `cases` has operations; else empty
};

PageAnswer answer_of(const PictureInput& input);

std::string answer_markup(const PageAnswer& answer);

}  // namespace chokepoint
