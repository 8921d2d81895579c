/// What each setting means, for the reference. A test sees to it that every setting is here and nothing else.
enum SettingMeanings {
    static let all: [String: String] = [
        "DATABASE_URL":
            "`postgresql://…`. Its parts win over the matching `PG…` variables.",
        "ELASTICSEARCH_API_KEY":
            "The encoded key.",
        "ELASTICSEARCH_CA_FILE":
            "Authorities of the server, PEM.",
        "ELASTICSEARCH_CLIENT_CERT_FILE":
            "Own certificate, PEM, for a server that asks for one; with the key, or neither.",
        "ELASTICSEARCH_CLIENT_KEY_FILE":
            "The key of that certificate, PEM.",
        "ELASTICSEARCH_FLAVOR":
            "What answers there; `auto` asks it.",
        "ELASTICSEARCH_PASSWORD":
            "The password of that user.",
        "ELASTICSEARCH_URL":
            "`https://host:9200`, several with commas, without credentials.",
        "ELASTICSEARCH_USERNAME":
            "Instead of the key, with a password.",
        "ESCAPEMENT_ACTIVATIONS_FORMAT":
            "`openwhisk`: OpenWhisk's document in OpenWhisk's indices.",
        "ESCAPEMENT_ACTIVATIONS_INDEX":
            "The beginning of the names of activation indices.",
        "ESCAPEMENT_ACTIVATIONS_RETENTION":
            "How long records are kept, 1 day to 10 years.",
        "ESCAPEMENT_ACTIVATIONS_STORE_PAYLOADS":
            "What a record keeps of the payload; `digest`: size and SHA-256, `full`: the text too, up to 64 KiB (it is in "
            + "the journal and in Elasticsearch then).",
        "ESCAPEMENT_ACTIVATION_STORE":
            "Anything else is refused: [activation-store.md](activation-store.md).",
        "ESCAPEMENT_AUTH_MODE":
            "How callers prove who they are; `none` is for development.",
        "ESCAPEMENT_AUTH_TOKENS_FILE":
            "One line per token; required with `token`.",
        "ESCAPEMENT_CANARY":
            "`on` keeps the schedule `canary` in the namespace `escapement`, which fires each 10 s into "
            + "`escapement.CLUSTER.canary` and is compared with its records all the time; `off` makes none (an existing "
            + "one stays until it is deleted).",
        "ESCAPEMENT_CLUSTER_ADVERTISE":
            "`host:port` where other members reach it.",
        "ESCAPEMENT_CLUSTER_LANES":
            "Lanes, 1 to 256, at most one per shard. Equal on all members.",
        "ESCAPEMENT_CLUSTER_LISTEN":
            "The port for other members, mutual TLS 1.3.",
        "ESCAPEMENT_CLUSTER_NAME":
            "Part of topic, index and transaction names. 1 to 40 lower-case letters, digits, "
            + "hyphens. Equal on all members.",
        "ESCAPEMENT_CLUSTER_SHARDS":
            "Shards, 1 to 4096. Fixed at the first start, equal on all members.",
        "ESCAPEMENT_CONFIG_FILE":
            "The configuration file; also `--config`.",
        "ESCAPEMENT_CONFIG_REFUSED":
            "When the settings cannot be used: `exit` with 78, or `stay` and say why in `/readyz`, the log and a metric.",
        "ESCAPEMENT_COORDINATORS":
            "Where to find coordinators, with `static` discovery: `host:port`; the port may be left "
            + "out (7400).",
        "ESCAPEMENT_DATABASE_SCHEMA":
            "The schema that holds all tables. Clusters that share a database have one each; "
            + "`escapement db` reads it too.",
        "ESCAPEMENT_DELIVERY_MODE":
            "`exactly-once`, or `at-least-once` for brokers without transactions. The same on every "
            + "dispatcher: the leader refuses one that differs from those it has. To change it, stop "
            + "all dispatchers first.",
        "ESCAPEMENT_DISCOVERY":
            "How tickers and dispatchers find coordinators: "
            + "[configuration.md](configuration.md#discovery).",
        "ESCAPEMENT_DISCOVERY_DNS_NAME":
            "A name with an address for each coordinator: a headless Service, a name of compose. "
            + "`name` or `name:port` (7400). Asked when a leader is looked for.",
        "ESCAPEMENT_DISCOVERY_KUBERNETES_API_URL":
            "The API server; a pod knows its own.",
        "ESCAPEMENT_DISCOVERY_KUBERNETES_CA_FILE":
            "The authority of the API server.",
        "ESCAPEMENT_DISCOVERY_KUBERNETES_LABEL_SELECTOR":
            "Which pods they are.",
        "ESCAPEMENT_DISCOVERY_KUBERNETES_NAMESPACE":
            "Where the coordinators' pods are.",
        "ESCAPEMENT_DISCOVERY_KUBERNETES_PORT":
            "Their member port.",
        "ESCAPEMENT_DISCOVERY_KUBERNETES_TOKEN_FILE":
            "Read again for every request, because it rotates.",
        "ESCAPEMENT_DISPATCHER_CLOUDEVENTS_SOURCE":
            "Put before `/namespaces/…` in an event's source.",
        "ESCAPEMENT_DISPATCHER_DEAD_LETTER_TOPIC":
            "For fires that cannot be delivered.",
        "ESCAPEMENT_DISPATCHER_DEFAULT_TOPIC":
            "For fires that name no topic.",
        "ESCAPEMENT_DISPATCHER_FORMAT":
            "How a fire looks in Kafka, unless its schedule says otherwise.",
        "ESCAPEMENT_DISPATCHER_TOPIC_ALLOW":
            "A regular expression that the whole name of a topic must match.",
        "ESCAPEMENT_DRAIN_TIMEOUT":
            "How long a shutdown may hand over what it owns; below the platform's grace period.",
        "ESCAPEMENT_HTTP_ADMIN_LISTEN":
            "Probes and metrics, plain HTTP.",
        "ESCAPEMENT_HTTP_LISTEN":
            "API and console.",
        "ESCAPEMENT_HTTP_TARGETS":
            "Which HTTP targets fires may go to; `public`: no private networks.",
        "ESCAPEMENT_HTTP_TARGETS_CA_FILE":
            "PEM: the authorities that sign HTTP targets.",
        "ESCAPEMENT_HTTP_TARGETS_REQUESTS_PER_HOST":
            "Requests of one dispatcher to one host that are under way at a time; 512 to all hosts together.",
        "ESCAPEMENT_HTTP_TARGETS_SECRETS_DIR":
            "A directory with a file `namespace.name` for each secret that signs requests.",
        "ESCAPEMENT_HTTP_TLS_CERT_FILE":
            "HTTPS for the API and the console: certificate, PEM; with the key or not at all.",
        "ESCAPEMENT_HTTP_TLS_KEY_FILE":
            "The private key of that certificate, PEM.",
        "ESCAPEMENT_INSTANCE_ID":
            "Unique among live members; on Kubernetes the pod's name.",
        "ESCAPEMENT_JOURNAL_LOSS":
            "When Kafka has lost journal records that it had acknowledged: `halt` the lane, or "
            + "`resume` from the later of the journal and the checkpoint in PostgreSQL (seconds old): "
            + "fires settled between the two are fired again.",
        "ESCAPEMENT_LOG_FORMAT":
            "`auto`: text on a terminal, else JSON.",
        "ESCAPEMENT_LOG_LEVEL":
            "Changeable at run time: `PUT /admin/log-level`.",
        "ESCAPEMENT_OPENWHISK_API_HOST":
            "`https://host` of OpenWhisk's controller; without it its triggers and actions are "
            + "refused.",
        "ESCAPEMENT_OPENWHISK_KEYS_DIR":
            "A directory with a file for each namespace that holds its `uuid:key`.",
        "ESCAPEMENT_OPENWHISK_TOPIC":
            "The only topic for messages in the format `openwhisk`, which hold keys.",
        "ESCAPEMENT_READY_FILE":
            "Written when everything listens: JSON with process id and bound ports, for a supervisor.",
        "ESCAPEMENT_REVISION":
            "Source revision of the image, shown in `escapement_build_info`.",
        "ESCAPEMENT_TICKER_HORIZON":
            "How far ahead of its due instant a one-shot is loaded into memory, 1 minute to 1 day.",
        "ESCAPEMENT_TICKER_PAYLOAD_BYTES_MAX":
            "Bytes of the payloads of schedules and one-shots in a ticker's memory at which loading pauses likewise, 1 MiB to "
            + "1 TiB; with names, labels and headers each has some 200 more than what was given.",
        "ESCAPEMENT_TICKER_TIMERS_MAX":
            "One-shots in a ticker's memory at which loading pauses, 10000 to 1000000000; it goes on when a quarter is "
            + "free. About 85 bytes each, and their payloads with 90 more for each distinct one. What is due within a minute is loaded all the same.",
        "ESCAPEMENT_TLS_CA_FILE":
            "The authority that signs all members, PEM.",
        "ESCAPEMENT_TLS_CERT_FILE":
            "This member's certificate, PEM.",
        "ESCAPEMENT_TLS_KEY_FILE":
            "Its private key, PEM.",
        "ESCAPEMENT_TZDIR":
            "Time-zone files.",
        "ESCAPEMENT_ZONE":
            "Failure domain, for spreading and display.",
        "KAFKA_BOOTSTRAP_SERVERS":
            "`host:port`, several with commas.",
        "KAFKA_CLIENT_ID":
            "How the broker logs name us.",
        "KAFKA_SASL_MECHANISM":
            "`PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`, `OAUTHBEARER`, `GSSAPI`; with a SASL "
            + "protocol only.",
        "KAFKA_SASL_PASSWORD":
            "Its password.",
        "KAFKA_SASL_USERNAME":
            "The user that the broker knows.",
        "KAFKA_SECURITY_PROTOCOL":
            "As in Kafka.",
        "KAFKA_SSL_CA_FILE":
            "Authorities of the brokers, PEM.",
        "KAFKA_SSL_CERT_FILE":
            "Client certificate, PEM; with the key or not at all.",
        "KAFKA_SSL_KEY_FILE":
            "The private key of that certificate, PEM.",
        "KAFKA_SSL_KEY_PASSWORD":
            "Password of the key.",
        "KUBERNETES_SERVICE_HOST":
            "Kubernetes sets it in every pod.",
        "KUBERNETES_SERVICE_PORT":
            "Kubernetes sets it in every pod.",
        "OTEL_EXPORTER_OTLP_CERTIFICATE":
            "PEM: the authorities that sign the collector; else the system's.",
        "OTEL_EXPORTER_OTLP_ENDPOINT":
            "The collector; traces go to `/v1/traces` below it. Without an endpoint there are no traces.",
        "OTEL_EXPORTER_OTLP_HEADERS":
            "Headers that the collector asks for: `name=value`, several with commas.",
        "OTEL_EXPORTER_OTLP_PROTOCOL":
            "The body is JSON, with `http/protobuf` too; with `grpc` no traces are sent.",
        "OTEL_EXPORTER_OTLP_TIMEOUT":
            "Of one request, milliseconds.",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT":
            "Where traces go, the whole address; wins over the endpoint.",
        "OTEL_RESOURCE_ATTRIBUTES":
            "More attributes of the process: `name=value`, several with commas.",
        "OTEL_SDK_DISABLED":
            "Switches traces off whatever else is set.",
        "OTEL_SERVICE_NAME":
            "`escapement-` and the role when not set.",
        "OTEL_TRACES_SAMPLER":
            "Which traces are recorded; `parentbased_`: as the caller decided.",
        "OTEL_TRACES_SAMPLER_ARG":
            "The share for `traceidratio`.",
        "PGAPPNAME":
            "As in libpq.",
        "PGCHANNELBINDING":
            "As in libpq.",
        "PGCONNECT_TIMEOUT":
            "As in libpq.",
        "PGDATABASE":
            "Database.",
        "PGGSSENCMODE":
            "As in libpq.",
        "PGHOST":
            "Host, several with commas.",
        "PGHOSTADDR":
            "As in libpq.",
        "PGOPTIONS":
            "As in libpq.",
        "PGPASSFILE":
            "As in libpq.",
        "PGPASSWORD":
            "The database password.",
        "PGPORT":
            "Port.",
        "PGSERVICE":
            "As in libpq.",
        "PGSSLCERT":
            "As in libpq.",
        "PGSSLCRL":
            "As in libpq.",
        "PGSSLKEY":
            "As in libpq.",
        "PGSSLMODE":
            "`verify-full` checks certificate and name.",
        "PGSSLROOTCERT":
            "Authorities of the server, PEM.",
        "PGTARGETSESSIONATTRS":
            "As in libpq.",
        "PGUSER":
            "User.",
    ]
}
