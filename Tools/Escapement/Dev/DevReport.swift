import JSON

/// What runs and how to reach it: the content of `dev.json`.
struct DevReport {
    struct Process {
        var name: String
        var role: String
        var node: String
        var pid: Int32
        var adminURL: String?
        /// Coordinators only.
        var apiURL: String?
        var logFile: String
    }

    struct Kafka {
        var bootstrapServers: String
        var username: String
        var passwordFile: String
        var mechanism: String
        var authorityFile: String
        var adminURL: String?
    }

    struct Elasticsearch {
        var url: String
        var username: String
        var passwordFile: String
        var authorityFile: String
        var adminURL: String?
    }

    struct Postgres {
        var connectionString: String
        var passwordFile: String
    }

    var cluster: String
    var dataFolder: String
    var supervisor: Int32
    var ready: Bool
    var apiURL: String
    var authorityFile: String
    var tokenFile: String
    var kafka: Kafka?
    var elasticsearch: Elasticsearch?
    var postgres: Postgres?
    var processes: [Process]

    var json: JSONValue {
        .record([
            "cluster": .string(self.cluster),
            "dataDir": .string(self.dataFolder),
            "supervisor": .integer(self.supervisor),
            "ready": .bool(self.ready),
            "api": .record([
                "url": .string(self.apiURL), "caFile": .string(self.authorityFile),
                "tokenFile": .string(self.tokenFile),
            ]),
            "kafka": self.kafka.map { kafka in
                .record([
                    "bootstrapServers": .string(kafka.bootstrapServers), "securityProtocol": "SASL_SSL",
                    "saslMechanism": .string(kafka.mechanism), "username": .string(kafka.username),
                    "passwordFile": .string(kafka.passwordFile), "caFile": .string(kafka.authorityFile),
                    "adminUrl": kafka.adminURL.map { .string($0) },
                ])
            },
            "elasticsearch": self.elasticsearch.map { store in
                .record([
                    "url": .string(store.url), "username": .string(store.username),
                    "passwordFile": .string(store.passwordFile), "caFile": .string(store.authorityFile),
                    "adminUrl": store.adminURL.map { .string($0) },
                ])
            },
            "postgres": self.postgres.map { postgres in
                .record([
                    "connectionString": .string(postgres.connectionString),
                    "passwordFile": .string(postgres.passwordFile),
                ])
            },
            "processes": .array(
                self.processes.map { process in
                    .record([
                        "name": .string(process.name), "role": .string(process.role), "node": .string(process.node),
                        "pid": .integer(process.pid), "adminUrl": process.adminURL.map { .string($0) },
                        "apiUrl": process.apiURL.map { .string($0) }, "logFile": .string(process.logFile),
                    ])
                }),
        ])
    }
}
