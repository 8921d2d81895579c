import NIOCore

/// A request that was taken off a connection.
struct Request {
    let api: APIKey
    let version: Int16
    let correlationID: Int32
    let clientID: String?
    let body: FieldReader
    /// The broker whose listener it came to.
    let broker: Int32
    let connection: Connection
    var injected: InjectedError?

    /// An answer in the request's spelling.
    func writer(reserving reservation: Int = 256) -> FieldWriter {
        FieldWriter(isFlexible: self.api.isFlexible(self.version), reserving: reservation)
    }
}

/// What happens on a connection after a request.
enum Response {
    case body(FieldWriter)
    /// The client expects no answer.
    case nothing
    /// Answered, and then the connection is closed.
    case last(FieldWriter)
    case close(reason: String)
}

typealias Answer = (Response) -> Void

/// What the broker knows of a connection.
final class Connection {
    let broker: Int32
    let address: String
    /// `nil` on a listener without SASL.
    var session: SASLSession?
    /// Closes it; the handler's.
    var close: () -> Void = {}

    init(broker: Int32, address: String, session: SASLSession?) {
        self.broker = broker
        self.address = address
        self.session = session
    }
}
