#!/usr/bin/env bash
# Creates the role and the user of the dispatchers: they write activation records, read them back, and put the
# index template. Safe to repeat.
set -euo pipefail

server=http://elasticsearch:9200

put() {
    # The password comes on the standard input as a configuration file of curl, not as an argument.
    curl --fail --silent --show-error --retry 20 --retry-delay 2 --retry-all-errors --config - --request PUT --header 'Content-Type: application/json' \
        --data "$2" "$server/$1" <<CONFIG
user = "elastic:$ELASTIC_PASSWORD"
CONFIG
    echo
}

put _security/role/escapement '{
  "cluster": ["monitor", "manage_index_templates", "manage_ilm"],
  "indices": [
    {"names": ["escapement-activations*"], "privileges": ["create_index", "create_doc", "read", "view_index_metadata"]}
  ]
}'
put _security/user/escapement "{
  \"password\": \"$(cat /run/secrets/elasticsearch_password)\",
  \"roles\": [\"escapement\"], \"full_name\": \"Escapement dispatchers\"
}"
echo "elasticsearch-init: the user 'escapement' is ready"
