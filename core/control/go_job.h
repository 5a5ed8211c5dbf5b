// core/control/go_job.h -- the operator wants it now: what waits is tried, what is down is probed.
//
// Charged to no schedule. Each primary is looked at, whatever state it is in, but for domains that
// an operator or a breaker has stopped; not again within a few seconds.
// Each name must mean something: a slip would not be seen in the count.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/control/job.h"
#include "core/control/report_job.h"
#include "core/shard/question.h"

namespace backstay {

// What each shard is asked to do: all, or the request's domains.
class GoQuestion final : public ShardQuestion {
 public:
  explicit GoQuestion(const AdminRequest& request) : request_(&request) {}

  std::optional<MessageRef> Next(const ShardView& view) override;
  void OnHead(const ShardView& view, MessageRef message, const MessageHead* head) override;

  uint64_t recipients() const { return recipients_; }  // that wait in what was named
  size_t domains() const { return domains_; }          // that were named

 private:
  const AdminRequest* request_;
  uint64_t recipients_ = 0;
  size_t domains_ = 0;
};

class GoJob final : public AdminJob {
 public:
  GoJob(AdminShared& shared, const AdminRequest& request, std::string who);

  bool Step(std::string& out) override;
  bool is_free() const override;

 private:
  bool Work(std::string& out);
  std::string WhatWasSaid() const;

  AdminShared& shared_;
  AdminRequest request_;
  const std::string who_;
  DomainSurvey survey_;  // of one shard: which domains there are, and which the destinations have
  bool is_named_;
  std::vector<GoQuestion> parts_;  // one a shard
};

}  // namespace backstay
