import EscapementModel
import HTTPClient

extension DevStack {
    func waitForFile(_ path: String, of child: ChildProcess) async throws {
        let clock = ContinuousClock()
        let deadline = clock.now.advanced(by: Self.listenMax)
        while !DevFiles.exists(path) {
            guard child.isRunning, clock.now < deadline else {
                throw DevError("\(child.name) does not start:\n\(self.lastLines(of: child.name))")
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    func waitUntilReady() async throws {
        let clock = ContinuousClock()
        let deadline = clock.now.advanced(by: Self.readyMax)
        var lastReason = ""
        while true {
            var waiting: [String] = []
            for member in self.members where member.isService {
                guard member.child.isRunning else {
                    throw DevError("\(member.process.name) ended:\n\(self.lastLines(of: member.process.name))")
                }
                if let reason = await self.notReadyReason(member.process) {
                    waiting.append("\(member.process.name): \(reason)")
                }
            }
            guard let reason = waiting.first else { return }
            if clock.now >= deadline { throw DevError("not ready: \(waiting.joined(separator: "; "))") }
            if reason != lastReason, clock.now > deadline.advanced(by: .seconds(5) - Self.readyMax) {
                self.say("waiting: \(reason)")
            }
            lastReason = reason
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    /// Why a service is not ready; `nil` when it is.
    private func notReadyReason(_ process: DevReport.Process) async -> String? {
        guard let admin = process.adminURL else { return nil }
        do {
            let response = try await self.http.send(
                HTTPRequest(.get, "\(admin)/readyz", timeout: .seconds(2)))
            if response.isSuccess { return nil }
            return response.text.split(separator: "\n").first { !$0.contains("ok") || $0.contains("not") }.map(
                String.init)
                ?? "status \(response.status)"
        } catch {
            return "does not answer yet"
        }
    }

    private func lastLines(of name: String) -> String {
        let text = (try? DevFiles.read(self.logFile(name))) ?? ""
        return text.split(separator: "\n").suffix(15).joined(separator: "\n")
    }
}
