// Pages of the manual, in roff, made from the tables of verbs, exit statuses and settings.
#pragma once

#include <string>

namespace outboxd::service {

std::string man_page();           // outboxd(1)
std::string settings_man_page();  // outboxd.env(5)

}  // namespace outboxd::service
