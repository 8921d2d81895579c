import Hummingbird

/// The web console: a few files, part of the program, that speak to the API with the visitor's token.
///
/// Nothing is loaded from elsewhere, and the policy sent along forbids that it ever is. Addresses are relative, so
/// that it works below any path of a proxy.
struct ConsoleRoutes {
    private static let policy = [
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self'",
        "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
    ].joined(separator: "; ")

    func add(to router: Router<APIRequestContext>) {
        router.get("/") { _, _ in Self.redirect(to: "console/") }
        router.get("/console") { request, _ in
            // With a slash the page's relative addresses would be one level too high otherwise.
            request.uri.path.hasSuffix("/")
                ? Self.file(PackageResources.index_html, "text/html; charset=utf-8") : Self.redirect(to: "console/")
        }
        router.get("/console/app.js") { _, _ in Self.file(PackageResources.app_js, "text/javascript; charset=utf-8") }
        router.get("/console/style.css") { _, _ in Self.file(PackageResources.style_css, "text/css; charset=utf-8") }
        router.get("/console/icon.svg") { _, _ in Self.file(PackageResources.icon_svg, "image/svg+xml") }
    }

    private static func redirect(to place: String) -> Response {
        Response(status: .temporaryRedirect, headers: [.location: place])
    }

    private static func file(_ bytes: [UInt8], _ type: String) -> Response {
        var headers: HTTPFields = [
            .contentType: type, .contentSecurityPolicy: Self.policy, .cacheControl: "no-cache",
        ]
        headers[own: .referrerPolicy] = "no-referrer"
        return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}
