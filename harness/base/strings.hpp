// Small questions about text: which known word is nearest, does a glob match, what is this text's digest?
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace chokepoint {

// The known word with the smallest edit distance to `word`, empty when none is within a third of its length.
std::string nearest_word(std::string_view word, std::span<const std::string> known);

// "; did you mean \"x\"?" or "; known: a, b, c" as the remedy for an unknown word.
std::string suggestion(std::string_view word, std::span<const std::string> known);

// Shell-like pattern with * and ?; the whole text has to match.
bool glob_matches(std::string_view pattern, std::string_view text);

std::string joined(std::span<const std::string> words, std::string_view separator);

std::vector<std::string> split(std::string_view text, char separator);

// 64 lower-case hexadecimal digits. FIPS 180-4.
std::string sha256_hex(std::string_view data);

// 64-bit FNV-1a: for seeds and short ids, not for integrity.
std::uint64_t fnv1a(std::string_view data);

}  // namespace chokepoint
