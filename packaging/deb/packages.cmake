# SPDX-License-Identifier: Apache-2.0
# Five packages, an install component each: libkata-vfio1 (the plugin), kata-vfio (command and daemon),
# libkata-vfio-dev, kata-vfio-shim, kata-vfio-libvirt.
# Whoever publishes the packages puts an address of theirs here.
set(KATA_VFIO_MAINTAINER "kata-vfio maintainers <maintainers@kata-vfio.invalid>" CACHE STRING
    "Maintainer of the Debian packages, NAME <ADDRESS>")
set(_release 1)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME kata-vfio)
set(CPACK_PACKAGE_VENDOR kata-vfio)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGE_CONTACT "${KATA_VFIO_MAINTAINER}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE ${_release})
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_COMPONENTS_ALL plugin dev)

# debian_package(COMPONENT NAME SECTION section SUMMARY text DESCRIPTION text [DEPENDS text] [RECOMMENDS text]
# [SUGGESTS text] [CONTROL file...])
set(_same "(= ${PROJECT_VERSION}-${_release})")
function(debian_package component name)
  cmake_parse_arguments(P "" "SECTION;SUMMARY;DESCRIPTION;DEPENDS;RECOMMENDS;SUGGESTS" "CONTROL" ${ARGN})
  string(TOUPPER ${component} _upper)
  set(CPACK_DEBIAN_${_upper}_PACKAGE_NAME ${name} PARENT_SCOPE)
  set(CPACK_DEBIAN_${_upper}_PACKAGE_SECTION ${P_SECTION} PARENT_SCOPE)
  # The summary is the first line of it.
  set(CPACK_COMPONENT_${_upper}_DESCRIPTION "${P_SUMMARY}\n${P_DESCRIPTION}" PARENT_SCOPE)
  set(CPACK_DEBIAN_${_upper}_PACKAGE_DEPENDS "${P_DEPENDS}" PARENT_SCOPE)
  set(CPACK_DEBIAN_${_upper}_PACKAGE_RECOMMENDS "${P_RECOMMENDS}" PARENT_SCOPE)
  set(CPACK_DEBIAN_${_upper}_PACKAGE_SUGGESTS "${P_SUGGESTS}" PARENT_SCOPE)
  set(CPACK_DEBIAN_${_upper}_PACKAGE_CONTROL_EXTRA ${P_CONTROL} PARENT_SCOPE)
  # What policy wants of each: who may copy it, and what has changed.
  set(_here ${PROJECT_SOURCE_DIR}/packaging/deb)
  set(_changelog ${CMAKE_CURRENT_BINARY_DIR}/${name}/changelog.Debian.gz)
  add_custom_command(OUTPUT ${_changelog}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_CURRENT_BINARY_DIR}/${name}
    COMMAND gzip -9nc ${_here}/changelog > ${_changelog}
    DEPENDS ${_here}/changelog VERBATIM)
  add_custom_target(changelog-${name} ALL DEPENDS ${_changelog})
  install(FILES ${_here}/copyright ${_changelog} COMPONENT ${component}
          DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${name})
endfunction()

set(_deb ${CMAKE_CURRENT_SOURCE_DIR}/deb)
debian_package(plugin libkata-vfio1 SECTION libs
  SUMMARY "vfio and mdev hot-plug for sandboxes (plugin)"
  DESCRIPTION "A library that a container runtime loads: it takes vfio and mdev device\n\
requests and hot-plugs them into the root bus of a sandbox's QEMU, and\n\
gives the host back as it was."
  CONTROL ${_deb}/plugin/shlibs ${_deb}/plugin/triggers)
debian_package(dev libkata-vfio-dev SECTION libdevel
  DEPENDS "libkata-vfio1 ${_same}"
  SUMMARY "vfio and mdev hot-plug for sandboxes (development files)"
  DESCRIPTION "The C header of libkata_vfio.so, a CMake package, a pkg-config file, and\n\
complete hosts in C, C++, Go and Rust as examples.")
if(TARGET kata-vfiod)
  list(APPEND CPACK_COMPONENTS_ALL tools)
  debian_package(tools kata-vfio SECTION admin
    DEPENDS "libkata-vfio1 ${_same}"
    SUGGESTS "kata-vfio-libvirt ${_same}"
    SUMMARY "GPUs and vGPUs for sandboxes (command and daemon)"
    DESCRIPTION "The command line kata-vfio, which checks a host, attaches GPUs and vGPUs\n\
to sandboxes and puts right what processes that died have left; and\n\
kata-vfiod, which serves the same over gRPC."
    CONTROL ${_deb}/tools/postinst ${_deb}/tools/prerm ${_deb}/tools/postrm)
endif()
if(TARGET kata-vfio-libvirt)
  list(APPEND CPACK_COMPONENTS_ALL libvirt)
  debian_package(libvirt kata-vfio-libvirt SECTION admin
    DEPENDS "kata-vfio ${_same}, libvirt-daemon-driver-qemu"
    SUMMARY "GPUs and vGPUs for sandboxes (libvirt's opinion)"
    DESCRIPTION "What kata-vfio xml check asks libvirt through: whether a sandbox's domain\n\
XML is valid, and whether libvirt would give QEMU the same devices. No\n\
libvirt daemon is needed."
    CONTROL ${_deb}/libvirt/postrm)
endif()
if(TARGET containerd-shim-kata-vfio-v2)
  list(APPEND CPACK_COMPONENTS_ALL shim)
  debian_package(shim kata-vfio-shim SECTION admin
    DEPENDS "libkata-vfio1 ${_same}"
    RECOMMENDS "containerd, qemu-system-x86, kata-vfio ${_same}"
    SUGGESTS "virtiofsd"
    SUMMARY "GPUs and vGPUs for sandboxes (containerd shim)"
    DESCRIPTION "containerd-shim-kata-vfio-v2 runs containers in QEMU sandboxes with\n\
hot-plugged GPUs; the guest's agent, and a script that makes its image.")
endif()
install(FILES ${_deb}/shim/overrides RENAME kata-vfio-shim COMPONENT shim
        DESTINATION ${CMAKE_INSTALL_DATADIR}/lintian/overrides)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/runtime-plugin/hosts COMPONENT dev
        DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/libkata-vfio-dev/examples
        PATTERN CMakeLists.txt EXCLUDE)
include(CPack)
