/// Something that goes wrong on order: for the next requests of a kind.
package struct Fault: Equatable, Sendable {
    package enum Effect: Equatable, Sendable {
        /// The request is not applied and answered with this code, in each of its partitions.
        case error(ErrorCode)
        /// The request is applied so many milliseconds later, even when its connection is gone by then.
        case delay(milliseconds: Int64)
        /// The request is applied at once and answered so many milliseconds later.
        case delayAnswer(milliseconds: Int64)
        /// The request is applied a second time, so many milliseconds later; that answer is thrown away.
        case duplicate(afterMilliseconds: Int64)
        /// The request is applied, and the connection closed instead of an answer.
        case dropAnswer
        /// The request is applied, and nothing is ever answered on the connection any more.
        case mute
        /// The connection is closed and the request not applied.
        case disconnect
    }

    package var effect: Effect
    /// `nil` means every kind of request but those that a connection begins with.
    package var api: APIKey?
    /// Only for requests to this broker.
    package var broker: Int32?
    /// Only for clients whose id begins so.
    package var clientIDPrefix: String?
    /// For `error`: only in partitions of this topic.
    package var topic: String?
    /// For how many requests.
    package var count: Int

    package init(
        _ effect: Effect, api: APIKey? = nil, broker: Int32? = nil, clientIDPrefix: String? = nil,
        topic: String? = nil, count: Int = 1
    ) {
        self.effect = effect
        self.api = api
        self.broker = broker
        self.clientIDPrefix = clientIDPrefix
        self.topic = topic
        self.count = count
    }

    func applies(to api: APIKey, broker: Int32, clientID: String?) -> Bool {
        if let own = self.api {
            if own != api { return false }
        } else if [.apiVersions, .saslHandshake, .saslAuthenticate].contains(api) {
            return false
        }
        if let own = self.broker, own != broker { return false }
        if let prefix = self.clientIDPrefix, clientID?.hasPrefix(prefix) != true { return false }
        return self.count > 0
    }
}
