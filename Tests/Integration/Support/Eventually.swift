/// Waits for what must become true. Polls, since it looks at other processes from outside.
enum Eventually {
    /// - Parameter seen: for the error: what was found the last time.
    static func holds(
        _ what: String, patience: Duration = Stack.patience, seen: () -> String = { "" },
        _ condition: () async throws -> Bool
    ) async throws {
        _ = try await self.value(what, patience: patience, seen: seen) { try await condition() ? true : nil }
    }

    static func value<Value>(
        _ what: String, patience: Duration = Stack.patience, seen: () -> String = { "" },
        _ find: () async throws -> Value?
    ) async throws -> Value {
        let clock = ContinuousClock()
        let deadline = clock.now.advanced(by: patience)
        while clock.now < deadline {
            if let value = try await find() { return value }
            // Gives the other processes the processor; nothing is concluded from how long it lasts.
            try await Task.sleep(for: .milliseconds(100))
        }
        let last = seen()
        throw StackError("it did not come to pass that \(what)\(last.isEmpty ? "" : "; at last: \(last)")")
    }
}
