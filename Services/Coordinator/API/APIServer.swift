package import CoordinatorService
package import EscapementModel
package import Hummingbird
import JSON
import Logging
package import Observability
import ScheduleDocuments
package import Scheduling
package import Store

/// The HTTP API of a coordinator, the same on every replica. Makes a router; who listens is for Main.
package struct APIServer: Sendable {
    /// What became of a compressed body.
    package enum Decompressed: Sendable {
        case bytes([UInt8])
        /// It has more bytes than allowed.
        case tooLarge
        case malformed
    }

    /// Reads gzip, at most so many bytes of content.
    package typealias Gunzip = @Sendable (_ bytes: [UInt8], _ byteCountMax: Int) -> Decompressed

    let settings: APISettings
    let store: any ScheduleStore & LockStore
    let cluster: any ClusterGateway
    let clocks: any Clocks
    let zones: ZoneDatabase
    let programs: ProgramCache
    let identity: ProcessIdentity
    let logger: Logger
    let gunzip: Gunzip
    let limits: NamespaceLimits
    let replays: Counter
    private let authenticator: Authenticator

    /// - Parameters:
    ///   - cluster: the cluster as this replica reaches it.
    ///   - programs: shared with whoever else compiles schedules in this process.
    ///   - gunzip: from the driver that links zlib.
    package init(
        settings: APISettings, store: any ScheduleStore & LockStore, cluster: any ClusterGateway, clocks: any Clocks,
        zones: ZoneDatabase, programs: ProgramCache = ProgramCache(), observability: Observability,
        gunzip: @escaping Gunzip
    ) {
        self.settings = settings
        self.store = store
        self.cluster = cluster
        self.clocks = clocks
        self.zones = zones
        self.programs = programs
        self.identity = observability.identity
        self.logger = observability.logger("api")
        self.gunzip = gunzip
        self.limits = NamespaceLimits(store: store, clocks: clocks)
        self.replays = observability.metrics.counter(
            "escapement_idempotency_replays_total", "Repeated requests that were answered with their first answer.")
        self.authenticator = Authenticator(settings.authentication, clocks: clocks, logger: self.logger)
    }

    /// Bytes of the largest body that any route takes.
    package var batchByteCountMax: Int { self.settings.batchByteCountMax }

    /// The router of the whole API.
    ///
    /// - Parameter middleware: run inside the API's own outermost layer, such as request metrics.
    package func router(
        middleware: [any MiddlewareProtocol<Request, Response, APIRequestContext>] = []
    ) -> Router<APIRequestContext> {
        let table = RouteTable(self.routes)
        let router = Router(context: APIRequestContext.self)
        router.add(middleware: RequestShell(logger: self.logger, clocks: self.clocks))
        for layer in middleware { router.add(middleware: layer) }
        router.add(middleware: ProblemLayer(logger: self.logger, routes: table))
        for route in table.routes {
            router.on(RouterPath(route.path), method: route.method) { request, context in
                try await route.handler(self.call(route, request, context))
            }
        }
        ConsoleRoutes().add(to: router)
        return router
    }

    var routes: [Route] {
        [
            self.scheduleRoutes, self.actionRoutes, self.backfillRoutes, self.revisionRoutes, self.timerRoutes,
            self.previewRoutes,
            self.activationRoutes, self.deadLetterRoutes, self.explainRoutes, self.namespaceRoutes, self.clusterRoutes,
            self.handoverRoutes,
            self.descriptionRoutes,
        ].flatMap { $0 }
    }

    /// Objects in the path have names by the grammar, or they do not exist: no other text goes any further.
    private static func checkNames(_ route: Route, _ context: APIRequestContext) throws(Problem) {
        for parameter in ["name", "id"] {
            guard let given = context.parameters.get(parameter), let fault = NameGrammar.fault(in: given) else {
                continue
            }
            let shown = ObjectReader.clipped(given)
            if route.method == .put {
                throw Problem.invalid([Problem.Fault(.pointer("/name"), ProblemCode.invalidName, "name \(fault)")])
            }
            throw Problem.notFound("object '\(shown)': a name \(fault)")
        }
    }

    /// Authenticates and authorises a request. The namespace comes from the path and must be one of the
    /// caller's, whether or not it exists, so that nobody learns of other namespaces.
    private func call(_ route: Route, _ request: Request, _ context: APIRequestContext) throws(Problem) -> APICall {
        var caller = Caller(identity: "anonymous", role: .viewer, namespaces: .only([]))
        var namespace = ""
        if let permission = route.permission {
            caller = try self.authenticator.caller(of: request, from: context.remoteAddress)
            if let given = context.parameters.get("namespace") {
                namespace = given == "_" ? caller.ownNamespace(default: self.settings.defaultNamespace) : given
                if let fault = NameGrammar.fault(in: namespace) {
                    throw Problem.invalid([
                        Problem.Fault(.parameter("namespace"), "INVALID_NAME", "the namespace \(fault)")
                    ])
                }
                guard caller.mayUse(namespace) else {
                    throw Problem(
                        403, Problem.Code.forbidden, "this token has no rights in the namespace '\(namespace)'")
                }
            }
            try Self.checkNames(route, context)
            guard caller.role.may(permission) else {
                throw Problem(
                    403, Problem.Code.forbidden,
                    "the role \(caller.role.rawValue) may not \(permission.rawValue); ask for another token")
            }
            if permission == .administer, caller.namespaces != .all, namespace.isEmpty {
                throw Problem(403, Problem.Code.forbidden, "this needs a token for all namespaces")
            }
        }
        return APICall(
            request: request, requestID: context.requestID, remoteAddress: context.remoteAddress, caller: caller,
            namespace: namespace, parameters: context.parameters, settings: self.settings, gunzip: self.gunzip)
    }
}
