// How are files read and written so that a crash loses nothing that was there?
#pragma once

#include <string>
#include <string_view>

namespace chokepoint {

// Throws Error{io} with the path and the system's reason.
std::string read_file(const std::string& path);

// Writes to a neighbour and renames: readers see the old file or the new one, never half. fsyncs. Throws Error{io}.
void replace_file(const std::string& path, std::string_view content);

// Appends `line` + '\n' in one write and fsyncs. A last line that was cut short earlier is first closed off with a
// newline, never overwritten. Throws Error{io} (a full disk included); then the file may end in a partial line.
void append_line(const std::string& path, std::string_view line);

// Creates the folder and its parents and proves that a file can be written there. Throws Error{io}.
void require_writable_folder(const std::string& path);

}  // namespace chokepoint
