/// Waits for what must become true. Polls, since it looks at other processes from outside.
enum Eventually {
    static func holds(_ what: String, _ condition: () async throws -> Bool) async throws {
        _ = try await self.value(what) { try await condition() ? true : nil }
    }

    static func value<Value>(_ what: String, _ find: () async throws -> Value?) async throws -> Value {
        let clock = ContinuousClock()
        let deadline = clock.now.advanced(by: Stack.patience)
        while clock.now < deadline {
            if let value = try await find() { return value }
            // Gives the other processes the processor; nothing is concluded from how long it lasts.
            try await Task.sleep(for: .milliseconds(100))
        }
        throw StackError("it did not come to pass that \(what)")
    }
}
