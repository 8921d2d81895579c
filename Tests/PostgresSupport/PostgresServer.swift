import Glibc
package import PostgresStore

/// A private PostgreSQL server for tests: a new cluster in a temporary directory, reached over a Unix socket, so that
/// runs side by side need no port. It ends, and its directory goes, with this process however this process ends.
///
/// PostgreSQL refuses to run as root, so there root becomes the user `postgres`.
package final class PostgresServer: Sendable {
    /// How long `initdb`, a start or a stop may take on a busy machine.
    private static let commandMax = Duration.seconds(120)

    private let folder: String
    private let programs: String
    /// The writing end of a pipe that nobody writes to: closed with this process, which ends the server.
    private let lifeline: Int32

    /// Where the server's programs are; `nil` when PostgreSQL is not installed.
    package static let programs: String? = (15...20).reversed().map { "/usr/lib/postgresql/\($0)/bin" }
        .first { access("\($0)/initdb", X_OK) == 0 }

    /// Makes the cluster and starts it.
    ///
    /// - Parameter durable: whether commits reach the disk. Off for tests: what they break is processes, not
    ///   machines, and the system keeps what a killed process wrote.
    package convenience init(durable: Bool = false) async throws {
        try self.init(prepared: ())
        try await self.run(
            "initdb",
            ["-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"])
        let durability = durable ? "on" : "off"
        try self.configure([
            "listen_addresses": "", "unix_socket_directories": self.folder, "max_connections": "200",
            "shared_buffers": durable ? "256MB" : "64MB", "fsync": durability, "full_page_writes": durability,
            "max_wal_size": "4GB", "wal_level": "replica", "max_wal_senders": "4", "timezone": "UTC",
            "log_min_messages": "warning",
        ])
        try await self.start()
    }

    /// A standby as of now that never hears of the primary again: what an asynchronous standby is that lacks the last
    /// commits. Read-only until it is promoted.
    package convenience init(lagging primary: PostgresServer) async throws {
        try self.init(prepared: ())
        try await self.run(
            "pg_basebackup",
            ["-h", primary.folder, "-p", "5432", "-U", "postgres", "-D", self.data, "-c", "fast", "-X", "stream"])
        try self.configure(["unix_socket_directories": self.folder])
        let signal = open("\(self.data)/standby.signal", O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
        guard signal >= 0 else { throw PostgresServerError("no standby.signal: errno \(errno)") }
        close(signal)
        try await self.start()
    }

    /// Makes a standby a primary, on a timeline of its own.
    package func promote() async throws { try await self.run("pg_ctl", ["-D", self.data, "-w", "promote"]) }

    private init(prepared: Void) throws {
        guard let programs = Self.programs else {
            throw PostgresServerError("PostgreSQL is not installed; as root: apt-get install postgresql-15")
        }
        self.programs = programs
        var template = Array("/tmp/escapement-pg-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw PostgresServerError("no directory: errno \(errno)") }
        self.folder = String(cString: made)
        if geteuid() == 0 {
            guard let user = getpwnam("postgres"), chown(self.folder, user.pointee.pw_uid, user.pointee.pw_gid) == 0
            else { throw PostgresServerError("\(self.folder) cannot be given to the user postgres") }
        }
        chmod(self.folder, 0o755)
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw PostgresServerError("no pipe: errno \(errno)") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        self.lifeline = ends[1]
        try self.guardLife(reading: ends[0])
        close(ends[0])
    }

    deinit { close(self.lifeline) }

    private var data: String { "\(self.folder)/data" }

    /// Settings of a session of the superuser.
    package var settings: PostgresConnectionSettings {
        PostgresConnectionSettings(parameters: [
            ("host", self.folder), ("port", "5432"), ("user", "postgres"), ("dbname", "postgres"),
        ])
    }

    /// For programs such as `pg_dump`, run by `run`.
    package var clientArguments: [String] { ["-h", self.folder, "-p", "5432", "-U", "postgres", "-d", "postgres"] }

    /// A file that the server's programs may write.
    package func file(_ name: String) -> String { "\(self.folder)/\(name)" }

    package func start() async throws {
        try await self.run("pg_ctl", ["-D", self.data, "-l", "\(self.folder)/log", "-w", "-t", "60", "start"])
    }

    /// `immediate` is what a crash is; `fast` undoes what is open and writes everything down.
    package func stop(_ mode: StopMode) async throws {
        try await self.run("pg_ctl", ["-D", self.data, "-m", mode.rawValue, "-w", "-t", "60", "stop"])
    }

    package enum StopMode: String, Sendable {
        case fast
        case immediate
    }

    private func configure(_ settings: [String: String]) throws {
        let text = settings.sorted { $0.key < $1.key }.map { "\($0.key) = '\($0.value)'\n" }.joined()
        let file = open("\(self.data)/postgresql.auto.conf", O_WRONLY | O_APPEND | O_CLOEXEC)
        guard file >= 0 else { throw PostgresServerError("no configuration file: errno \(errno)") }
        defer { close(file) }
        let bytes = Array(text.utf8)
        guard write(file, bytes, bytes.count) == bytes.count else {
            throw PostgresServerError("the configuration cannot be written: errno \(errno)")
        }
    }

    /// Runs one of the server's programs to its end.
    package func run(_ program: String, _ arguments: [String]) async throws {
        let output = "\(self.folder)/output"
        let process = try Self.spawn(self.asServer("\(self.programs)/\(program)", arguments), output: output)
        let deadline = ContinuousClock().now.advanced(by: Self.commandMax)
        var status: Int32 = 0
        while waitpid(process, &status, WNOHANG) == 0 {
            guard ContinuousClock().now < deadline else {
                kill(process, SIGKILL)
                waitpid(process, &status, 0)
                throw PostgresServerError("\(program) does not end")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        guard status == 0 else { throw PostgresServerError("\(program) failed; see \(output)") }
    }

    private func asServer(_ program: String, _ arguments: [String]) -> [String] {
        let change = ["/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
        return (geteuid() == 0 ? change : []) + [program] + arguments
    }

    /// Starts a shell that waits for the end of the pipe, then stops the server and removes the directory.
    private func guardLife(reading end: Int32) throws {
        let script = """
            trap '' INT TERM HUP
            folder=$0
            cat >/dev/null
            "$@" >/dev/null 2>&1
            rm -rf -- "$folder"
            """
        let stop = self.asServer("\(self.programs)/pg_ctl", ["-D", self.data, "-m", "immediate", "stop"])
        _ = try Self.spawn(["/bin/sh", "-c", script, self.folder] + stop, input: end)
    }

    private static func spawn(_ command: [String], input: Int32? = nil, output: String? = nil) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let input {
            posix_spawn_file_actions_adddup2(&actions, input, 0)
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        posix_spawn_file_actions_addopen(&actions, 1, output ?? "/dev/null", O_WRONLY | O_CREAT | O_TRUNC, 0o666)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // A process group of its own: what interrupts the tests must not interrupt the server first.
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
        let arguments = command.map { strdup($0) } + [nil]
        let variables = ["PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC"]
        let environment = variables.map { strdup($0) } + [nil]
        defer { for text in arguments + environment { free(text) } }
        var process = pid_t()
        let code = posix_spawn(&process, command[0], &actions, &attributes, arguments, environment)
        guard code == 0 else { throw PostgresServerError("\(command[0]): \(String(cString: strerror(code)))") }
        return process
    }
}

package struct PostgresServerError: Error, CustomStringConvertible {
    package var description: String

    package init(_ description: String) { self.description = description }
}
