// tools/backstay/daemon_verbs.h -- the verbs that ask a running daemon, and their flags.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tools/backstay/doctor.h"
#include "tools/backstay/order.h"
#include "tools/backstay/queue.h"
#include "tools/backstay/recipients.h"
#include "tools/backstay/top.h"

namespace backstay {

class DaemonVerbs {
 public:
  // Adds them to `app`, which this outlives.
  explicit DaemonVerbs(CLI::App& app);
  DaemonVerbs(const DaemonVerbs&) = delete;
  DaemonVerbs& operator=(const DaemonVerbs&) = delete;

  // After parsing. Nothing: another verb was named. Otherwise the exit code.
  std::optional<int> Run();

 private:
  void AddOrders(CLI::App& queue);
  void AddQueue(CLI::App& queue);
  void AddStatus(CLI::App& app);
  void AddPrimaries(CLI::App& app);
  CLI::App* AddPrimaryOrder(CLI::App& primary, const char* name, const char* promise,
                            const std::string& footer);
  std::optional<int> RunPrimaries();
  void AddRecipients(CLI::App& app);

  std::string endpoint_ = "/run/backstay/admin.sock";
  std::string domain_;  // primary show
  std::string config_path_ = "/etc/backstay/backstay.toml";
  OrderOptions order_;
  RecipientOptions recipients_;
  QueueOptions list_;
  TopOptions top_options_;
  DoctorOptions doctor_options_;
  std::vector<CLI::App*> orders_;
  CLI::App* queue_list_ = nullptr;
  CLI::App* queue_show_ = nullptr;
  CLI::App* mailq_ = nullptr;
  CLI::App* status_ = nullptr;
  CLI::App* top_ = nullptr;
  CLI::App* queue_flush_ = nullptr;
  CLI::App* primary_list_ = nullptr;
  CLI::App* primary_show_ = nullptr;
  CLI::App* primary_hold_ = nullptr;
  CLI::App* primary_release_ = nullptr;
  CLI::App* primary_probe_ = nullptr;
  CLI::App* known_list_ = nullptr;
  CLI::App* known_import_ = nullptr;
  CLI::App* known_forget_ = nullptr;
  CLI::App* reload_ = nullptr;
  bool is_forced_ = false;  // reload
  CLI::App* check_ = nullptr;
  CLI::App* doctor_ = nullptr;
};

}  // namespace backstay
