// tests/io/uring/error_map_test.cc -- what each errno means for each kind of op.
#include "io/uring/error_map.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace backstay {
namespace {

TEST(ErrorMap, EachErrorMeansWhatItsOperationMakesOfIt) {
  const struct {
    OpKind kind;
    int error;
    IoError expected;
  } rows[] = {
      {OpKind::kAccept, EMFILE, IoError::kNoDescriptors},
      {OpKind::kAccept, ENFILE, IoError::kNoDescriptors},
      {OpKind::kAccept, ENOBUFS, IoError::kNoMemory},
      {OpKind::kAccept, EPERM, IoError::kDenied},
      {OpKind::kAccept, EINVAL, IoError::kInvalid},
      {OpKind::kAccept, ECANCELED, IoError::kCanceled},
      {OpKind::kConnect, ECONNREFUSED, IoError::kRefused},
      {OpKind::kConnect, ENETUNREACH, IoError::kUnreachable},
      {OpKind::kConnect, EHOSTUNREACH, IoError::kUnreachable},
      {OpKind::kConnect, EADDRNOTAVAIL, IoError::kUnreachable},
      {OpKind::kConnect, EAFNOSUPPORT, IoError::kUnreachable},
      {OpKind::kConnect, ETIMEDOUT, IoError::kTimedOut},
      {OpKind::kConnect, ECONNRESET, IoError::kReset},
      {OpKind::kConnect, EMFILE, IoError::kNoDescriptors},
      {OpKind::kConnect, EACCES, IoError::kDenied},
      {OpKind::kConnect, ECANCELED, IoError::kCanceled},
      {OpKind::kReceive, ENOBUFS, IoError::kNoBuffers},
      {OpKind::kReceive, ECONNRESET, IoError::kReset},
      {OpKind::kReceive, ENOTCONN, IoError::kReset},
      {OpKind::kReceive, ETIMEDOUT, IoError::kTimedOut},
      {OpKind::kReceive, ECANCELED, IoError::kCanceled},
      {OpKind::kSend, EPIPE, IoError::kReset},
      {OpKind::kSend, ECONNRESET, IoError::kReset},
      {OpKind::kSend, ENOBUFS, IoError::kNoMemory},
      {OpKind::kSend, EHOSTUNREACH, IoError::kUnreachable},
      {OpKind::kOpen, ENOENT, IoError::kNotFound},
      {OpKind::kOpen, EEXIST, IoError::kExists},
      {OpKind::kOpen, EACCES, IoError::kDenied},
      {OpKind::kOpen, ELOOP, IoError::kDenied},
      {OpKind::kOpen, EMFILE, IoError::kNoDescriptors},
      {OpKind::kOpen, ENOSPC, IoError::kNoSpace},
      {OpKind::kOpen, EROFS, IoError::kReadOnly},
      {OpKind::kOpen, EIO, IoError::kDevice},
      {OpKind::kOpen, ENAMETOOLONG, IoError::kInvalid},
      {OpKind::kRead, EIO, IoError::kDevice},
      {OpKind::kRead, EUCLEAN, IoError::kDevice},
      {OpKind::kReadBounced, EINVAL, IoError::kInvalid},
      {OpKind::kWrite, ENOSPC, IoError::kNoSpace},
      {OpKind::kWrite, EDQUOT, IoError::kNoSpace},
      {OpKind::kWrite, EFBIG, IoError::kNoSpace},
      {OpKind::kWrite, EROFS, IoError::kReadOnly},
      {OpKind::kWrite, EREMOTEIO, IoError::kDevice},
      {OpKind::kWrite, EPERM, IoError::kDenied},
      {OpKind::kSyncData, EIO, IoError::kDevice},
      {OpKind::kSyncData, EINTR, IoError::kDevice},
      {OpKind::kSyncData, EAGAIN, IoError::kDevice},
      {OpKind::kSyncDirectory, EINTR, IoError::kDevice},
      {OpKind::kSyncDirectory, EAGAIN, IoError::kDevice},
      {OpKind::kSyncData, ENOSPC, IoError::kNoSpace},
      {OpKind::kSyncDirectory, EIO, IoError::kDevice},
      {OpKind::kAllocate, ENOSPC, IoError::kNoSpace},
      {OpKind::kAllocate, EOPNOTSUPP, IoError::kInvalid},
      {OpKind::kTruncate, ENOMEM, IoError::kNoMemory},
      {OpKind::kUnlink, ENOENT, IoError::kNotFound},
      {OpKind::kUnlink, EBUSY, IoError::kInvalid},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(MapError(row.kind, row.error), row.expected)
        << Describe(row.kind) << " errno " << row.error;
  }
}

// What a file operation can fail with at all; the spool's every_failure_test fails each with each.
TEST(ErrorMap, FileOperationsTellTheSameErrorsAlike) {
  const struct {
    int error;
    IoError expected;
  } rows[] = {{EIO, IoError::kDevice},         {ENOSPC, IoError::kNoSpace},
              {EDQUOT, IoError::kNoSpace},     {EROFS, IoError::kReadOnly},
              {ECANCELED, IoError::kCanceled}, {EMFILE, IoError::kNoDescriptors},
              {ENOMEM, IoError::kNoMemory},    {EACCES, IoError::kDenied}};
  for (const OpKind kind : {OpKind::kOpen, OpKind::kOpenUncached, OpKind::kUnlink, OpKind::kRead,
                            OpKind::kReadBounced, OpKind::kWrite, OpKind::kSyncData,
                            OpKind::kSyncDirectory, OpKind::kAllocate, OpKind::kTruncate}) {
    for (const auto& row : rows) {
      EXPECT_EQ(MapError(kind, row.error), row.expected) << Describe(kind) << " " << row.error;
    }
    // Asked again too often, or a sync: failed.
    for (const int interruption : {EINTR, EAGAIN}) {
      EXPECT_NE(MapError(kind, interruption), IoError::kNone) << Describe(kind);
      EXPECT_NE(MapError(kind, interruption), IoError::kCanceled) << Describe(kind);
    }
  }
}

TEST(ErrorMap, AnUnknownErrorIsAFailureAndNotACrash) {
  EXPECT_EQ(MapError(OpKind::kSend, 4000), IoError::kInvalid);
  EXPECT_EQ(MapError(OpKind::kWrite, 4000), IoError::kDevice);
}

TEST(ErrorMapDeathTest, OurOwnDefectsEndTheProcessByName) {
  EXPECT_DEATH(static_cast<void>(MapError(OpKind::kSend, EBADF)), "send: Bad file descriptor");
  EXPECT_DEATH(static_cast<void>(MapError(OpKind::kRead, EFAULT)), "read: Bad address");
}

TEST(ErrorMap, InterruptionsAreAskedAgainButNeverASync) {
  for (const OpKind kind :
       {OpKind::kAccept, OpKind::kConnect, OpKind::kReceive, OpKind::kSend, OpKind::kOpen,
        OpKind::kRead, OpKind::kWrite, OpKind::kAllocate, OpKind::kTruncate, OpKind::kUnlink}) {
    EXPECT_TRUE(IsTransient(kind, EINTR)) << Describe(kind);
    EXPECT_TRUE(IsTransient(kind, EAGAIN)) << Describe(kind);
    EXPECT_FALSE(IsTransient(kind, EIO)) << Describe(kind);
    EXPECT_FALSE(IsTransient(kind, ECANCELED)) << Describe(kind);
  }
  for (const OpKind kind : {OpKind::kSyncData, OpKind::kSyncDirectory}) {
    EXPECT_FALSE(IsTransient(kind, EINTR));
    EXPECT_FALSE(IsTransient(kind, EAGAIN));
  }
}

TEST(ErrorMap, AFileThatIsAlwaysPutOffHasFailed) {
  for (const OpKind kind : {OpKind::kOpen, OpKind::kRead, OpKind::kWrite, OpKind::kUnlink}) {
    EXPECT_TRUE(MayAskAgain(kind, EINTR, 0)) << Describe(kind);
    EXPECT_TRUE(MayAskAgain(kind, EAGAIN, 99)) << Describe(kind);
    EXPECT_FALSE(MayAskAgain(kind, EAGAIN, 100)) << Describe(kind);
    EXPECT_FALSE(MayAskAgain(kind, EIO, 0)) << Describe(kind);
  }
  EXPECT_FALSE(MayAskAgain(OpKind::kSyncData, EINTR, 0));
  EXPECT_TRUE(MayAskAgain(OpKind::kReceive, EINTR, 65'535));
}

TEST(ErrorMap, OneBadConnectionDoesNotEndTheListener) {
  EXPECT_TRUE(IsTransient(OpKind::kAccept, ECONNABORTED));
  EXPECT_TRUE(IsTransient(OpKind::kAccept, EHOSTUNREACH));
  EXPECT_FALSE(IsTransient(OpKind::kAccept, EMFILE));
  EXPECT_FALSE(IsTransient(OpKind::kReceive, EHOSTUNREACH));
}

}  // namespace
}  // namespace backstay
