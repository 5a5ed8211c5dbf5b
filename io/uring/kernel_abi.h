// io/uring/kernel_abi.h -- numbers of the kernel interface that liburing 2.3 does not know.
//
// See: include/uapi/linux/io_uring.h of Linux; each was stable from the release named on.
#pragma once

#include <cstdint>

namespace backstay {

constexpr uint8_t kOpcodeFtruncate = 55;  // IORING_OP_FTRUNCATE, Linux 6.9

}  // namespace backstay
