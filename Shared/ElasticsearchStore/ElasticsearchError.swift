package import HTTPClient

/// A request to Elasticsearch did not succeed as a whole.
package struct ElasticsearchError: Error, Equatable, CustomStringConvertible {
    /// The HTTP status; `nil` when there was no answer.
    package var status: Int?
    /// For the log: the reason, without documents and credentials.
    package var detail: String
    /// How long the server, or a proxy before it, wants to be left alone.
    package var retryAfter: Duration?

    package init(status: Int?, detail: String, retryAfter: Duration? = nil) {
        self.status = status
        self.detail = detail
        self.retryAfter = retryAfter
    }

    /// No answer.
    package init(_ error: HTTPClientError) {
        self.init(status: nil, detail: "Elasticsearch does not answer: \(error)")
    }

    /// The request was too large for the server.
    package var isTooLarge: Bool { self.status == 413 }

    /// The server has too much to do: send less.
    package var isOverloaded: Bool { self.status == 429 }

    /// The server has no such feature, or has it switched off: its router knows no such address. Thrown with 404 where it
    /// takes the address for an index's; an object that does not exist is no error.
    package var isUnknownAddress: Bool { self.status.map { [400, 404, 405, 410].contains($0) } ?? false }

    /// The credentials do not suffice.
    package var isForbidden: Bool { self.status == 401 || self.status == 403 }

    package var description: String { self.detail }
}
