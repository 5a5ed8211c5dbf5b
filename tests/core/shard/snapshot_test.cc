// tests/core/shard/snapshot_test.cc -- files that the configuration names, and what it means.
#include "core/shard/snapshot.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/certificates.h"

namespace backstay {
namespace {

// All domains see the same version of it, however long it is and however many they are.
TEST(Snapshot, AFileOfSeveralDomainsIsOpenedOnce) {
  const TestFolder folder;
  const std::string path = folder.path() + "/users";
  constexpr int kDomains = 20;
  std::string users;
  std::string config = "[admin]\nlisten = \"\"\n";
  for (int i = 0; i < kDomains; ++i) {
    users += fmt::format("a{}@d{}.example\n", i, i);
    config += fmt::format(
        "[[domain]]\nname = \"d{}.example\"\nprimary = [\"192.0.2.1\"]\nrecipients = \"file:{}\"\n",
        i, path);
  }
  std::FILE* file = std::fopen(path.c_str(), "wb");
  std::fputs(users.c_str(), file);
  std::fclose(file);
  const int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  ASSERT_GE(inotify_add_watch(watch, path.c_str(), IN_OPEN | IN_CLOSE), 0);
  const auto snapshot = ParseSnapshot(config, "f");
  ASSERT_TRUE(snapshot.ok()) << snapshot.status();
  alignas(inotify_event) char events[4096];  // an opening and a closing, which have no names
  EXPECT_EQ(read(watch, events, sizeof(events)), static_cast<ssize_t>(2 * sizeof(inotify_event)));
  close(watch);
  for (int i = 0; i < kDomains; ++i) {
    const RelayPolicy& relay = (*snapshot)->relay;
    EXPECT_TRUE(relay.Judge(fmt::format("a{}@d{}.example", i, i)).reply.positive());
    EXPECT_FALSE(relay.Judge(fmt::format("a{}@d{}.example", i + 1, i)).reply.positive());
    EXPECT_EQ((*snapshot)->FindDomain(fmt::format("d{}.example", i))->listed, 1u);
  }
}

// ---- a recipient file that may have been cut off ----

class ListedSnapshots : public testing::Test {
 protected:
  // One whose file names so many addresses, and its last line ends or does not.
  std::unique_ptr<const Snapshot> Listed(size_t addresses, bool is_ended = true) const {
    const std::string path = folder_.path() + "/users";
    std::FILE* file = std::fopen(path.c_str(), "wb");
    for (size_t i = 1; i <= addresses; ++i) {
      const bool has_newline = is_ended || i < addresses;
      fmt::print(file, "user{}@a.example{}", i, has_newline ? "\n" : "");
    }
    std::fclose(file);
    auto snapshot =
        ParseSnapshot(fmt::format("[admin]\nlisten = \"\"\n[[domain]]\nname = \"a.example\"\n"
                                  "primary = [\"192.0.2.1\"]\nrecipients = \"file:{}\"\n",
                                  path),
                      "f");
    EXPECT_TRUE(snapshot.ok()) << snapshot.status();
    return std::move(snapshot).value();
  }
  std::unique_ptr<const Snapshot> Unended(size_t addresses) const {
    return Listed(addresses, /*is_ended=*/false);
  }
  // Why a reload does not take it; it does when it is forced.
  static std::string Refusal(std::unique_ptr<const Snapshot> running,
                             std::unique_ptr<const Snapshot> next) {
    EXPECT_TRUE(next->CanReplace(*running, /*is_forced=*/true).ok());
    return std::string(next->CanReplace(*running).message());
  }
  static bool IsNoticed(const Snapshot& snapshot) {
    const std::vector<std::string>& notices = snapshot.config.notices;
    return std::any_of(notices.begin(), notices.end(), [](const std::string& notice) {
      return notice.find("/users: its last line has no newline") != std::string::npos;
    });
  }

