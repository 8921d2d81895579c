import HTTPClient
import Testing

@Suite struct HTTPClientTests {
    private func error(
        _ client: HTTPClient, _ request: HTTPRequest
    ) async -> HTTPClientError? {
        do {
            let response = try await client.send(request)
            Issue.record("expected an error, got \(response.status)")
            return nil
        } catch {
            return error
        }
    }

    @Test func `a client for strangers' addresses does not connect to this machine`() async throws {
        try await ScriptedServer.with([.status(200)]) { server in
            try await withClient(HTTPClientConfiguration(refusesPrivateAddresses: true)) { client in
                let refusal = await self.error(client, HTTPRequest(.get, server.url))
                #expect(refusal?.code == .forbidden)
                #expect(refusal?.isRetriable == false)
                #expect(server.received.isEmpty)
            }
        }
    }

    @Test func `requests in a row share one connection and arrive as written`() async throws {
        try await ScriptedServer.with([.status(200, headers: ["X-One": "1"], body: Array("hello".utf8))]) { server in
            try await withClient { client in
                for _ in 0..<3 {
                    let response = try await client.send(
                        HTTPRequest(
                            .post, server.url + "/a?b=c", headers: ["Content-Type": "application/json"],
                            body: Array("{}".utf8)))
                    #expect(response.status == 200)
                    #expect(response.headers["x-one"] == "1")
                    #expect(response.text == "hello")
                }
                _ = try await client.send(HTTPRequest(.put, server.url + "/p"))
                _ = try await client.send(HTTPRequest(.delete, server.url + "/d"))
            }
            #expect(server.connectionCount == 1)
            let first = try #require(server.received.first)
            #expect(first.line == "POST /a?b=c HTTP/1.1")
            #expect(first.body == Array("{}".utf8))
            #expect(first.headers["content-type"] == "application/json")
            #expect(first.headers["expect"] == nil)
            #expect(first.headers["authorization"] == nil)
            #expect(server.received[3].line == "PUT /p HTTP/1.1")
            #expect(server.received[3].headers["content-length"] == "0")
            #expect(server.received[3].headers["content-type"] == nil)
            #expect(server.received[4].line == "DELETE /d HTTP/1.1")
        }
    }

    @Test func `a gzip answer is decompressed and a large body is sent as gzip`() async throws {
        let text = String(repeating: "escapement ", count: 1000)
        let packed = Gzip.compress(Array(text.utf8))
        #expect(packed.count < 1000)
        try await ScriptedServer.with([.status(200, headers: ["Content-Encoding": "gzip"], body: packed)]) { server in
            try await withClient { client in
                let response = try await client.send(
                    HTTPRequest(.post, server.url, body: Array(text.utf8), compressesBody: true))
                #expect(response.text == text)
                _ = try await client.send(
                    HTTPRequest(.post, server.url, body: Array("small".utf8), compressesBody: true))
            }
            #expect(server.received[0].headers["content-encoding"] == "gzip")
            #expect(server.received[0].body == packed)
            #expect(server.received[0].headers["accept-encoding"]?.contains("gzip") == true)
            #expect(server.received[1].headers["content-encoding"] == nil)
            #expect(server.received[1].body == Array("small".utf8))
        }
    }

    @Test func `a server that never answers is a timeout`() async throws {
        try await ScriptedServer.with([.silence]) { server in
            try await withClient { client in
                let error = await error(client, HTTPRequest(.get, server.url, timeout: .milliseconds(50)))
                #expect(error?.code == .timeout)
                #expect(error?.isRetriable == true)
            }
        }
    }

    @Test func `an answer beyond the bound is too large, also when it arrives as gzip`() async throws {
        let large = [UInt8](repeating: 0x61, count: 100_000)
        let packed = Gzip.compress(large)
        #expect(packed.count < 10_000)
        try await ScriptedServer.with([
            .status(200, body: large), .status(200, headers: ["Content-Encoding": "gzip"], body: packed),
            .status(200, body: [UInt8](repeating: 0x61, count: 10_000)),
        ]) { server in
            try await withClient { client in
                for _ in 0..<2 {
                    let error = await error(client, HTTPRequest(.get, server.url, responseByteCountMax: 10_000))
                    #expect(error?.code == .tooLarge)
                    #expect(error?.isRetriable == false)
                }
                let exact = try await client.send(HTTPRequest(.get, server.url, responseByteCountMax: 10_000))
                #expect(exact.body.count == 10_000)
            }
        }
    }

