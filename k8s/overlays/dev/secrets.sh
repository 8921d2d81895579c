#!/usr/bin/env bash
# Makes the Secrets of the dev overlay: those of compose/secrets.sh, in secrets/ beside this file, and the list of
# Kafka's users. Safe to repeat.
set -euo pipefail
cd "$(dirname "$0")"
../../../compose/secrets.sh "$PWD/secrets"
admin=$(cat secrets/kafka_admin_password)
user=$(cat secrets/kafka_password)
printf 'jaas=org.apache.kafka.common.security.plain.PlainLoginModule required username="admin" password="%s" user_admin="%s" user_escapement="%s";\n' \
    "$admin" "$admin" "$user" > secrets/kafka.env
