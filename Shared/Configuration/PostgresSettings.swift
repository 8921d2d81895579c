/// How to reach PostgreSQL, in libpq's own terms.
package struct PostgresSettings: Sendable {
    /// libpq keywords and values taken from `PG*`, secrets not among them; libpq's defaults fill the rest.
    package var parameters: [(keyword: String, value: String)]
    package var password: Secret?
    /// `DATABASE_URL`, which may hold a password.
    package var url: Secret?
    /// The schema that holds all tables; clusters that share a database have one each.
    package var schema: String

    package init(
        parameters: [(keyword: String, value: String)] = [], password: Secret? = nil, url: Secret? = nil,
        schema: String = "escapement"
    ) {
        self.parameters = parameters
        self.password = password
        self.url = url
        self.schema = schema
    }

    /// Everything for `PQconnectdbParams` with `expand_dbname`: of a keyword given twice the last counts, so
    /// what `DATABASE_URL` says wins over the matching `PG*`. Read anew for each connection.
    ///
    /// - Throws: `SecretError` when a secret file cannot be read now.
    package func connectionParameters() throws(SecretError) -> [(keyword: String, value: String)] {
        var result = self.parameters
        if let password = self.password { result.append(("password", try password.read())) }
        if let url = self.url {
            // Only the first `dbname` is expanded.
            result.removeAll { $0.keyword == "dbname" }
            result.append(("dbname", try url.read()))
        }
        return result
    }

    private static func isSchemaName(_ text: String) -> Bool {
        guard let first = text.utf8.first, (97...122).contains(first), text.utf8.count <= 63, !text.hasPrefix("pg_")
        else { return false }
        return text.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == UInt8(ascii: "_") }
    }

    private static let keywords: [(variable: String, keyword: String)] = [
        ("PGHOST", "host"), ("PGHOSTADDR", "hostaddr"), ("PGPORT", "port"), ("PGDATABASE", "dbname"),
        ("PGUSER", "user"), ("PGPASSFILE", "passfile"), ("PGSERVICE", "service"), ("PGOPTIONS", "options"),
        ("PGSSLMODE", "sslmode"), ("PGSSLROOTCERT", "sslrootcert"), ("PGSSLCERT", "sslcert"), ("PGSSLKEY", "sslkey"),
        ("PGSSLCRL", "sslcrl"), ("PGCHANNELBINDING", "channel_binding"), ("PGAPPNAME", "application_name"),
        ("PGCONNECT_TIMEOUT", "connect_timeout"), ("PGTARGETSESSIONATTRS", "target_session_attrs"),
        ("PGGSSENCMODE", "gssencmode"),
    ]

    /// Reads `PG*` and `DATABASE_URL`, for every program that talks to the database.
    package init(reading reader: inout ConfigurationReader) {
        self.init()
        for (variable, keyword) in Self.keywords {
            if let value = reader.text(variable) { self.parameters.append((keyword, value)) }
        }
        self.password = reader.secret("PGPASSWORD")
        self.url = reader.secret("DATABASE_URL")
        self.schema = reader.value(
            "ESCAPEMENT_DATABASE_SCHEMA", default: self.schema,
            expected: "a schema's name: 1 to 63 small letters, digits and '_', first a letter, not pg_…", show: { $0 },
            parse: { Self.isSchemaName($0) ? $0 : nil })
        if let text = try? self.url?.read(), !text.hasPrefix("postgres://"), !text.hasPrefix("postgresql://") {
            reader.refuse(
                "DATABASE_URL", "is not a PostgreSQL address",
                remedy: "write postgresql://user@host:5432/database, with the password in PGPASSWORD_FILE")
        }
    }
}
