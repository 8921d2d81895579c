import HTTPClient
import JSON
import Testing

/// Fires that go to HTTP targets, with hosts that answer and hosts that do not.
@Suite(.serialized) struct HTTPTargetTests {
    @Test func `a host that never answers delays no fire of another, and gets a bounded number of requests`()
        async throws
    {
        let targets = try WebTargets()
        try await targets.run { answering, silent in
            // One lane: nothing but the hosts keeps the fires apart.
            try await Stack.with(["--lanes", "1"], environment: targets.variables) { stack in
                func timer(_ id: String, _ url: String) async throws {
                    let made = try await stack.call(
                        .post, "/v1/namespaces/guest/timers",
                        #"{"id":"\#(id)","delay":"0s","target":{"http":{"url":"\#(url)/\#(id)"},"payload":{}}}"#)
                    #expect(made.status == 201, "\(made.body.text)")
                }
                for number in 0..<100 { try await timer("silent-\(number)", silent) }
                try await Eventually.holds("the silent host has as many requests as a host may have") {
                    targets.silentMax >= 32
                }
                for number in 0..<10 { try await timer("answered-\(number)", answering) }
                try await Eventually.holds("the other host has all of its requests") { targets.answered.count == 10 }
                #expect(targets.answered.values.allSatisfy { $0 == 1 }, "\(targets.answered)")
                #expect(targets.silentMax == 32)
            }
        }
    }

    @Test func `a host that names the time of the next attempt in Retry-After gets it then`() async throws {
        let targets = try WebTargets()
        try await targets.run { answering, _ in
            try await Stack.with(["--lanes", "1"], environment: targets.variables) { stack in
                // By the timer's own rule it would be after an hour.
                let made = try await stack.call(
                    .post, "/v1/namespaces/guest/timers",
                    #"{"id":"busy","delay":"0s","policy":{"retry":{"minBackoff":"2h","maxBackoff":"2h"}},"#
                        + #""target":{"http":{"url":"\#(answering)/busy"},"payload":{}}}"#)
                #expect(made.status == 201, "\(made.body.text)")
                try await Eventually.holds("the host has a second request") { targets.answered["busy"] == 2 }
            }
        }
    }
}
