/// One SQL statement. A named one is prepared when a connection first needs it, and stays so.
package struct PostgresStatement: Sendable {
    /// Unique among the statements of a process; empty for one that is used once.
    package let name: String
    package let sql: String

    package init(_ name: String, _ sql: String) {
        self.name = name
        self.sql = sql
    }

    package init(once sql: String) { self.init("", sql) }

    package func callAsFunction(_ values: PostgresValue...) -> PostgresCall {
        PostgresCall(statement: self, values: values)
    }
}

/// A statement with its parameters.
package struct PostgresCall: Sendable {
    package var statement: PostgresStatement
    package var values: [PostgresValue]

    package init(statement: PostgresStatement, values: [PostgresValue] = []) {
        self.statement = statement
        self.values = values
    }
}

/// A unit of work: statements that go out together and end in one Sync, hence are one transaction unless
/// they say BEGIN themselves. An error undoes all of it and touches no other unit.
struct PostgresUnit: Sendable {
    var calls: [PostgresCall]
    /// Monotonic nanoseconds. After it the unit fails, if it has not been sent by then.
    var deadline: Int64
    /// Called once, on the connection's thread or the caller's. Must return at once.
    var completion: @Sendable (Result<[PostgresResult], PostgresFailure>) -> Void
}
