/// How a fire looks in Kafka, unless its schedule says otherwise.
package enum FireFormat: String, CaseIterable, Sendable {
    case cloudEventsBinary = "cloudevents-binary"
    case cloudEventsStructured = "cloudevents-structured"
    /// The payload alone.
    case plain
    /// OpenWhisk's ActivationMessage.
    case openWhisk = "openwhisk"
}

/// How often a fire may be in its topic.
package enum DeliveryMode: String, CaseIterable, Sendable {
    /// Once, for consumers that read committed records: with transactions.
    case exactlyOnce = "exactly-once"
    /// Again after some failures, always with the same id: without transactions.
    case atLeastOnce = "at-least-once"
}

/// Which HTTP targets fires may go to.
package enum WebTargetPolicy: String, CaseIterable, Sendable {
    case off
    /// Public addresses, and the OpenWhisk that the operator names.
    case `public`
    /// Private networks too: for clusters whose tenants are trusted with them.
    case all
}

/// What an activation record keeps of the payload.
package enum PayloadStorage: String, CaseIterable, Sendable {
    /// Size and SHA-256.
    case digest
    case full
    case none
}

/// How an activation record looks in Elasticsearch.
package enum ActivationFormat: String, CaseIterable, Sendable {
    case native
    /// OpenWhisk's document, in OpenWhisk's index per namespace.
    case openWhisk = "openwhisk"
}

/// What becomes of a lane whose journal has lost records that Kafka had acknowledged.
package enum JournalLoss: String, CaseIterable, Sendable {
    /// It publishes nothing until an operator decides.
    case halt
    /// It goes on from the later of the journal and the checkpoint in PostgreSQL.
    case resume
}

