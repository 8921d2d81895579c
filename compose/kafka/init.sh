#!/usr/bin/env bash
# Creates the SCRAM user of the dispatchers. The record lives in Kafka's own metadata, so it outlives the broker's
# container; to run this again changes nothing but the password.
set -euo pipefail

tools=/opt/kafka/bin
# Passwords stand in files and not among the arguments, where every process could read them.
properties=$(mktemp)
credential=$(mktemp)
trap 'rm -f "$properties" "$credential"' EXIT
cat > "$properties" <<CONFIG
security.protocol=SASL_PLAINTEXT
sasl.mechanism=PLAIN
sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="admin" password="$KAFKA_ADMIN_PASSWORD";
CONFIG

for attempt in $(seq 1 30); do
    if "$tools/kafka-broker-api-versions.sh" --bootstrap-server kafka:19092 --command-config "$properties" >/dev/null 2>&1
    then
        break
    fi
    [ "$attempt" -lt 30 ] || { echo "kafka-init: the broker does not let the administrator in" >&2; exit 1; }
    sleep 1
done

printf 'SCRAM-SHA-512=iterations=8192,password=%s\n' "$(cat /run/secrets/kafka_password)" > "$credential"
"$tools/kafka-configs.sh" --bootstrap-server kafka:19092 --command-config "$properties" --alter \
    --entity-type users --entity-name escapement --add-config-file "$credential"
echo "kafka-init: the user 'escapement' is ready"
