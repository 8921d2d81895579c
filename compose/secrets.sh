#!/usr/bin/env bash
# Makes what the stack must not share with anyone: passwords, an API token, a private certificate authority and a
# certificate for each role. Safe to repeat: what exists is kept. Nothing of it is ever committed.
#
#   compose/secrets.sh           make what is missing, in compose/secrets
#   compose/secrets.sh FOLDER    the same in another folder
#   compose/secrets.sh --token   print the token of the API's administrator
set -euo pipefail
umask 077
compose=$(cd "$(dirname "$0")" && pwd)
folder=$compose/secrets
cluster=escapement
days=825

if [ "${1:-}" = --token ]; then
    cat "$folder/token"
    exit 0
fi
case "${1:-}" in
    "") ;;
    -*)
        sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
    *) folder=$1 ;;
esac
command -v openssl >/dev/null || { echo "secrets.sh: openssl is missing" >&2; exit 1; }

# The folder is closed; the files in it are readable, because compose shows them to containers with the owner and
# mode they have here, and the services run as user 65532.
mkdir -p "$folder"
chmod 0700 "$folder"

random() { openssl rand -hex 24; }

password() {
    # No line break at the end: some images take a file as it is.
    [ -s "$folder/$1" ] || printf "%s" "$(random)" > "$folder/$1"
    chmod 0644 "$folder/$1"
}

for name in pg_password kafka_password kafka_admin_password elastic_password elasticsearch_password grafana_password token
do
    password "$name"
done

# The services know the token by its hash only.
if [ ! -s "$folder/tokens" ]; then
    digest=$(openssl dgst -sha256 -r "$folder/token" | cut -d' ' -f1)
    printf '%s administrator admin *\n' "$digest" > "$folder/tokens"
fi
chmod 0644 "$folder/tokens"

if [ ! -s "$folder/ca.crt" ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days "$days" -sha256 \
        -subj "/CN=Escapement compose CA" -addext "basicConstraints=critical,CA:TRUE,pathlen:0" \
        -addext "keyUsage=critical,keyCertSign,cRLSign" -keyout "$folder/ca.key" -out "$folder/ca.crt" 2>/dev/null
fi
chmod 0644 "$folder/ca.crt"
chmod 0600 "$folder/ca.key"

# The members of one role share a certificate ('*'), so that their number can change; each says its own name.
for role in coordinator ticker dispatcher; do
    [ -s "$folder/$role.crt" ] && continue
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 -subj "/CN=$role" \
        -keyout "$folder/$role.key" -out "$folder/$role.csr" 2>/dev/null
    openssl x509 -req -in "$folder/$role.csr" -CA "$folder/ca.crt" -CAkey "$folder/ca.key" -CAcreateserial -sha256 \
        -days "$days" -out "$folder/$role.crt" -extfile <(
            printf '%s\n' "subjectAltName=URI:spiffe://escapement/$cluster/$role/*" \
                "basicConstraints=critical,CA:FALSE" "keyUsage=critical,digitalSignature" \
                "extendedKeyUsage=serverAuth,clientAuth"
        ) 2>/dev/null
    rm -f "$folder/$role.csr"
    chmod 0644 "$folder/$role.crt" "$folder/$role.key"
done

# What images take from the environment only.
if [ "$folder" = "$compose/secrets" ] && [ ! -s "$compose/.env" ]; then
    {
        printf 'KAFKA_ADMIN_PASSWORD=%s\n' "$(cat "$folder/kafka_admin_password")"
        printf 'ELASTIC_PASSWORD=%s\n' "$(cat "$folder/elastic_password")"
    } > "$compose/.env"
fi
echo "secrets are in $folder; the API's token is in $folder/token" >&2