/// The dispatcher: lanes, Kafka, Elasticsearch.
package struct DispatcherConfiguration: ReadableConfiguration {
    package static let defaultTopicName = "escapement.fires"
    package static let deadLetterTopicName = "escapement.deadletters"

    package var common: CommonConfiguration
    package var kafka: KafkaSettings
    package var elasticsearch: ElasticsearchSettings
    /// Where fires go that name no topic.
    package var defaultTopic: String
    /// Where fires go that cannot be delivered.
    package var deadLetterTopic: String
    /// A regular expression that the whole name of a topic must match before a schedule may use it.
    package var topicAllow: String
    package var format: FireFormat
    /// Put before `/namespaces/…` in the source of an event; may be empty.
    package var cloudEventsSource: String
    package var activations: ActivationSettings
    package var payloadStorage: PayloadStorage
    package var deliveryMode: DeliveryMode
    package var journalLoss: JournalLoss
    package var webTargets: WebTargetPolicy
    /// PEM; `nil`: the system's authorities.
    package var webAuthorityFile: String?
    /// Requests to one host that are under way at a time.
    package var webRequestsPerHostMax: Int
    /// `https://host` of OpenWhisk's controller; `nil` refuses its triggers and actions.
    package var whiskHost: String?
    /// A directory with a file for each namespace that holds `uuid:key`.
    package var whiskKeysDirectory: String?
    /// The only topic for OpenWhisk's messages, which hold keys; `nil` refuses that format.
    package var whiskTopic: String?
    /// A directory with a file `namespace.name` for each secret that signs requests.
    package var webSecretsDirectory: String?

    package init(
        common: CommonConfiguration, kafka: KafkaSettings, elasticsearch: ElasticsearchSettings,
        defaultTopic: String = Self.defaultTopicName, deadLetterTopic: String = Self.deadLetterTopicName,
        topicAllow: String = #"escapement\.fires(\..+)?"#, format: FireFormat = .cloudEventsBinary,
        cloudEventsSource: String = "", activations: ActivationSettings = ActivationSettings(),
        payloadStorage: PayloadStorage = .digest, deliveryMode: DeliveryMode = .exactlyOnce
    ) {
        self.common = common
        self.kafka = kafka
        self.elasticsearch = elasticsearch
        self.defaultTopic = defaultTopic
        self.deadLetterTopic = deadLetterTopic
        self.topicAllow = topicAllow
        self.format = format
        self.cloudEventsSource = cloudEventsSource
        self.activations = activations
        self.payloadStorage = payloadStorage
        self.deliveryMode = deliveryMode
        self.journalLoss = .halt
        self.webTargets = .public
        self.webRequestsPerHostMax = 32
    }

    package init(reading reader: inout ConfigurationReader) {
        let common = CommonConfiguration(reading: &reader, needsCoordinators: true)
        self.init(
            common: common, kafka: KafkaSettings(reading: &reader, instance: common.instance),
            elasticsearch: ElasticsearchSettings(reading: &reader))
        self.defaultTopic = Self.topic("ESCAPEMENT_DISPATCHER_DEFAULT_TOPIC", self.defaultTopic, &reader)
        self.deadLetterTopic = Self.topic("ESCAPEMENT_DISPATCHER_DEAD_LETTER_TOPIC", self.deadLetterTopic, &reader)
        self.topicAllow = reader.value(
            "ESCAPEMENT_DISPATCHER_TOPIC_ALLOW", default: self.topicAllow, expected: "a regular expression",
            show: { $0 }, parse: { (try? Regex($0)) == nil ? nil : $0 })
        self.format = reader.choice("ESCAPEMENT_DISPATCHER_FORMAT", default: self.format)
        self.cloudEventsSource = reader.text("ESCAPEMENT_DISPATCHER_CLOUDEVENTS_SOURCE") ?? ""
        self.payloadStorage = reader.choice("ESCAPEMENT_ACTIVATIONS_STORE_PAYLOADS", default: self.payloadStorage)
        self.activations = ActivationSettings(reading: &reader)
        self.deliveryMode = reader.choice("ESCAPEMENT_DELIVERY_MODE", default: self.deliveryMode)
        self.journalLoss = reader.choice("ESCAPEMENT_JOURNAL_LOSS", default: self.journalLoss)
        self.webTargets = reader.choice("ESCAPEMENT_HTTP_TARGETS", default: self.webTargets)
        self.webAuthorityFile = reader.file("ESCAPEMENT_HTTP_TARGETS_CA_FILE")
        self.webRequestsPerHostMax = reader.integer(
            "ESCAPEMENT_HTTP_TARGETS_REQUESTS_PER_HOST", default: self.webRequestsPerHostMax, in: 1...256)
        self.webSecretsDirectory = reader.text("ESCAPEMENT_HTTP_TARGETS_SECRETS_DIR")
        self.whiskHost = reader.value(
            "ESCAPEMENT_OPENWHISK_API_HOST", default: nil, expected: "https://host, without a path",
            show: { $0 ?? "" },
            parse: { text in
                let host = text.hasSuffix("/") ? String(text.dropLast()) : text
                let rest = host.dropFirst("https://".utf8.count)
                return host.hasPrefix("https://") && !rest.isEmpty && !rest.contains("/") && !rest.contains("@")
                    ? .some(host) : nil
            })
        self.whiskKeysDirectory = reader.text("ESCAPEMENT_OPENWHISK_KEYS_DIR")
        self.whiskTopic = reader.text("ESCAPEMENT_OPENWHISK_TOPIC")
        if self.whiskHost != nil || self.whiskTopic != nil || self.format == .openWhisk, self.whiskKeysDirectory == nil
        {
            reader.refuse(
                "ESCAPEMENT_OPENWHISK_KEYS_DIR", "is not set though OpenWhisk is a target",
                remedy: "name the directory with a file 'uuid:key' for each namespace")
        }
        if self.format == .openWhisk, self.whiskTopic == nil {
            reader.refuse(
                "ESCAPEMENT_OPENWHISK_TOPIC", "is not set though ESCAPEMENT_DISPATCHER_FORMAT is openwhisk",
                remedy: "name the one topic whose readers may see the namespaces' keys")
        }
        if self.defaultTopic == self.deadLetterTopic {
            reader.refuse(
                "ESCAPEMENT_DISPATCHER_DEAD_LETTER_TOPIC", "is the same as ESCAPEMENT_DISPATCHER_DEFAULT_TOPIC",
                remedy: "use two topics")
        }
    }

    static func topic(_ name: String, _ fallback: String, _ reader: inout ConfigurationReader) -> String {
        reader.value(
            name, default: fallback, expected: "a topic name: 1 to 249 letters, digits, '.', '_' and '-'", show: { $0 },
            parse: { text in
                let isName =
                    (1...249).contains(text.utf8.count) && text != "." && text != ".."
                    && text.utf8.allSatisfy { byte in
                        switch byte {
                        case 48...57, 65...90, 97...122, UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"): true
                        default: false
                        }
                    }
                return isName ? text : nil
            })
    }
}
