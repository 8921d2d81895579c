import HTTPClient
import JSON
import Testing

@Suite struct ConsoleTests {
    @Test func `the console loads nothing from elsewhere, and a policy says so`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            let page = try await calls.send(.get, "/console/")
            #expect(page.status == 200)
            let policy = page.headers["Content-Security-Policy"] ?? ""
            #expect(policy.contains("default-src 'none'"))
            #expect(!policy.contains("unsafe"))
            let markup = page.document.stringValue ?? ""
            #expect(!markup.contains("://"))
            #expect(!markup.contains("<style") && !markup.contains("style="), "the policy forbids styles in the markup")
            for (name, type) in [
                ("app.js", "text/javascript"), ("style.css", "text/css"), ("icon.svg", "image/svg+xml"),
            ] {
                #expect(markup.contains("\"\(name)\""))
                let file = try await calls.send(.get, "/console/\(name)")
                #expect(file.status == 200)
                #expect(file.headers["Content-Type"]?.hasPrefix(type) == true)
                let text = file.document.stringValue ?? ""
                // The name of a picture's language is not an address that is fetched.
                #expect(!text.replacing("http://www.w3.org/2000/svg", with: "").contains("://"))
                #expect(!text.contains("innerHTML"), "texts of the server never become markup")
            }
        }
    }

    @Test func `short addresses lead to the console`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            for path in ["/", "/console"] {
                let reply = try await calls.send(.get, path)
                #expect(reply.status == 307)
                #expect(reply.headers["Location"] == "console/")
            }
        }
    }
}
