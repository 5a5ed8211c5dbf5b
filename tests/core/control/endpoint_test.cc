// tests/core/control/endpoint_test.cc -- a socket's name in the file system, and who is let in.
#include "core/control/endpoint.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "tests/support/certificates.h"

namespace backstay {
namespace {

class EndpointTest : public testing::Test {
 protected:
  int Connect() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    const int client = socket(AF_UNIX, SOCK_STREAM, 0);
    EXPECT_EQ(connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    return client;
  }
  mode_t ModeOfPath() const {
    struct stat status {};
    return lstat(path_.c_str(), &status) == 0 ? status.st_mode : 0;
  }
  // What a daemon that was killed leaves.
  void LeaveDeadSocket() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    const int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    ASSERT_EQ(bind(dead, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    close(dead);
  }

  const TestFolder folder_;
  const std::string path_ = folder_.path() + "/run/admin.sock";
};

TEST_F(EndpointTest, IsForOwnerAndGroupAndGoesWithItsDaemon) {
  auto endpoint = Endpoint::Open(path_);  // the folder is made
  ASSERT_TRUE(endpoint.ok()) << endpoint.status();
  EXPECT_TRUE(S_ISSOCK(ModeOfPath()));
  EXPECT_EQ(ModeOfPath() & 0777, 0660u);
  const int client = Connect();
  const std::optional<int> accepted = (*endpoint)->Accept();
  ASSERT_TRUE(accepted.has_value());
  const AdminPeer peer = (*endpoint)->PeerOf(*accepted);
  EXPECT_EQ(peer.uid, getuid());
  EXPECT_EQ(peer.pid, getpid());
  EXPECT_TRUE(peer.may);
  EXPECT_FALSE((*endpoint)->Accept().has_value());
  close(client);
  close(*accepted);
  endpoint->reset();
  EXPECT_EQ(ModeOfPath(), 0u);
}

TEST_F(EndpointTest, RootMakesItForAnother) {
  if (getuid() != 0) {
    GTEST_SKIP() << "only root may give files away";
  }
  constexpr uid_t kOther = 65534;
  const auto endpoint = Endpoint::Open(path_, kOther);
  ASSERT_TRUE(endpoint.ok()) << endpoint.status();
  struct stat status {};
  ASSERT_EQ(lstat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, kOther);
  EXPECT_EQ(status.st_mode & 0777, 0660u);
}

TEST_F(EndpointTest, ADeadOnesIsReplacedAndALivingOnesIsNot) {
  ASSERT_EQ(mkdir((folder_.path() + "/run").c_str(), 0700), 0);
  LeaveDeadSocket();
  const auto first = Endpoint::Open(path_);
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = Endpoint::Open(path_);
  ASSERT_FALSE(second.ok());
  EXPECT_NE(std::string(second.status().message()).find(path_ + ": another daemon"),
            std::string::npos);
  EXPECT_TRUE(S_ISSOCK(ModeOfPath()));
  close(Connect());
}

TEST_F(EndpointTest, OnlyItsOwnNameIsRemoved) {
  auto endpoint = Endpoint::Open(path_);
  ASSERT_TRUE(endpoint.ok());
  ASSERT_EQ(rename(path_.c_str(), (path_ + ".moved").c_str()), 0);
  close(open(path_.c_str(), O_CREAT | O_WRONLY, 0600));
  endpoint->reset();
  EXPECT_TRUE(S_ISREG(ModeOfPath()));
  const auto refused = Endpoint::Open(path_);
  ASSERT_FALSE(refused.ok());
  EXPECT_TRUE(S_ISREG(ModeOfPath()));
}

TEST_F(EndpointTest, AFolderThatIsNotThereIsNamed) {
  const auto refused = Endpoint::Open(folder_.path() + "/not/there/admin.sock");
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(std::string(refused.status().message()).find("/not/there/admin.sock: cannot be made"),
            std::string::npos);
}

}  // namespace
}  // namespace backstay
