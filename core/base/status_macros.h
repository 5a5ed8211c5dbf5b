// core/base/status_macros.h -- early return for absl::Status and absl::StatusOr; plain statements.
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define RETURN_IF_ERROR(expression)                    \
  do {                                                 \
    ::absl::Status status_macro_status = (expression); \
    if (!status_macro_status.ok()) {                   \
      return status_macro_status;                      \
    }                                                  \
  } while (false)

#define STATUS_MACRO_JOIN2(left, right) left##right
#define STATUS_MACRO_JOIN(left, right) STATUS_MACRO_JOIN2(left, right)

// ASSIGN_OR_RETURN(auto value, Compute()); -- one a line, never in a condition.
#define ASSIGN_OR_RETURN(target, expression) \
  ASSIGN_OR_RETURN_AS(STATUS_MACRO_JOIN(status_macro_result_, __LINE__), target, expression)
#define ASSIGN_OR_RETURN_AS(result, target, expression) \
  auto result = (expression);                           \
  if (!result.ok()) {                                   \
    return std::move(result).status();                  \
  }                                                     \
  target = std::move(result).value()
