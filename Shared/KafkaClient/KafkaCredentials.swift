import CRDKafka
import EscapementModel

/// Gives a running instance the password that its file holds now: the next connection logs in with it.
struct KafkaCredentials {
    /// Time between two looks at the file: after a rotation, a login is refused for so long at most.
    static let refreshEvery = Duration.seconds(5)

    private let settings: KafkaClientSettings
    private let clocks = SystemClocks()
    private var password: String?
    private var lastLook: MonotonicInstant

    /// - Parameter current: what the instance was made with.
    init(settings: KafkaClientSettings, current: [KafkaClientSettings.Property]) {
        self.settings = settings
        self.password = Self.password(in: current)
        self.lastLook = self.clocks.monotonicNow()
    }

    /// Looks again, when it is time. A file that cannot be read now changes nothing: a rotation may be under way.
    mutating func refresh(_ instance: OpaquePointer, _ tap: KafkaLogTap) {
        guard let user = self.settings.value(of: "sasl.username") else { return }
        let now = self.clocks.monotonicNow()
        guard now.duration(since: self.lastLook) >= Self.refreshEvery else { return }
        self.lastLook = now
        guard let secrets = try? self.settings.secrets(), let password = Self.password(in: secrets),
            password != self.password
        else { return }
        tap.hide(password)
        if let error = rd_kafka_sasl_set_credentials(instance, user, password) {
            // Only mechanisms without a password refuse it.
            rd_kafka_error_destroy(error)
            return
        }
        self.password = password
    }

    private static func password(in secrets: [KafkaClientSettings.Property]) -> String? {
        secrets.last { $0.name == "sasl.password" }?.value
    }
}
