# SPDX-License-Identifier: Apache-2.0
# The page's files as string literals in one source: configure_file's @...@ does not look into what
# it has put in.
foreach(_part html css)
  string(TOUPPER ${_part} _upper)
  file(READ ${CMAKE_CURRENT_LIST_DIR}/page.${_part} KATA_VFIO_PAGE_${_upper})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
               ${CMAKE_CURRENT_LIST_DIR}/page.${_part})
endforeach()
set(KATA_VFIO_PAGE_JS "")
foreach(_part model draw panel)
  file(READ ${CMAKE_CURRENT_LIST_DIR}/${_part}.js _text)
  string(APPEND KATA_VFIO_PAGE_JS "${_text}\n")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
               ${CMAKE_CURRENT_LIST_DIR}/${_part}.js)
endforeach()
configure_file(${CMAKE_CURRENT_LIST_DIR}/page.cpp.in ${CMAKE_CURRENT_BINARY_DIR}/trace_page_parts.cpp
               @ONLY)
