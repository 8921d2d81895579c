import EscapementModel
import Glibc

/// Harm and changes to a stack that runs.
extension DevStack {
    /// Processes of a role at a time; more would not find room on a machine for development.
    static let processesMax = 50

    /// The processes of a role as they are now.
    func processes(_ role: Role) -> [DevReport.Process] {
        self.members.map(\.process).filter { $0.role == role.rawValue }
    }

    /// Sends a signal to processes, one right after the other.
    func signal(_ names: [String], _ signal: Int32) {
        for member in self.members where names.contains(member.process.name) { member.child.send(signal) }
    }

    /// Starts processes again that end by themselves, each as soon as it has ended; waits for that, not for ready ones.
    func startAgain(_ names: [String]) async throws {
        let ending = self.members.filter { names.contains($0.process.name) }
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for member in ending { tasks.addTask { try await self.startWhenEnded(member) } }
            try await tasks.waitForAll()
        }
    }

    private func startWhenEnded(_ member: Member) async throws {
        _ = await member.child.wait()
        try self.spawn(
            member.process.name, role: member.process.role, member.launch, adminURL: member.process.adminURL,
            apiURL: member.process.apiURL, isService: member.isService)
    }

    /// Stops a process, and does not start it again before it is asked to.
    func stop(_ name: String) async throws {
        let member = try self.member(name)
        self.held.insert(name)
        // PostgreSQL's fast shutdown does not wait for clients.
        await member.child.stop(member.process.role == "postgres" ? SIGINT : SIGTERM, patience: Self.drainMax)
        self.say("\(name) stopped")
    }

    /// Starts a process that was stopped.
    ///
    /// - Parameter variables: `NAME=VALUE`, for this process from now on.
    func start(_ name: String, variables: [String]) throws {
        var member = try self.member(name)
        guard !member.child.isRunning else { throw DevError("\(name) runs already") }
        for text in variables {
            guard let equals = text.firstIndex(of: "=") else { throw DevError("'\(text)' is not NAME=VALUE") }
            member.launch.environment[String(text[..<equals])] = String(text[text.index(after: equals)...])
        }
        self.held.remove(name)
        try self.spawn(
            name, role: member.process.role, member.launch, adminURL: member.process.adminURL,
            apiURL: member.process.apiURL, isService: member.isService)
        self.say("\(name) started")
    }

    private func member(_ name: String) throws -> Member {
        if let member = self.members.first(where: { $0.process.name == name }) { return member }
        throw DevError(
            "no process is called '\(name)'; there are \(self.members.map(\.process.name).joined(separator: ", "))")
    }

    /// Has `count` tickers or dispatchers: starts more, or lets those with the highest numbers drain and end.
    func scale(_ role: Role, to count: Int) async throws {
        guard role == .ticker || role == .dispatcher, (1...Self.processesMax).contains(count) else {
            throw DevError("tickers and dispatchers can be from 1 to \(Self.processesMax), not \(count)")
        }
        let numbers = self.processes(role).compactMap { Int($0.name.dropFirst(role.rawValue.count + 1)) }.sorted()
        let surplus = numbers.dropFirst(count).map { "\(role.rawValue)-\($0)" }
        if count > numbers.count {
            for number in (numbers.last ?? 0) + 1...(numbers.last ?? 0) + count - numbers.count {
                try self.startMember(role, number)
                self.say("\(role.rawValue)-\(number) started")
            }
        }
        let leaving = self.members.filter { surplus.contains($0.process.name) }
        // Not ours to start again any more.
        self.members.removeAll { surplus.contains($0.process.name) }
        await withTaskGroup(of: Void.self) { tasks in
            for member in leaving { tasks.addTask { await member.child.stop(patience: Self.drainMax) } }
        }
        for name in surplus { self.say("\(name) ended") }
        try self.writeReport()
    }
}
