/// An error that a request is to be answered with, in the partitions that it is meant for.
final class InjectedError {
    let code: ErrorCode
    private let topic: String?
    private(set) var isUsed = false

    init(_ code: ErrorCode, topic: String?) {
        self.code = code
        self.topic = topic
    }

    /// The code when it is meant for this topic, or for a request that names none.
    func take(for topic: String? = nil) -> ErrorCode? {
        if let own = self.topic, own != topic { return nil }
        self.isUsed = true
        return self.code
    }

    /// The code when it is meant for this topic alone.
    func takeOwn(of topic: String) -> ErrorCode? { self.topic == nil ? nil : self.take(for: topic) }
}