    @Test func `an answer beyond the bound is cut for who asks for that`() async throws {
        let large = [UInt8](repeating: 0x61, count: 300_000)
        try await ScriptedServer.with([
            .status(200, body: large), .status(503, headers: ["Retry-After": "7"], body: large), .status(204),
        ]) { server in
            try await withClient { client in
                var request = HTTPRequest(.post, server.url, responseByteCountMax: 10_000, cutsResponse: true)
                let cut = try await client.send(request)
                #expect(cut.status == 200 && cut.body.count == 10_000)
                let failed = try await client.send(request)
                #expect(failed.status == 503 && failed.headers["Retry-After"] == "7")
                request.responseByteCountMax = 0
                #expect(try await client.send(request).status == 204)
            }
        }
    }

    @Test func `a request beyond the bound is refused before anything is sent`() async throws {
        try await ScriptedServer.with([.status(200)]) { server in
            try await withClient(HTTPClientConfiguration(requestByteCountMax: 10)) { client in
                let request = HTTPRequest(.post, server.url, body: [UInt8](repeating: 0, count: 11))
                #expect(await error(client, request)?.code == .tooLarge)
            }
            #expect(server.received.isEmpty)
        }
    }

    @Test func `a refused connection and an unknown host are unreachable`() async throws {
        let port = try await unusedPort()
        try await withClient { client in
            let refused = await error(client, HTTPRequest(.get, "http://127.0.0.1:\(port)/"))
            #expect(refused?.code == .unreachable)
            #expect(refused?.isRetriable == true)
            let unknown = await error(client, HTTPRequest(.get, "http://nobody.invalid/"))
            #expect(unknown?.code == .unreachable)
        }
    }

    @Test func `a connection that ends early is broken`() async throws {
        try await ScriptedServer.with([.hangUp]) { server in
            try await withClient { client in
                let error = await error(client, HTTPRequest(.post, server.url, body: [1]))
                #expect(error?.code == .brokenConnection)
                #expect(error?.isRetriable == true)
            }
        }
    }

    @Test func `cancelling the task ends the transfer and closes its connection`() async throws {
        try await ScriptedServer.with([.silence]) { server in
            try await withClient { client in
                let task = Task { await self.error(client, HTTPRequest(.get, server.url, timeout: .seconds(60))) }
                while server.received.isEmpty { try await Task.sleep(for: .milliseconds(1)) }
                task.cancel()
                #expect(await task.value?.code == .cancelled)
                while server.closedCount == 0 { try await Task.sleep(for: .milliseconds(1)) }
            }
        }
    }

    @Test func `a task cancelled beforehand sends nothing`() async throws {
        try await ScriptedServer.with([.status(200)]) { server in
            try await withClient { client in
                let task = Task {
                    while !Task.isCancelled { await Task.yield() }
                    return await self.error(client, HTTPRequest(.get, server.url))
                }
                task.cancel()
                #expect(await task.value?.code == .cancelled)
            }
            #expect(server.received.isEmpty)
        }
    }

    @Test func `shutting down cancels what is under way and refuses what follows`() async throws {
        try await ScriptedServer.with([.silence]) { server in
            let client = HTTPClient()
            let task = Task { await self.error(client, HTTPRequest(.get, server.url, timeout: .seconds(60))) }
            while server.received.isEmpty { try await Task.sleep(for: .milliseconds(1)) }
            await client.shutdown()
            #expect(await task.value?.code == .cancelled)
            #expect(await error(client, HTTPRequest(.get, server.url))?.code == .cancelled)
        }
    }

    @Test func `requests beyond the bound are refused at once and may be retried`() async throws {
        try await ScriptedServer.with([.silence]) { server in
            let client = HTTPClient(configuration: HTTPClientConfiguration(requestCountMax: 1))
            let task = Task { await self.error(client, HTTPRequest(.get, server.url, timeout: .seconds(60))) }
            while server.received.isEmpty { try await Task.sleep(for: .milliseconds(1)) }
            let refused = await error(client, HTTPRequest(.get, server.url))
            #expect(refused?.code == .other)
            #expect(refused?.isRetriable == true)
            await client.shutdown()
            _ = await task.value
        }
    }

