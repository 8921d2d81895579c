import Hummingbird
import JSON
import Observability
import Scheduling

extension APIServer {
    /// What the API says of itself, to anyone.
    var descriptionRoutes: [Route] {
        [
            Route(
                .get, "/version", id: "getVersion", "The version of the program", needs: nil,
                answers: [200: "Version"],
                handler: { _ in
                    Answer.json([
                        "version": .string(self.identity.version), "revision": .string(self.identity.revision),
                        "cluster": .string(self.settings.cluster), "instance": .string(self.identity.instance),
                        "tzdata": self.zones.version.map { .string($0) } ?? .null,
                    ])
                }),
            Route(
                .get, "/openapi.json", id: "getDescription", "This description", needs: nil,
                answers: [200: "Description"],
                handler: { _ in
                    Answer.json(OpenAPI.document(of: RouteTable(self.routes), version: self.identity.version))
                }),
        ]
    }
}
