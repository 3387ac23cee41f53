// The webhooks' protocol: an AdmissionReview comes in, v1 or v1beta1, an answer goes out, on upstream's paths:
// /mutate-compute-functionmesh-io-v1alpha1-{function,source,sink,functionmesh} and /validate-...
//
// Pure functions; any thread.
#pragma once

#include <boost/json/value.hpp>
#include <cstddef>

#include "net/http.h"

namespace fmesh::op {

// The API server takes objects of 3 MiB at most; a review holds the old and the new one.
inline constexpr size_t kReviewMaxBytes = 8 * 1024 * 1024;
inline constexpr size_t kWarningsMax = 32;       // of one answer; kubectl shows all of them
inline constexpr size_t kWarningMaxBytes = 256;  // longer ones may be cut by the API server
inline constexpr size_t kCausesMax = 200;        // errors with path in one answer
inline constexpr size_t kMessageOfAnswerMaxBytes = 16 * 1024;

// Answers every request: 404 for other paths, 405, 400 for what is no review.
net::HttpResponse answer_review(const net::HttpRequest& request);

// The operations of a JSON patch (RFC 6902) that make `after` of `before`: objects member by member, all else whole.
boost::json::array make_json_patch(const boost::json::value& before, const boost::json::value& after);

}  // namespace fmesh::op