 private:
  const TestFolder folder_;
};

TEST_F(ListedSnapshots, AReloadTakesAwayATenthOfAListNotMore) {
  EXPECT_EQ(Refusal(Listed(1000), Listed(900)), "");
  EXPECT_EQ(Refusal(Listed(1000), Listed(899)),
            "the recipient file of a.example names 899 addresses, the one in force 1000: it looks "
            "half written; write it anew beside it and rename it; if so many are gone: backstay "
            "reload --force");
  EXPECT_EQ(Refusal(Listed(100), Listed(90)), "");
  EXPECT_NE(Refusal(Listed(100), Listed(89)), "");
  EXPECT_EQ(Refusal(Listed(99), Listed(1)), "") << "kept by hand";
  EXPECT_EQ(Refusal(Listed(1), Listed(5000)), "");
}

TEST_F(ListedSnapshots, AReloadTakesNoListThatEndsWithoutANewline) {
  EXPECT_EQ(Refusal(Listed(1000), Unended(1000)),
            "the recipient file of a.example ends without a newline: it looks cut off; write it "
            "anew beside it and rename it, the last line with its newline; if it is meant: "
            "backstay reload --force");
  EXPECT_NE(Refusal(Listed(100), Unended(95)), "");
  EXPECT_NE(Refusal(Listed(10), Unended(100)), "");
  EXPECT_EQ(Refusal(Listed(99), Unended(99)), "") << "kept by hand";
}

// Their operator would be locked out of all changes.
TEST_F(ListedSnapshots, ListsThatNeverEndTheirLastLineAreTaken) {
  EXPECT_EQ(Refusal(Unended(1000), Unended(950)), "");
  EXPECT_EQ(Refusal(Unended(1000), Listed(950)), "");
  EXPECT_NE(Refusal(Unended(1000), Unended(899)).find("half written"), std::string::npos);
}

// A start has no other list: it takes it, and says so.
TEST_F(ListedSnapshots, AStartSaysThatAListMayHaveBeenCutOff) {
  EXPECT_TRUE(IsNoticed(*Unended(100)));
  EXPECT_FALSE(IsNoticed(*Listed(100)));
  EXPECT_FALSE(IsNoticed(*Unended(99)));
}

TEST_F(ListedSnapshots, AnotherRuleForTheDomainIsNoCutOffList) {
  const auto any = ParseSnapshot(
      "[admin]\nlisten = \"\"\n[[domain]]\nname = \"a.example\"\nprimary = [\"192.0.2.1\"]\n", "f");
  ASSERT_TRUE(any.ok()) << any.status();
  EXPECT_TRUE((*any)->CanReplace(*Listed(1000)).ok());
  EXPECT_TRUE(Listed(1000)->CanReplace(**any).ok());
}

// ---- what is odd on this machine ----

class LoadedSnapshots : public testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<const Snapshot>> Load(const std::string& top,
                                                       const std::string& machine = "a.example",
                                                       const std::string& domain = "") {
    WriteTextFile(path_, top +
                             "[admin]\nlisten = \"\"\n[[domain]]\nname = \"a.example\"\n"
                             "primary = [\"192.0.2.1\"]\n" +
                             domain);
    chmod(path_.c_str(), mode_);
    return LoadSnapshot(path_, {.hostname = machine});
  }
  std::vector<std::string> Notices(const std::string& top, const std::string& machine = "a.b") {
    const auto snapshot = Load(top, machine);
    EXPECT_TRUE(snapshot.ok()) << snapshot.status();
    return snapshot.ok() ? (*snapshot)->config.notices : std::vector<std::string>();
  }
  std::string Refusal(const std::string& top, const std::string& domain = "") {
    const absl::Status status = Load(top, "a.example", domain).status();
    return std::string(status.message());
  }
  std::string In(const std::string& name) const { return folder_.path() + "/" + name; }

