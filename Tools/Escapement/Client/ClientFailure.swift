import ArgumentParser
import HTTPClient
import JSON

/// A request that did not do what was asked: what to tell, and how to exit.
struct ClientFailure: Error {
    var lines: [String]
    var exitCode: ExitCode

    init(_ exitCode: ExitCode, _ lines: String...) {
        self.exitCode = exitCode
        self.lines = lines
    }

    /// No answer came.
    init(_ error: HTTPClientError) {
        var lines = ["escapement: \(error.description)"]
        switch error.code {
        case .unreachable:
            lines.append("Is the server running there? --server or ESCAPEMENT_SERVER says where it is.")
        case .tls:
            lines.append("--tls-ca names the file with the certificate of its authority.")
        case .brokenConnection, .timeout:
            lines.append("The request may or may not have taken effect.")
        case .tooLarge, .forbidden, .cancelled, .other: break
        }
        self.lines = lines
        self.exitCode = ExitStatus.unavailable
    }

    /// The server's problem document, its lines one below another.
    init(_ response: HTTPResponse) {
        let document = try? JSONParser.parse(response.body)
        let code = document?["code"]?.stringValue ?? ""
        let title = document?["title"]?.stringValue ?? "the server answered with status \(response.status)"
        var lines = ["escapement: \(title)" + (code.isEmpty ? "" : " (\(code))")]
        let errors = document?["errors"]?.arrayValue ?? []
        if errors.isEmpty, let detail = document?["detail"]?.stringValue { lines.append("  \(detail)") }
        for error in errors {
            let place =
                error["pointer"]?.stringValue ?? error["parameter"]?.stringValue.map { "?\($0)" }
                ?? error["header"]?.stringValue ?? ""
            let detail = error["detail"]?.stringValue ?? ""
            lines.append("  " + [place, detail].filter { !$0.isEmpty }.joined(separator: ": "))
        }
        if response.status >= 500, let id = document?["requestId"]?.stringValue { lines.append("  request id \(id)") }
        self.lines = lines
        self.exitCode = Self.exitCode(of: response.status)
    }

    /// Trying again later may help.
    var isUnavailable: Bool { self.exitCode == ExitStatus.unavailable }

    static func exitCode(of status: Int) -> ExitCode {
        switch status {
        case 404: ExitStatus.notFound
        case 409, 412, 428: ExitStatus.conflict
        case 401, 403: ExitStatus.notAllowed
        case 429, 502, 503, 504: ExitStatus.unavailable
        case 400..<500: ExitStatus.invalid
        default: ExitStatus.unexpected
        }
    }
}
