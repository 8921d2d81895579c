/// How callers of the API prove who they are.
package enum AuthenticationMode: String, CaseIterable, Sendable {
    /// Bearer tokens, whose hashes stand in a file.
    case token
    /// Everyone may do everything. For development on one machine.
    case none
}

/// Whether the cluster has a canary: a schedule of its own that fires all the time and is checked.
package enum CanaryMode: String, CaseIterable, Sendable {
    case on
    case off
}

/// The coordinator: API, console, membership, placement.
package struct CoordinatorConfiguration: ReadableConfiguration {
    package var common: CommonConfiguration
    /// The API and the console.
    package var httpListen: ListenAddress
    /// Certificate and key of the API, PEM; both or neither. Without them the API is plain HTTP.
    package var httpTLS: (certificateFile: String, keyFile: String)?
    package var authentication: AuthenticationMode
    /// One line per token; read again when it changes.
    package var tokensFile: String?
    package var canary: CanaryMode
    package var postgres: PostgresSettings

    package init(
        common: CommonConfiguration, postgres: PostgresSettings = PostgresSettings(),
        httpListen: ListenAddress = ListenAddress(host: "0.0.0.0", port: 8080),
        httpTLS: (certificateFile: String, keyFile: String)? = nil, authentication: AuthenticationMode = .token,
        tokensFile: String? = nil, canary: CanaryMode = .on
    ) {
        self.canary = canary
        self.common = common
        self.httpListen = httpListen
        self.httpTLS = httpTLS
        self.authentication = authentication
        self.tokensFile = tokensFile
        self.postgres = postgres
    }

    package init(reading reader: inout ConfigurationReader) {
        self.init(
            common: CommonConfiguration(reading: &reader, needsCoordinators: false),
            postgres: PostgresSettings(reading: &reader))
        self.httpListen = reader.listen("ESCAPEMENT_HTTP_LISTEN", default: self.httpListen)
        self.httpTLS = Self.httpTLS(&reader)
        self.authentication = reader.choice("ESCAPEMENT_AUTH_MODE", default: self.authentication)
        self.tokensFile = reader.file("ESCAPEMENT_AUTH_TOKENS_FILE")
        self.canary = reader.choice("ESCAPEMENT_CANARY", default: self.canary)
        if self.authentication == .token, self.tokensFile == nil {
            reader.refuse(
                "ESCAPEMENT_AUTH_TOKENS_FILE", "is not set though ESCAPEMENT_AUTH_MODE is token",
                remedy: "name the file of token hashes, or set ESCAPEMENT_AUTH_MODE=none on a machine of your own")
        }
        if self.authentication == .none {
            reader.warn(
                "ESCAPEMENT_AUTH_MODE", "is none: whoever reaches the API may do everything",
                remedy: "set it to token outside development")
        }
    }

    private static func httpTLS(
        _ reader: inout ConfigurationReader
    ) -> (certificateFile: String, keyFile: String)? {
        let certificate = reader.file("ESCAPEMENT_HTTP_TLS_CERT_FILE")
        let key = reader.file("ESCAPEMENT_HTTP_TLS_KEY_FILE")
        switch (certificate, key) {
        case (let certificate?, let key?):
            return (certificate, key)
        case (nil, nil):
            return nil
        case (_?, nil):
            reader.refuse(
                "ESCAPEMENT_HTTP_TLS_KEY_FILE", "is not set though ESCAPEMENT_HTTP_TLS_CERT_FILE is",
                remedy: "name the certificate's private key, in PEM")
        case (nil, _?):
            reader.refuse(
                "ESCAPEMENT_HTTP_TLS_CERT_FILE", "is not set though ESCAPEMENT_HTTP_TLS_KEY_FILE is",
                remedy: "name the key's certificate, in PEM")
        }
        return nil
    }
}

/// The ticker: wheels. No credentials but its certificate.
package struct TickerConfiguration: ReadableConfiguration {
    package var common: CommonConfiguration
    /// How far ahead one-shots are kept in memory.
    package var horizon: Duration
    /// One-shots in memory at which loading pauses.
    package var timersMax: Int
    /// Bytes of payloads in memory at which loading pauses.
    package var payloadBytesMax: Int

    package init(
        common: CommonConfiguration, horizon: Duration = .seconds(900), timersMax: Int = 10_000_000,
        payloadBytesMax: Int = 2 << 30
    ) {
        self.common = common
        self.horizon = horizon
        self.timersMax = timersMax
        self.payloadBytesMax = payloadBytesMax
    }

    package init(reading reader: inout ConfigurationReader) {
        self.init(common: CommonConfiguration(reading: &reader, needsCoordinators: true))
        self.horizon = reader.duration(
            "ESCAPEMENT_TICKER_HORIZON", default: self.horizon, in: .seconds(60)...(.seconds(86_400)))
        self.timersMax = reader.integer(
            "ESCAPEMENT_TICKER_TIMERS_MAX", default: self.timersMax, in: 10_000...1_000_000_000)
        self.payloadBytesMax = reader.integer(
            "ESCAPEMENT_TICKER_PAYLOAD_BYTES_MAX", default: self.payloadBytesMax, in: 1 << 20...1 << 40)
    }
}
