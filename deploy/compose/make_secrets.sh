#!/usr/bin/env bash
# Random passwords for compose.yaml, and the files that hold them. What is there already stays: the databases know
# it. "docker compose --profile demo down --volumes && rm -r secrets" starts anew.
# usage: make_secrets.sh [DIR]        (DIR: secrets, beside this script)
set -euo pipefail
dir=${1:-$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/secrets}
# The folder is closed; the files are mounted one by one, and read by the users of the containers.
[[ -d $dir ]] || mkdir -m 0700 "$dir"
cd -- "$dir"
umask 022

for name in postgres owner outboxd shop broker admin; do
  [[ -s ${name}_password ]] || od -An -N18 -tx1 /dev/urandom | tr -d ' \n' >"${name}_password"
done

# The network of the compose file is between these containers alone, and its PostgreSQL has no certificate.
echo "postgresql://shop_owner:$(<owner_password)@postgres/shop?sslmode=disable" >owner_database_url
echo "postgresql://shop_outboxd:$(<outboxd_password)@postgres/shop?sslmode=disable" >outboxd_database_url
echo "amqp://shop_outboxd:$(<broker_password)@rabbitmq/" >outboxd_amqp_url

# outboxd declares nothing: exchange, queue and binding are the services'. Its login may write to the exchange, and
# do nothing else.
cat >rabbitmq_definitions.json <<END
{
  "users": [
    {"name": "admin", "password": "$(<admin_password)", "tags": "administrator"},
    {"name": "shop_outboxd", "password": "$(<broker_password)", "tags": ""}
  ],
  "vhosts": [{"name": "/"}],
  "permissions": [
    {"user": "admin", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"},
    {"user": "shop_outboxd", "vhost": "/", "configure": "^$", "write": "^shop$", "read": "^$"}
  ],
  "exchanges": [
    {"name": "shop", "vhost": "/", "type": "topic", "durable": true, "auto_delete": false, "internal": false, "arguments": {}}
  ],
  "queues": [
    {"name": "orders", "vhost": "/", "durable": true, "auto_delete": false, "arguments": {"x-queue-type": "quorum"}}
  ],
  "bindings": [
    {"source": "shop", "vhost": "/", "destination": "orders", "destination_type": "queue", "routing_key": "order.#", "arguments": {}}
  ]
}
END
