#!/usr/bin/env bash
# Creates the role and the user of the dispatchers: they write activation records and read them back. Template and policy
# are the administrator's ('elasticsearch-setup'); the dispatchers only look at them. Safe to repeat.
set -euo pipefail

server=http://elasticsearch:9200

# The document comes on the standard input and the administrator's password as a configuration file of curl: among the
# arguments every process could read them.
put() {
    curl --fail --silent --show-error --retry 20 --retry-delay 2 --retry-all-errors --request PUT \
        --config <(printf 'user = "elastic:%s"\n' "$ELASTIC_PASSWORD") \
        --header 'Content-Type: application/json' --data-binary @- "$server/$1"
    echo
}

put _security/role/escapement <<'ROLE'
{
  "cluster": ["monitor", "read_ilm"],
  "indices": [
    {"names": ["escapement-activations*"], "privileges": ["auto_configure", "create_doc", "read", "view_index_metadata"]}
  ]
}
ROLE
put _security/user/escapement <<USER
{
  "password": "$(cat /run/secrets/elasticsearch_password)",
  "roles": ["escapement"], "full_name": "Escapement dispatchers"
}
USER
echo "elasticsearch-init: the user 'escapement' is ready"
