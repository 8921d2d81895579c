import HTTPClient

/// Runs `body` with a client that is shut down afterwards.
func withClient(
    _ configuration: HTTPClientConfiguration = HTTPClientConfiguration(),
    _ body: (HTTPClient) async throws -> Void
) async throws {
    let client = HTTPClient(configuration: configuration)
    do {
        try await body(client)
    } catch {
        await client.shutdown()
        throw error
    }
    await client.shutdown()
}
