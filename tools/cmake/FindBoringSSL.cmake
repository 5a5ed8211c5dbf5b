# Finds BoringSSL and never OpenSSL: BoringSSL::SSL and BoringSSL::Crypto.
#
# Default: Debian's android-libboringssl-dev, which lives beside OpenSSL in directories of its own.
# BACKSTAY_BORINGSSL_ROOT=/opt/boringssl: an upstream install tree (include/, lib/); static archives
# are preferred there. Two libcryptos in one process corrupt memory (BUILD_NOTES.md), so nothing here
# looks into the default paths.
set(BACKSTAY_BORINGSSL_ROOT "" CACHE PATH "install tree of an upstream BoringSSL; empty: Debian's")
if(BACKSTAY_BORINGSSL_ROOT)
  set(_boringssl_include ${BACKSTAY_BORINGSSL_ROOT}/include)
  set(_boringssl_lib ${BACKSTAY_BORINGSSL_ROOT}/lib ${BACKSTAY_BORINGSSL_ROOT}/lib64)
else()
  set(_boringssl_include /usr/include/android)
  set(_boringssl_lib /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/android)
endif()
find_path(BoringSSL_INCLUDE_DIR openssl/is_boringssl.h PATHS ${_boringssl_include} NO_DEFAULT_PATH)
find_library(BoringSSL_SSL_LIBRARY NAMES libssl.a ssl PATHS ${_boringssl_lib} NO_DEFAULT_PATH)
find_library(BoringSSL_CRYPTO_LIBRARY NAMES libcrypto.a crypto PATHS ${_boringssl_lib} NO_DEFAULT_PATH)
if(BoringSSL_INCLUDE_DIR)
  file(STRINGS ${BoringSSL_INCLUDE_DIR}/openssl/base.h _boringssl_api
       REGEX "#define BORINGSSL_API_VERSION [0-9]+")
  string(REGEX MATCH "[0-9]+$" BoringSSL_VERSION "${_boringssl_api}")
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(BoringSSL
  REQUIRED_VARS BoringSSL_SSL_LIBRARY BoringSSL_CRYPTO_LIBRARY BoringSSL_INCLUDE_DIR
  VERSION_VAR BoringSSL_VERSION
  REASON_FAILURE_MESSAGE "install android-libboringssl-dev or set BACKSTAY_BORINGSSL_ROOT")
if(BoringSSL_FOUND AND NOT TARGET BoringSSL::SSL)
  add_library(BoringSSL::Crypto UNKNOWN IMPORTED)
  set_target_properties(BoringSSL::Crypto PROPERTIES
    IMPORTED_LOCATION ${BoringSSL_CRYPTO_LIBRARY}
    INTERFACE_SYSTEM_INCLUDE_DIRECTORIES ${BoringSSL_INCLUDE_DIR}
    INTERFACE_INCLUDE_DIRECTORIES ${BoringSSL_INCLUDE_DIR}
    # Only these two: with ALL, clang's sanitizers, archives as well, would hide their malloc from
    # the shared libraries, which would then free what another allocator gave.
    INTERFACE_LINK_OPTIONS "LINKER:--exclude-libs,libssl.a:libcrypto.a")
  add_library(BoringSSL::SSL UNKNOWN IMPORTED)
  set_target_properties(BoringSSL::SSL PROPERTIES
    IMPORTED_LOCATION ${BoringSSL_SSL_LIBRARY}
    INTERFACE_LINK_LIBRARIES BoringSSL::Crypto)
endif()
mark_as_advanced(BoringSSL_INCLUDE_DIR BoringSSL_SSL_LIBRARY BoringSSL_CRYPTO_LIBRARY)
