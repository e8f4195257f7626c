// `migrate print`: the schema as files of another migration tool, on standard output or in a
// directory, where no file is replaced.
#pragma once

#include "outbox/schema.hpp"
#include "service/one_shot.hpp"

namespace outboxd::service {

exit_code print_migrations(const outbox::schema_names& names, const migrate_command& how,
                           const streams& to);

}  // namespace outboxd::service
