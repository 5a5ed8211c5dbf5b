// spool/spool.cc -- the facade of one shard's log.
#include "spool/spool.h"

#include "spool/spool_impl.h"

namespace backstay {

Spool::Spool(Io& io, Fd directory, const SpoolOptions& options, SpoolEvents& events)
    : impl_(std::make_unique<Impl>(io, directory, options, events)) {}
Spool::~Spool() = default;

void Spool::Recover() {
  impl_->Recover();
}
CommitResult Spool::IntakeState() const {
  return impl_->IntakeState();
}
bool Spool::Congested() const {
  return impl_->Congested();
}
void Spool::WaitUncongested(CongestionWaiter* waiter) {
  impl_->WaitUncongested(waiter);
}
void Spool::CommitTurn() {
  impl_->CommitTurn();
}
void Spool::ReclaimStep() {
  impl_->ReclaimStep();
}
Instant Spool::NextDue() const {
  return impl_->NextDue();
}
void Spool::Close() {
  impl_->Close();
}
bool Spool::idle() const {
  return impl_->idle();
}
SpoolTime Spool::Clock() const {
  return impl_->Clock();
}
DomainId Spool::Intern(std::string_view domain) {
  return impl_->index().Intern(domain);
}
std::string_view Spool::Name(DomainId domain) const {
  return impl_->index().Name(domain);
}
std::optional<MessageRef> Spool::NextLive(DomainId domain, std::optional<MessageRef> after) const {
  return impl_->index().NextLive(domain, after);
}
uint64_t Spool::LiveRecipients(DomainId domain) const {
  return impl_->index().LiveRecipients(domain);
}
uint64_t Spool::LiveMessages(DomainId domain) const {
  return impl_->index().Load(domain).messages;
}
uint64_t Spool::LiveBytes(DomainId domain) const {
  return impl_->index().Load(domain).bytes;
}
SpoolTime Spool::Arrival(MessageRef message) const {
  return impl_->index().Arrival(message);
}
bool Spool::IsLive(MessageRef message, uint32_t recipient) const {
  return impl_->index().IsLive(message, recipient);
}
uint32_t Spool::Recipients(MessageRef message) const {
  return impl_->index().Recipients(message);
}
bool Spool::IsPending(MessageRef message, uint32_t recipient) const {
  return impl_->index().IsPending(message, recipient);
}
Bytes Spool::FailureOf(MessageRef message, uint32_t recipient) const {
  return impl_->NoteOf(message, recipient);
}
DomainAccount Spool::AccountOf(DomainId domain) const {
  return impl_->index().accounts().Of(domain);
}
DomainAccount Spool::AccountOfAll() const {
  return impl_->index().accounts().OfAll();
}
WallTime Spool::AccountsSince() const {
  return impl_->index().accounts().since();
}
bool Spool::IsOwed(MessageRef message) const {
  return impl_->index().IsOwed(message);
}
DomainId Spool::DomainOf(MessageRef message, uint32_t recipient) const {
  return impl_->index().DomainOf(message, recipient);
}
QueueId Spool::Id(MessageRef message) const {
  const SpoolOptions& options = impl_->options();
  return {options.node, options.shard, message.segment, message.block};
}
void Spool::Settle(MessageRef message, std::span<const RecipientSettle> outcomes) {
  impl_->Settle(message, outcomes);
}
uint64_t Spool::SettlesQueued() const {
  return impl_->SettlesQueued();
}

uint64_t Spool::SettlesDecided() const {
  return impl_->SettlesDecided();
}

void Spool::Defer(MessageRef message, uint32_t recipient, DomainId domain, Bytes note) {
  impl_->Defer(message, recipient, domain, note);
}
uint64_t Spool::ApplyRule(const Rule& rule, std::optional<MessageRef> cut) {
  return impl_->ApplyRule(rule, cut);
}
uint64_t Spool::CountRule(const Rule& rule) {
  return impl_->CountRule(rule);
}
uint64_t Spool::OutcomesSynced() const {
  return impl_->OutcomesSynced();
}
std::optional<uint64_t> Spool::ApplyToMessage(const Rule& rule, MessageRef message) {
  return impl_->ApplyToMessage(rule, message);
}
void Spool::Park(DomainId domain, MessageRef last) {
  impl_->ApplyOwnRule(RuleVerb::kPark, domain, {last.segment, last.block + 1});
}
bool Spool::HasOwnOrder(MessageRef message) const {
  return impl_->rules().HasOwn(message);
}
void Spool::MarkTold(DomainId domain, MessageRef last) {
  impl_->ApplyOwnRule(RuleVerb::kTold, domain, {last.segment, last.block + 1});
}
MessageRef Spool::ToldBefore(DomainId domain) const {
  return impl_->rules().ToldBefore(domain);
}
uint64_t Spool::LiveRecipientsUntil(DomainId domain, SpoolTime end) const {
  return impl_->index().LiveRecipientsUntil(domain, end);
}
uint64_t Spool::CountInMessage(const Rule& rule, MessageRef message) const {
  return impl_->CountInMessage(rule, message);
}
std::optional<MessageRef> Spool::NextExpired(std::optional<MessageRef> after) const {
  return impl_->NextExpired(after);
}
Standing Spool::StandingOf(MessageRef message, DomainId domain) const {
  return impl_->rules().StandingOf(domain, message);
}
std::optional<MessageRef> Spool::NextDeliverable(DomainId domain,
                                                 std::optional<MessageRef> after) const {
  return impl_->NextDeliverable(domain, after);
}
absl::Duration Spool::CommitDelay() const {
  return impl_->CommitDelay();
}

DomainStop Spool::StopOf(DomainId domain) const {
  return impl_->rules().StopOf(domain);
}

MessageRef Spool::HeldBefore(DomainId domain) const {
  return impl_->rules().HeldBefore(domain);
}
const Rule& Spool::LastRule() const {
  return impl_->rules().last();
}
std::vector<Rule> Spool::Stops() const {
  return impl_->rules().Stops([this](DomainId domain) { return Name(domain); });
}
MessageRef Spool::RunStart() const {
  return impl_->run_start();
}
SpoolStats Spool::Stats() const {
  return impl_->Stats();
}

}  // namespace backstay
