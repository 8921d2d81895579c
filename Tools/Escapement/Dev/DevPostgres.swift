import Glibc

/// A private PostgreSQL cluster: on a Unix socket for its owner, and on the loopback address with a
/// password. PostgreSQL refuses to run as root, so there root becomes the user `postgres`.
struct DevPostgres {
    /// How long the server may take to accept connections after it was started.
    static let startMax = Duration.seconds(60)
    static let database = "escapement"
    static let user = "escapement"

    let folder: String
    let port: Int
    let logFile: String
    private let binaries: String

    var dataFolder: String { "\(self.folder)/data" }
    var socketFolder: String { "\(self.folder)/run" }

    /// - Throws: `DevError` when the server's programs are not installed.
    init(folder: String, port: Int, logFile: String) throws(DevError) {
        self.folder = folder
        self.port = port
        self.logFile = logFile
        let candidates =
            (15...20).reversed().map { "/usr/lib/postgresql/\($0)/bin" } + ["/usr/local/pgsql/bin", "/usr/bin"]
        guard let binaries = candidates.first(where: { DevFiles.exists("\($0)/initdb") }) else {
            throw DevError("PostgreSQL's server programs are missing; as root: apt-get install postgresql-15")
        }
        self.binaries = binaries
        // A Unix socket's path has at most 107 bytes.
        guard "\(folder)/run/.s.PGSQL.\(port)".utf8.count <= 107 else {
            throw DevError("the path \(folder) is too long for PostgreSQL's socket; choose a shorter --data-dir")
        }
    }

    /// Makes the cluster, once.
    func prepare(password: String) async throws(DevError) {
        try DevFiles.makeDirectory(self.folder)
        try DevFiles.makeDirectory(self.socketFolder, mode: 0o700)
        try self.giveToServer(self.folder)
        try self.giveToServer(self.socketFolder)
        guard !DevFiles.exists("\(self.dataFolder)/PG_VERSION") else { return }
        _ = try await self.run(
            "initdb",
            [
                "-D", self.dataFolder, "-U", "postgres", "--auth-local=trust", "--auth-host=scram-sha-256", "-E",
                "UTF8", "--locale=C.UTF-8",
            ])
    }

    func launch() -> ChildProcess.Launch {
        self.asServer(
            "postgres",
            [
                "-D", self.dataFolder, "-p", "\(self.port)", "-c", "listen_addresses=127.0.0.1", "-c",
                "unix_socket_directories=\(self.socketFolder)", "-c", "unix_socket_permissions=0700",
            ], log: self.logFile)
    }

    /// Waits until the server answers, then makes role and database, once.
    func finish(_ server: ChildProcess, password: String) async throws(DevError) {
        let clock = ContinuousClock()
        let deadline = clock.now.advanced(by: Self.startMax)
        while true {
            do {
                _ = try await self.sql("SELECT 1;")
                break
            } catch {
                guard server.isRunning, clock.now < deadline else {
                    throw DevError("PostgreSQL does not start; see \(self.logFile)")
                }
                do { try await Task.sleep(for: .milliseconds(100)) } catch { throw DevError("interrupted") }
            }
        }
        let roles = try await self.sql("SELECT count(*) FROM pg_roles WHERE rolname = '\(Self.user)';")
        if roles.contains("0") { _ = try await self.sql("CREATE ROLE \(Self.user) LOGIN;") }
        // The password comes from a file that only the server's user reads, never from a command line.
        _ = try await self.sql("ALTER ROLE \(Self.user) PASSWORD '\(password)';")
        let databases = try await self.sql("SELECT count(*) FROM pg_database WHERE datname = '\(Self.database)';")
        if databases.contains("0") { _ = try await self.sql("CREATE DATABASE \(Self.database) OWNER \(Self.user);") }
    }

    private func sql(_ statement: String) async throws(DevError) -> String {
        let script = "\(self.folder)/statement.sql"
        try DevFiles.write(statement + "\n", to: script, mode: 0o600)
        try self.giveToServer(script)
        defer { unlink(script) }
        return try await self.run(
            "psql",
            [
                "-h", self.socketFolder, "-p", "\(self.port)", "-U", "postgres", "-d", "postgres", "-v",
                "ON_ERROR_STOP=1", "-At", "-q", "-f", script,
            ])
    }

    private func run(_ program: String, _ arguments: [String]) async throws(DevError) -> String {
        let output = "\(self.folder).output"
        let launch = self.asServer(program, arguments, log: output)
        return try await runCommand(
            launch.executable, launch.arguments, environment: launch.environment, outputFile: output)
    }

    private var mustChangeUser: Bool { geteuid() == 0 }

    private func asServer(_ program: String, _ arguments: [String], log: String) -> ChildProcess.Launch {
        let environment = ["PATH": "\(self.binaries):/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"]
        let path = "\(self.binaries)/\(program)"
        guard self.mustChangeUser else {
            return ChildProcess.Launch(
                executable: path, arguments: arguments, environment: environment, logFile: log)
        }
        // Replaces itself by the program, so that our signals reach the server.
        return ChildProcess.Launch(
            executable: "/usr/bin/setpriv",
            // The capability lets it pass folders above the data that only root may enter, such as /root.
            arguments: [
                "--reuid=postgres", "--regid=postgres", "--init-groups", "--inh-caps=+dac_override",
                "--ambient-caps=+dac_override", path,
            ] + arguments,
            environment: environment, logFile: log)
    }

    private func giveToServer(_ path: String) throws(DevError) {
        guard self.mustChangeUser else { return }
        guard let user = getpwnam("postgres") else {
            throw DevError("there is no user postgres; as root: apt-get install postgresql-15")
        }
        guard chown(path, user.pointee.pw_uid, user.pointee.pw_gid) == 0 else {
            throw DevError("cannot give \(path) to the user postgres: \(String(cString: strerror(errno)))")
        }
    }
}
