# Writes the commit that is being built into a header, where it changed. Run at every build, since commits come between
# configuring and building:
#   cmake -DSOURCE=dir -DHEADER=file -P git_state.cmake
cmake_minimum_required(VERSION 3.25)
set(state unknown)
find_package(Git QUIET)
if(Git_FOUND)
  execute_process(COMMAND ${GIT_EXECUTABLE} describe --always --dirty --abbrev=12 WORKING_DIRECTORY ${SOURCE}
                  OUTPUT_VARIABLE described OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE code)
  if(code EQUAL 0)
    set(state ${described})
  endif()
endif()
file(CONFIGURE OUTPUT ${HEADER} CONTENT "#define CHOKEPOINT_GIT \"@state@\"\n" @ONLY)
