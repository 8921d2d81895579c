import CLibPQ
import EscapementModel

/// How to reach the server, in libpq's own terms: what `host`, `port`, `dbname`, `user`, `sslmode` and so on mean is
/// in the manual of libpq, section "Parameter Key Words".
package struct PostgresConnectionSettings: Sendable {
    package typealias Parameter = (keyword: String, value: String)

    /// Everything, secrets included. Asked anew for each attempt to connect, so that a rotated password
    /// takes effect; of a keyword given twice the last counts, and `dbname` may be a `postgresql://` address. An
    /// error thrown here is a failed attempt, and its description is shown: it must hold no secret.
    package var parameters: @Sendable () throws -> [Parameter]
    /// Shown in `pg_stat_activity`, unless `parameters` has an `application_name`.
    package var applicationName: String

    package init(
        applicationName: String = "escapement", parameters: @escaping @Sendable () throws -> [Parameter]
    ) {
        self.applicationName = applicationName
        self.parameters = parameters
    }

    /// Fixed parameters, and a password that is asked for at each attempt; `nil` for none.
    package init(
        applicationName: String = "escapement", parameters: [Parameter],
        password: (@Sendable () throws -> String?)? = nil
    ) {
        self.init(applicationName: applicationName) {
            guard let password = try password?() else { return parameters }
            return parameters + [("password", password)]
        }
    }
}

/// The parameters of one attempt: complete, each keyword once, several hosts turned so that each attempt
/// begins with another.
struct ConnectionAttempt {
    var parameters: [PostgresConnectionSettings.Parameter]
    /// Never to be shown.
    var password: String?
    var hostCount: Int

    /// What applies where the settings say nothing: a dead peer is noticed within seconds, and a standby
    /// is not taken for the primary.
    private static let defaults: [PostgresConnectionSettings.Parameter] = [
        ("keepalives", "1"), ("keepalives_idle", "5"), ("keepalives_interval", "2"), ("keepalives_count", "3"),
        ("tcp_user_timeout", "10000"), ("target_session_attrs", "read-write"), ("gssencmode", "disable"),
        ("client_encoding", "UTF8"),
    ]

    /// - Throws: a `PostgresFailure.connection` without any secret in it.
    init(_ settings: PostgresConnectionSettings, number: Int) throws(PostgresFailure) {
        let given: [PostgresConnectionSettings.Parameter]
        do {
            given = try settings.parameters()
        } catch {
            throw .connection("the settings cannot be read: \(error)")
        }
        var values: [String: String] = ["application_name": settings.applicationName]
        for (keyword, value) in Self.defaults { values[keyword] = value }
        for (keyword, value) in given where keyword != "dbname" || !Self.isConnectionString(value) {
            values[keyword] = value
        }
        for (keyword, value) in given where keyword == "dbname" && Self.isConnectionString(value) {
            for (inner, innerValue) in try Self.parse(value) { values[inner] = innerValue }
        }
        // The deadline of an attempt is kept by whoever drives it: libpq does not, when not blocking.
        values["connect_timeout"] = nil
        self.password = values["password"]
        self.hostCount = 1
        Self.turn(&values, by: number, count: &self.hostCount)
        self.parameters = values.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// libpq gives each host a time-out only when it blocks: driven from outside, a host that swallows
    /// packets would hide those after it for ever. So every attempt begins with another one.
    private static func turn(_ values: inout [String: String], by number: Int, count: inout Int) {
        let lists = ["host", "hostaddr", "port"]
        func split(_ text: String) -> [Substring] { text.split(separator: ",", omittingEmptySubsequences: false) }
        count = max(1, ["host", "hostaddr"].compactMap { values[$0].map { split($0).count } }.max() ?? 1)
        guard count > 1 else { return }
        for keyword in lists {
            guard let value = values[keyword] else { continue }
            let parts = split(value)
            guard parts.count == count else { continue }
            let shift = number % count
            values[keyword] = (parts[shift...] + parts[..<shift]).joined(separator: ",")
        }
    }

    /// As libpq decides it.
    private static func isConnectionString(_ text: String) -> Bool {
        text.hasPrefix("postgresql://") || text.hasPrefix("postgres://") || text.contains("=")
    }

    private static func parse(
        _ text: String
    ) throws(PostgresFailure) -> [PostgresConnectionSettings.Parameter] {
        // libpq's message quotes the text, which may hold a password: it is thrown away.
        guard let options = PQconninfoParse(text, nil) else {
            throw .connection("the connection string is malformed")
        }
        defer { PQconninfoFree(options) }
        var result: [PostgresConnectionSettings.Parameter] = []
        var option = options
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val { result.append((String(cString: keyword), String(cString: value))) }
            option += 1
        }
        return result
    }

    /// `text` on one line, without the password, cut at 500 characters.
    func clean(_ text: String) -> String { Self.clean(text, password: self.password) }

    static func clean(_ text: String, password: String?) -> String {
        var line = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        if let password, !password.isEmpty {
            let needle = password.split(whereSeparator: \.isWhitespace).joined(separator: " ")
            line = line.split(separator: needle.isEmpty ? password : needle, omittingEmptySubsequences: false)
                .joined(separator: "***")
        }
        return line.count > 500 ? String(line.prefix(500)) + "..." : line
    }
}
