// What do the tests of config files share? The shipped files, an error's text, and mutations of a valid file.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "harness/base/error.hpp"
#include "harness/base/json.hpp"
#include "harness/base/random.hpp"

namespace chokepoint {

inline std::string shipped_configs() { return std::string(CHOKEPOINT_SOURCE_DIR) + "/configs"; }

template <class Body>
std::string error_of(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// `text` with its first `from` replaced; the text itself when there is none, which the caller's expectation
// shows.
inline std::string with(std::string text, const std::string& from, const std::string& to) {
  if (const std::size_t at = text.find(from); at != std::string::npos) text.replace(at, from.size(), to);
  return text;
}

// Says what the text was when it does not hold `part`.
inline testing::AssertionResult contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "\"" << text << "\" lacks \"" << part << "\"";
}

// Every value of a JSON text by pointer, containers included.
inline void collect_pointers(const Json& json, const Json::json_pointer& at,
                             std::vector<Json::json_pointer>& all) {
  all.push_back(at);
  if (json.is_object())
    for (const auto& [key, value] : json.items()) collect_pointers(value, at / key, all);
  if (json.is_array())
    for (std::size_t i = 0; i < json.size(); ++i) collect_pointers(json[i], at / i, all);
}

// A damaged copy of a valid JSON text: odd rounds replace a value by something it should not be, add or
// remove a key; even rounds overwrite bytes. The same (seed, round) gives the same text.
inline std::string mutated(const std::string& valid, std::uint64_t seed, std::uint64_t round) {
  if (round % 2 == 0) {
    std::string text = valid;
    for (std::uint64_t edit = 0; edit < 1 + round % 3; ++edit)
      text[random_below(seed, round, 2 * edit, text.size())] =
          static_cast<char>(random_below(seed, round, 2 * edit + 1, 256));
    return text;
  }
  Json json = Json::parse(valid);
  std::vector<Json::json_pointer> pointers;
  collect_pointers(json, Json::json_pointer(), pointers);
  const Json::json_pointer& at = pointers[random_below(seed, round, 0, pointers.size())];
  const std::array<Json, 14> odd = {nullptr,
                                    true,
                                    0,
                                    -1,
                                    1e308,
                                    1e-320,
                                    std::uint64_t{1} << 63,
                                    "",
                                    "x",
                                    "GB/s",
                                    Json::array(),
                                    Json::object(),
                                    Json::array({1, 1}),
                                    Json{{"value", 1}}};
  switch (random_below(seed, round, 1, 4)) {
    case 0:
      if (json[at].is_object()) json[at]["surprise"] = 1;
      [[fallthrough]];
    case 1:
      if (json[at].is_object() && !json[at].empty()) json[at].erase(json[at].begin().key());
      [[fallthrough]];
    default:
      json[at] = odd[random_below(seed, round, 2, odd.size())];
  }
  return json.dump(1);
}

// Runs `decode` on `rounds` mutations of the text; an exception other than Error escapes and fails the test.
// Returns how many were rejected.
template <class Decode>
int rejected_mutations(const JsonFile& valid, std::uint64_t rounds, const Decode& decode) {
  int rejected = 0;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    try {
      decode(parse_json(mutated(valid.text, 11, round), valid.path));
    } catch (const Error& error) {
      ++rejected;
      if (error.message().empty() || error.remedy().empty()) throw std::string("an error without text");
    }
  }
  return rejected;
}

}  // namespace chokepoint
