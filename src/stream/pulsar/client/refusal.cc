#include "stream/pulsar/client/refusal.h"

#include <stream/pulsar/wire/commands.pb.h>

namespace fmesh::stream::pulsar {
namespace {

// What a person, or a program other than this one, has to change.
bool is_for_a_person(int code) {
  switch (code) {
    case wire::proto::AuthenticationError:
    case wire::proto::AuthorizationError:
    case wire::proto::ConsumerBusy:
    case wire::proto::UnsupportedVersionError:
    case wire::proto::TopicNotFound:
    case wire::proto::SubscriptionNotFound:
    case wire::proto::TopicTerminatedError:
    case wire::proto::ProducerBusy:
    case wire::proto::InvalidTopicName:
    case wire::proto::IncompatibleSchema:
    case wire::proto::ConsumerAssignError:
    case wire::proto::NotAllowedError:
    case wire::proto::ProducerFenced:
      return true;
    default:
      return false;
  }
}

// Who has to wait for the broker to forget a lost connection, or for a token to be renewed, is not refused for good.
bool passes_with_time(int code) {
  return code == wire::proto::AuthenticationError || code == wire::proto::AuthorizationError ||
         code == wire::proto::ConsumerBusy || code == wire::proto::ProducerBusy ||
         code == wire::proto::SubscriptionNotFound;
}

}  // namespace

Refusal refused(int code, const std::string& message) {
  const std::string name = wire::proto::ServerError_IsValid(code)
                               ? wire::proto::ServerError_Name(static_cast<wire::proto::ServerError>(code))
                               : "error " + std::to_string(code);
  return {Error(is_for_a_person(code) ? ErrorKind::kFixInput : ErrorKind::kRetryLater, name + ": " + message), code};
}

bool is_final(const Refusal& refusal, bool was_attached) {
  // Trust that fails, or an address that can't be used.
  if (!refusal.code) return !was_attached && refusal.error.kind() == ErrorKind::kFixInput;
  return is_for_a_person(*refusal.code) && !(was_attached && passes_with_time(*refusal.code));
}

}  // namespace fmesh::stream::pulsar