    @Test func `redirects are answers and other protocols are refused`() async throws {
        try await ScriptedServer.with([.status(302, headers: ["Location": "/elsewhere"])]) { server in
            try await withClient { client in
                let response = try await client.send(HTTPRequest(.get, server.url))
                #expect(response.status == 302)
                #expect(response.headers["location"] == "/elsewhere")
                for url in ["file:///etc/hostname", "ftp://127.0.0.1/x", "http://", "http://a b/", "http://a/\r\nX: y"]
                {
                    #expect(await error(client, HTTPRequest(.get, url))?.isRetriable == false)
                }
            }
            #expect(server.received.count == 1)
        }
    }

    @Test func `a header that could end a line is refused`() async throws {
        try await ScriptedServer.with([.status(200)]) { server in
            try await withClient { client in
                for headers: HTTPHeaders in [["X": "a\r\nY: b"], ["X\n": "a"], ["": "a"], ["X Y": "a"]] {
                    #expect(await error(client, HTTPRequest(.get, server.url, headers: headers))?.code == .other)
                }
                let bad = HTTPRequest(.get, server.url, authorization: .bearer(token: "secret\n"))
                let refusal = await error(client, bad)
                #expect(refusal?.code == .other)
                #expect(refusal?.description.contains("secret") == false)
            }
            #expect(server.received.isEmpty)
        }
    }

    @Test func `each kind of credentials reaches the server in its scheme`() async throws {
        try await ScriptedServer.with([.status(200)]) { server in
            try await withClient(
                HTTPClientConfiguration(authorization: .basic(user: "Aladdin", password: "open sesame"))
            ) { client in
                _ = try await client.send(HTTPRequest(.get, server.url))
                _ = try await client.send(
                    HTTPRequest(.get, server.url, authorization: .apiKey(encoded: "a2V5")))
                _ = try await client.send(HTTPRequest(.get, server.url, authorization: .bearer(token: "t")))
            }
            #expect(
                server.received.map { $0.headers["authorization"] } == [
                    "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "ApiKey a2V5", "Bearer t",
                ])
        }
    }

    @Test func `neither credentials nor errors show a secret`() async throws {
        let authorization = Authorization.basic(user: "user", password: "s3cret")
        var dumped = ""
        dump(authorization, to: &dumped)
        for text in ["\(authorization)", String(reflecting: authorization), dumped, "\([authorization])"] {
            #expect(!text.contains("s3cret") && !text.contains("user"))
        }
        let port = try await unusedPort()
        try await withClient { client in
            let error = try #require(
                await error(client, HTTPRequest(.get, "http://user:s3c@ret@127.0.0.1:\(port)/path?token=s3cret#f")))
            #expect(error.url == "http://127.0.0.1:\(port)/path")
            #expect(!"\(error)".contains("s3c"))
        }
        #expect(HTTPClientError.withoutSecrets("user:pass@host/x?y") == "host/x")
    }

    @Test func `an interim answer is passed over`() async throws {
        let text =
            "HTTP/1.1 103 Early Hints\r\nX-A: 1\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\nX-B: 2\r\n\r\n"
        try await ScriptedServer.with([.bytes(Array(text.utf8))]) { server in
            try await withClient { client in
                let response = try await client.send(HTTPRequest(.get, server.url))
                #expect(response.status == 201)
                #expect(response.headers["X-A"] == nil)
                #expect(response.headers["X-B"] == "2")
            }
        }
    }

    @Test func `many requests at a time all get their own answer`() async throws {
        try await ScriptedServer.with([.status(200, body: Array("ok".utf8))]) { server in
            try await withClient(HTTPClientConfiguration(connectionsPerHostMax: 4)) { client in
                let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                    for index in 0..<200 {
                        group.addTask { try await client.send(HTTPRequest(.get, server.url + "/\(index)")).status }
                    }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                #expect(statuses == Array(repeating: 200, count: 200))
            }
            #expect(server.connectionCount <= 4)
            #expect(Set(server.received.map(\.line)).count == 200)
        }
    }
}