  const TestFolder folder_;
  const std::string path_ = In("backstay.toml");
  mode_t mode_ = 0600;
};

// Primaries refuse all mail of who greets them as "(none)".
TEST_F(LoadedSnapshots, AMachineWithoutANameNeedsOneInTheFile) {
  for (const char* machine :
       {"(none)", "localhost", "LocalHost", "local_host", "a..b", "192.0.2.1"}) {
    const auto refused = Load("", machine);
    ASSERT_FALSE(refused.ok()) << machine;
    EXPECT_EQ(refused.status().message(),
              fmt::format("{0}: hostname is not set, and the machine's own name \"{1}\" is no name "
                          "for a mail server: set hostname = \"mx2.example.net\", the name that "
                          "others know it by, in {0}",
                          path_, machine));
    const auto named = Load("hostname = \"mx2.example.net\"\n", machine);
    ASSERT_TRUE(named.ok()) << named.status();
    EXPECT_EQ((*named)->hostname, "mx2.example.net");
    EXPECT_TRUE((*named)->config.notices.empty());
  }
}

TEST_F(LoadedSnapshots, ANameWithoutADotIsWarnedOf) {
  const auto bare = Load("", "VM");
  ASSERT_TRUE(bare.ok()) << bare.status();
  EXPECT_EQ((*bare)->hostname, "vm");
  EXPECT_EQ((*bare)->server.hostname, "vm");
  const std::string warning =
      "\"vm\" has no dot: many mail servers, primaries too, refuse mail from who is called so; set "
      "hostname = \"mx2.example.net\", the name that others know it by, in " +
      path_;
  EXPECT_EQ((*bare)->config.notices,
            std::vector{path_ + ": hostname is not set, and the machine's own name " + warning});
  EXPECT_EQ(Notices("hostname = \"vm\"\n"), std::vector{path_ + ": hostname " + warning});
  EXPECT_TRUE(Notices("", "vm.example.net").empty());
}

TEST_F(LoadedSnapshots, AFileThatFailsIsNamedWithItsKeyAndPlace) {
  const std::string none = In("none");
  const TestCertificate good(folder_.path(), "good");
  const std::string pem = good.files().certificate;
  EXPECT_TRUE(
      Refusal(fmt::format("[tls]\ncertificate = \"{}\"\nprivate_key = \"{}\"\n", pem, none))
          .starts_with(fmt::format("{}:3:15: tls.private_key: {}: No such file", path_, none)));
  EXPECT_TRUE(Refusal(fmt::format("[delivery]\nclient_certificate = \"{}\"\nclient_key = \"{}\"\n",
                                  none, none))
                  .starts_with(fmt::format("{}:2:22: delivery.client_certificate: {}: No such file",
                                           path_, none)));
  EXPECT_EQ(Refusal("", fmt::format("recipients = \"file:{}\"\n", none)),
            fmt::format("{}:6:14: domain.recipients: {}: No such file or directory", path_, none));
  WriteTextFile(none, "not an address\n");
  EXPECT_TRUE(Refusal("", fmt::format("recipients = \"file:{}\"\n", none))
                  .starts_with(fmt::format("{}:6:14: domain.recipients: {}:1: ", path_, none)));
}

// The daemon tells by it that it is no longer root.
TEST_F(LoadedSnapshots, AFileThatIsNotThereIsStillKNotFound) {
  const std::string domain = fmt::format("recipients = \"file:{}\"\n", In("none"));
  EXPECT_TRUE(absl::IsNotFound(Load("", "a.example", domain).status()));
}

TEST_F(LoadedSnapshots, KeysAndConfigurationsThatAreOpenToOthersAreWarnedOf) {
  const TestCertificate shown(folder_.path(), "shown");
  const std::string key = shown.files().private_key;
  const std::string tls = fmt::format("[tls]\ncertificate = \"{}\"\nprivate_key = \"{}\"\n",
                                      shown.files().certificate, key);
  const std::string place = fmt::format("{}:3:15: tls.private_key: {}: ", path_, key);
  chmod(key.c_str(), 0640);
  EXPECT_TRUE(Notices(tls).empty());
  chmod(key.c_str(), 0644);
  EXPECT_EQ(Notices(tls),
            std::vector{place +
                        "its mode lets everybody read this private key: give it to the "
                        "group of the daemon's user (chgrp, if it is another's), then "
                        "chmod g=r,o= " +
                        key});
  EXPECT_EQ(Notices("user = \"root\"\n" + tls).at(0),
            fmt::format("{}:4:15: tls.private_key: {}: its mode lets everybody read this private "
                        "key: give it to 0 (chgrp, if it is another's), then chmod g=r,o= {}",
                        path_, key, key));
  chmod(key.c_str(), 0660);
  EXPECT_NE(Notices(tls).at(0).find("its mode lets others than its owner write this private key"),
            std::string::npos);
  chmod(key.c_str(), 0600);
  mode_ = 0644;  // there is no secret in it
  EXPECT_TRUE(Notices(tls).empty());
  for (const mode_t open : {0620, 0602}) {
    mode_ = open;
    EXPECT_EQ(Notices(tls),
              std::vector{path_ + ": others than its owner may write it: chmod go-w " + path_});
  }
}

// ---- what it means ----

// Who is told 421 knows more than who is not accepted.
TEST(Snapshot, ClientsLeaveDescriptorsForTheRest) {
  const TestFolder folder;
  const std::string path = folder.path() + "/backstay.toml";
  std::FILE* file = std::fopen(path.c_str(), "wb");
  std::fputs(
      "hostname = \"mx2.example.net\"\n[admin]\nlisten = \"\"\n[[domain]]\n"
      "name = \"a.example\"\nprimary = [\"192.0.2.1\"]\n",
      file);
  std::fclose(file);
  const auto connections = [&](size_t files_max) {
    return (*LoadSnapshot(path, {.files_max = files_max}))->connections_max;
  };
  EXPECT_EQ(connections(SIZE_MAX), 100'000u);
  EXPECT_EQ(connections(1'000'000), 100'000u);
  EXPECT_EQ(connections(4096), 4096u - 512 - 512 - 20);
  EXPECT_EQ(connections(100), 50u);
  const auto snapshot = LoadSnapshot(path, {.files_max = 100});
  EXPECT_EQ((*snapshot)->AdmissionLimitsOf(2).connections_max, 25u);
}

TEST(Snapshot, TheUserIsOneOfThisMachine) {
  const auto parse = [](const std::string& line) {
    return ParseConfig(line + "[[domain]]\nname = \"a.example\"\nprimary = [\"192.0.2.1\"]\n", "f");
  };
  EXPECT_FALSE(parse("")->user.has_value());
  const auto root = parse("user = \"root\"\n");
  ASSERT_TRUE(root.ok()) << root.status();
  ASSERT_TRUE(root->user.has_value());
  EXPECT_EQ(root->user->name, "root");
  EXPECT_EQ(root->user->user, 0u);
  EXPECT_TRUE(root->notices.empty());
  EXPECT_EQ(parse("hostname = \"a.example\"\nuser = \"no-such-user\"\n").status().message(),
            "f:2:8: there is no user \"no-such-user\" in /etc/passwd");
  EXPECT_EQ(parse("user = \"\"\n").status().message(),
            "f:1:8: there is no user \"\" in /etc/passwd");
  EXPECT_EQ(parse("user = 65534\n").status().message(),
            "f:1:8: user wants a user name in quotes, not a number");
}

// Nobody may believe that a larger reserve is in force when it is not.
TEST(Snapshot, WhatIsReadOnceAtAStartNeedsARestart) {
  const std::string config =
      "[admin]\nlisten = \"\"\n[[domain]]\nname = \"a.example\"\nprimary = [\"192.0.2.1\"]\n";
  const auto running = ParseSnapshot(config, "f");
  ASSERT_TRUE(running.ok()) << running.status();
  EXPECT_TRUE((*running)->CanReplace(**running).ok());
  for (const char* change : {"[spool]\nreserve = \"2GiB\"\n", "[spool]\nsegment_size = \"64MiB\"\n",
                             "[server]\nnode_id = 7\n", "user = \"root\"\n"}) {
    const auto next = ParseSnapshot(change + config, "f");
    ASSERT_TRUE(next.ok()) << next.status();
    EXPECT_NE((*next)->CanReplace(**running).message().find("a restart"), std::string_view::npos)
        << change;
  }
}

// Clients are counted in what was made at the start.
TEST(Snapshot, MoreConnectionsThanCanBeCountedNeedARestart) {
  const auto with = [](size_t connections_max) {
    return *ParseSnapshot(fmt::format("[smtp]\nmax_connections = {}\n[admin]\nlisten = \"\"\n"
                                      "[[domain]]\nname = \"a.example\"\n"
                                      "primary = [\"192.0.2.1\"]\n",
                                      connections_max),
                          "f");
  };
  const auto can_become = [&](size_t from, size_t to) { return with(to)->CanReplace(*with(from)); };
  EXPECT_TRUE(can_become(50, 100'000).ok());
  EXPECT_TRUE(can_become(300'000, 300'000).ok());
  EXPECT_TRUE(can_become(300'000, 50).ok());
  EXPECT_EQ(can_become(50, 100'001).message(), "smtp.max_connections above 100000 needs a restart");
  EXPECT_EQ(can_become(300'000, 300'001).message(),
            "smtp.max_connections above 300000 needs a restart");
}

}  // namespace
}  // namespace backstay
